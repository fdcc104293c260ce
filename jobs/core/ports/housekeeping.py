"""Queries and clean-up for the reconciler and operators."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.limits import LimitFlag, OutdatedLimitFlag
from jobs.core.ports.scheduler import Alarm


class Wait(NamedTuple):
    """How many jobs are due and not yet running, and for how many seconds the latest of them has been."""

    due: int
    seconds: float


class Failures(NamedTuple):
    """Attempts that ended badly: by their handler, and by the loss of their worker."""

    failed: int
    lost: int


class JobPosition(NamedTuple):
    """A job's place among all, by when it was created."""

    created_at: datetime
    id: UUID


class HistoryLimit(NamedTuple):
    """How far one call goes: jobs to look at, and lines of history to delete, of attempts as well as of the audit."""

    jobs: int
    rows: int


class PrunedHistory(NamedTuple):
    """How much was deleted, and the ``after`` of the next call; ``more`` is False once all jobs were looked at."""

    attempts: int
    audit: int
    after: JobPosition | None
    more: bool


class Housekeeping(Protocol):
    """Queries and clean-up for the reconciler. Each call is one bounded statement."""

    def reap(self, limit: int, *, max_lost: int) -> list[tuple[AlarmName, Alarm | None]]:
        """Take back runs whose lease has expired; a one-time job that is what ends its workers is failed.

        That it is if it was lost ``max_lost`` times in a row, and alone when it last was. A recurring one is left to
        ``RunStore.claim_convicted``. Returns each job with its next alarm, None where it has ended.
        """

    def unarmed(self, limit: int, within: timedelta, *, after: Alarm | None = None) -> list[Alarm]:
        """List alarms that no scheduler has accepted, due within that time, the earliest first and behind ``after``."""

    def overdue(self, limit: int, grace: timedelta, *, after: Alarm | None = None) -> list[Alarm]:
        """List alarms that should have rung longer than ``grace`` ago, the earliest first and behind ``after``."""

    def prune(self, limit: int, retention: timedelta, *, keep: int) -> int:
        """Delete jobs that ended longer than ``retention`` ago, with their history; returns how many.

        Those with more than ``keep`` attempts wait until ``prune_history`` has deleted the rest.
        """

    def prune_history(
        self, limit: HistoryLimit, retention: timedelta, *, keep: int, after: JobPosition | None
    ) -> PrunedHistory:
        """Delete attempts and audit older than ``retention``, of any job, but never a job's newest ``keep`` attempts.

        Goes from job to job, the first created first, beginning behind ``after``. Deletes nothing while another does.
        """

    def prune_keys(self, limit: int, retention: timedelta) -> int:
        """Delete idempotency keys older than ``retention``; returns how many."""

    def prune_locks(self, limit: int, retention: timedelta) -> int:
        """Delete locks that were released or expired longer than ``retention`` ago; returns how many."""

    def outdated_limit_flags(
        self, limit: int, *, limited: Collection[str], known: Collection[str], grace: timedelta
    ) -> list[OutdatedLimitFlag]:
        """List running and due jobs whose mark is not what this release's handlers make of it.

        Those of ``limited`` handlers must be marked, those of other ``known`` ones must not; nor must those of unknown
        ones that are due longer than ``grace`` ago, which nobody seems to claim.
        """

    def set_limit_flags(self, flags: Sequence[LimitFlag]) -> int:
        """Set the limit flags of active jobs. Returns how many were still active."""

    def longest_wait(self, limit: int) -> Wait:
        """Count due jobs, up to ``limit``, and return how late the latest is.

        Paused jobs are not due; jobs of a handler with a limit are left out, since they may wait because of it.
        """

    def recent_failures(self, window: timedelta) -> Failures:
        """Count the attempts that ended badly within ``window``, also those that are tried again."""

    def stats(self) -> dict[str, Any]:
        """Count jobs by status and handler, with lateness and recent rates."""

    def ping(self) -> None:
        """Check that the database answers, is migrated and takes writes; raises what says which of these it is not."""
