"""Queries and clean-up for the reconciler and operators."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from jobs.core.lifecycle.figures import COUNT_TO
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.limits import LimitFlag, OutdatedLimitFlag
from jobs.core.ports.scheduler import Alarm


class Wait(NamedTuple):
    """How many jobs are due and not yet running, and for how many seconds the longest-waiting one has been due."""

    due: int
    seconds: float


class Failures(NamedTuple):
    """Attempts that failed: in their handler, or by the loss of their worker."""

    failed: int
    lost: int


class JobPosition(NamedTuple):
    """A job's position in the order of creation."""

    created_at: datetime
    id: UUID


class HistoryLimit(NamedTuple):
    """The bounds of one call: jobs to examine, and history rows to delete (attempts and audit rows, each)."""

    jobs: int
    rows: int


class PrunedHistory(NamedTuple):
    """How much was deleted, and the ``after`` of the next call; ``more`` is False once all jobs were examined."""

    attempts: int
    audit: int
    after: JobPosition | None
    more: bool


class Housekeeping(Protocol):
    """Queries and clean-up for the reconciler. Each call is one bounded statement."""

    def reap(self, limit: int, *, max_lost: int) -> list[tuple[AlarmName, Alarm | None]]:
        """Reschedule runs whose lease has expired; fail a one-time job that is the cause of its workers' deaths.

        A job is the cause if it was lost ``max_lost`` times in a row, the last time while it ran alone. Recurring jobs
        of that kind are left to ``RunStore.claim_convicted``. Returns each job's alarm name with its next alarm, None
        for a job that has ended.
        """

    def unarmed(self, limit: int, within: timedelta, *, after: Alarm | None = None) -> list[Alarm]:
        """Return alarms that no scheduler has accepted and that are due within ``within``.

        The earliest first, starting after ``after``.
        """

    def overdue(self, limit: int, grace: timedelta, *, after: Alarm | None = None) -> list[Alarm]:
        """Return alarms that were due longer than ``grace`` ago, the earliest first, starting after ``after``."""

    def prune(self, limit: int, retention: timedelta, *, keep: int) -> int:
        """Delete jobs that ended longer than ``retention`` ago, with their history; returns how many.

        Jobs with more than ``keep`` attempts stay until ``prune_history`` has deleted the rest.
        """

    def prune_history(
        self, limit: HistoryLimit, retention: timedelta, *, keep: int, after: JobPosition | None
    ) -> PrunedHistory:
        """Delete attempts and audit rows older than ``retention``, except each job's newest ``keep`` attempts.

        Goes through the jobs in the order of creation, starting after ``after``. Deletes nothing while another instance
        does.
        """

    def prune_keys(self, limit: int, retention: timedelta) -> int:
        """Delete idempotency keys older than ``retention``; returns how many."""

    def prune_locks(self, limit: int, retention: timedelta) -> int:
        """Delete locks that were released or expired longer than ``retention`` ago; returns how many."""

    def outdated_limit_flags(
        self, limit: int, *, limited: Collection[str], known: Collection[str], grace: timedelta
    ) -> list[OutdatedLimitFlag]:
        """Return running and due jobs whose limit flag does not match the handlers of this release.

        Jobs of ``limited`` handlers must have the flag; jobs of other ``known`` handlers must not. Jobs of unknown
        handlers must not have it either once they are due longer than ``grace`` ago, since no instance claims them.
        """

    def set_limit_flags(self, flags: Sequence[LimitFlag]) -> int:
        """Set the limit flags of active jobs. Returns how many were still active."""

    def longest_wait(self, limit: int) -> Wait:
        """Count due jobs, up to ``limit``, and return how long the longest-waiting one has been due.

        Paused jobs are not due. Jobs of a handler with limits are left out, since they may be throttled.
        """

    def recent_failures(self, window: timedelta) -> Failures:
        """Count the attempts that failed within ``window``, including those that are retried."""

    def stats(self, count_to: int = COUNT_TO) -> dict[str, Any]:
        """Return the number of jobs by status and handler, with lateness and recent rates.

        Counts are exact up to ``count_to``. ``at_least`` names those that are lower bounds, ``incomplete`` the groups
        that could not be had within the store's time limit, which are None then.
        """

    def ping(self) -> None:
        """Check that the database responds, is migrated and accepts writes.

        Raises ``StoreUnavailable``, ``NotMigrated`` or ``StoreTakesNoWrites`` if not.
        """
