"""The states of a job and the transitions between them.

                     ┌───────────────── retry, next occurrence, snooze, lost worker ────────────────┐
                     ▼                                                                              │
    enqueue ──▶ Scheduled ──────────────────────────── claim ──────────────────────────────────▶ Running
                  │  ▲  ▲                                                                           │
                  │  │  └── update, pause, resume, run now                  ┌──────────┬─────────────┤
                cancel  retry                                              ▼          ▼             ▼
                  │  └───────────────┬─────────────┬─────────────────── Completed   Failed ◀─ no retries left
                  ▼                  │             │                        │          │            │
              Cancelled ─────────────┘             └────────────────────────┴──────────┘            │
                  ▲                                                                                 │
                  └────────────────────── cancelled while running ──────────────────────────────────┘

``TRANSITIONS`` below is the picture as a table. The database has the same five words in a CHECK constraint. It also
ties ``handled_at`` to the ended states and the lease to ``Running``, so no statement can leave a job between states.
"""

from __future__ import annotations

from enum import StrEnum


class JobStatus(StrEnum):
    """The state of a job. Scheduled with ``attempt`` > 0 is waiting for a retry; with ``paused`` it is paused."""

    SCHEDULED = "Scheduled"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def ended(self) -> bool:
        """Whether the job does nothing more unless it is retried."""
        return self in ENDED

    @property
    def active(self) -> bool:
        """Whether the job holds its ``job_name``."""
        return not self.ended


ENDED = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})

TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.SCHEDULED: frozenset({JobStatus.SCHEDULED, JobStatus.RUNNING, JobStatus.CANCELLED}),
    JobStatus.RUNNING: frozenset(
        {JobStatus.SCHEDULED, JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED},
    ),
    JobStatus.COMPLETED: frozenset({JobStatus.SCHEDULED}),
    JobStatus.FAILED: frozenset({JobStatus.SCHEDULED}),
    JobStatus.CANCELLED: frozenset({JobStatus.SCHEDULED}),
}
"""The states that one statement may move a job to, from each state. Only `retry` leads out of an ended state."""


class AttemptOutcome(StrEnum):
    """How one execution of a job ended, as recorded in its history."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    TIMED_OUT = "TimedOut"
    INVALID_PAYLOAD = "InvalidPayload"
    DISCARDED = "Discarded"
    CANCELLED = "Cancelled"
    SNOOZED = "Snoozed"
    SKIPPED = "Skipped"
    UNKNOWN_HANDLER = "UnknownHandler"
    RELEASED = "Released"
    LOST = "Lost"


FAULTS = frozenset(
    {
        AttemptOutcome.FAILED,
        AttemptOutcome.TIMED_OUT,
        AttemptOutcome.INVALID_PAYLOAD,
        AttemptOutcome.DISCARDED,
        AttemptOutcome.UNKNOWN_HANDLER,
    }
)
"""Outcomes that someone should investigate. A lost worker is not among them."""
