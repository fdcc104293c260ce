"""Check constraints: consistent job states, and values that the app can read."""

from __future__ import annotations

from jobs.core.lifecycle.status import ENDED, AttemptOutcome, JobStatus

STATE_IS_WHOLE = (
    "CASE status "
    + " ".join(
        f"WHEN '{status}' THEN handled_at IS {'NOT ' if status in ENDED else ''}NULL "
        f"AND next_run_at IS {'' if status in ENDED else 'NOT '}NULL "
        f"AND lease_token IS {'NOT ' if status is JobStatus.RUNNING else ''}NULL "
        f"AND lease_expires_at IS {'NOT ' if status is JobStatus.RUNNING else ''}NULL"
        for status in JobStatus
    )
    + " ELSE false END"
)
"""The valid statuses and their columns: an end time for the ended ones, a lease for the running one."""


_FIRST = "'0001-01-01 00:00:00+00'"


_END = "'10000-01-01 00:00:00+00'"


def _can_be_read(*columns: str) -> str:
    """Return a constraint that instants are within Python's years, which excludes ``infinity``; null is allowed."""
    listed = ", ".join(columns)
    return f"LEAST({listed}) >= {_FIRST} AND GREATEST({listed}) < {_END}"


JOB_INSTANTS = _can_be_read(
    "next_run_at", "scheduled_for", "anchor", "armed_at", "lease_expires_at", "started_at", "last_run_at",
    "handled_at", "cancel_requested_at", "created_at", "updated_at",
)  # fmt: skip


JOB_VALUES = (
    "(timeout IS NULL OR timeout > '0'::interval AND timeout <= '366 days'::interval) "
    "AND (progress IS NULL OR progress >= 0 AND progress <= 1) "
    "AND (options IS NULL OR jsonb_typeof(options) = 'object')"
)


ATTEMPT_INSTANTS = _can_be_read("scheduled_for", "started_at", "finished_at")


KNOWN_OUTCOME = "outcome IN (" + ", ".join(f"'{outcome}'" for outcome in AttemptOutcome) + ")"
