"""The states of a job and the only ways between them.

                     ┌───────────────── retry, next occurrence, snooze, lost worker ────────────────┐
                     ▼                                                                              │
    enqueue ──▶ Scheduled ──────────────────────────── claim ──────────────────────────────────▶ Running
                  │  ▲  ▲                                                                           │
                  │  │  └── update, pause, resume, run now                  ┌──────────┬─────────────┤
                delete  replay                                             ▼          ▼             ▼
                  │  └───────────────┬─────────────┬─────────────────── Completed   Failed ◀─ no retries left
                  ▼                  │             │                        │          │            │
              Cancelled ─────────────┘             └────────────────────────┴──────────┘            │
                  ▲                                                                                 │
                  └────────────────────── cancelled while running ──────────────────────────────────┘

The table below is the picture. The database holds the same five words in a CHECK constraint, and ties ``handled_at``
to the ended states and the lease to ``Running``, so that no statement can leave a job between two states.
"""

from __future__ import annotations

from enum import StrEnum


class JobStatus(StrEnum):
    """Where a job stands. Waiting for a retry is Scheduled with ``attempt`` > 0, paused Scheduled with ``paused``."""

    SCHEDULED = "Scheduled"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"

    @property
    def ended(self) -> bool:
        """Whether the job will do nothing more unless it is replayed."""
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
"""From each state, the states that one statement may take a job to. Out of an ended state only a replay leads."""


class AttemptOutcome(StrEnum):
    """How one execution of a job ended, as its history keeps it."""

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
"""The ends of attempts that somebody should look at, where the worker itself was not lost."""
