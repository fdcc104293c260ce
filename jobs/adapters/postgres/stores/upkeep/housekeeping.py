"""Queries and clean-up on PostgreSQL for the reconciler and operators. Each call is bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from jobs.adapters.postgres.statements.figures import figure_statements
from jobs.adapters.postgres.statements.housekeeping import housekeeping_statements
from jobs.adapters.postgres.statements.limits import limit_statements
from jobs.adapters.postgres.stores.rows import alarm_of
from jobs.adapters.postgres.stores.upkeep.statistics import statistics
from jobs.core.lifecycle.figures import COUNT_TO
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.limits import OutdatedLimitFlag
from jobs.core.ports.housekeeping import Failures, JobPosition, PrunedHistory, Wait
from jobs.core.ports.scheduler import Alarm

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import timedelta

    from jobs.adapters.postgres.connection.database import Database
    from jobs.core.lifecycle.limits import LimitFlag
    from jobs.core.ports.housekeeping import HistoryLimit


class PostgresHousekeeping:
    """The ``Housekeeping`` port on PostgreSQL."""

    def __init__(self, database: Database, schema: str) -> None:
        self._database = database
        self._run = database.run
        self._run_after = database.run_locked
        self._statements = housekeeping_statements(schema)
        self._figures = figure_statements(schema)
        self._limits = limit_statements(schema)

    def reap(self, limit: int, *, max_lost: int) -> list[tuple[AlarmName, Alarm | None]]:
        """Reschedule or end runs whose lease has expired."""
        rows = self._run(self._statements.reap, {"limit": limit, "max_lost": max_lost})
        return [(name := AlarmName(UUID(row[0]), row[1]), Alarm(name, row[2]) if row[2] else None) for row in rows]

    def unarmed(self, limit: int, within: timedelta, *, after: Alarm | None = None) -> list[Alarm]:
        """Return alarms that no scheduler has accepted."""
        values = {"limit": limit, "within": within} | _after_values(after)
        return [alarm_of(row) for row in self._run(self._statements.unarmed, values)]

    def overdue(self, limit: int, grace: timedelta, *, after: Alarm | None = None) -> list[Alarm]:
        """Return alarms that were due longer than ``grace`` ago."""
        values = {"limit": limit, "grace": grace} | _after_values(after)
        return [alarm_of(row) for row in self._run(self._statements.overdue, values)]

    def prune(self, limit: int, retention: timedelta, *, keep: int) -> int:
        """Delete jobs that ended long ago, with their history."""
        [(count,)] = self._run(self._statements.prune, {"limit": limit, "retention": retention, "keep": keep})
        return int(count)

    def prune_history(
        self, limit: HistoryLimit, retention: timedelta, *, keep: int, after: JobPosition | None
    ) -> PrunedHistory:
        """Delete old attempts and audit rows of one page of jobs, the oldest first if there are more than the limit."""
        created_at, job_id = after or (None, None)
        values = {"retention": retention, "keep": keep, "created_at": created_at, "id": job_id}
        [(attempts, audit, seen, last_created_at, last_id)] = self._run_after(
            self._statements.in_index_order, self._statements.prune_history, values | limit._asdict()
        )
        if limit.rows in (attempts, audit):
            return PrunedHistory(attempts, audit, after, more=True)  # these jobs may have more
        last = JobPosition(last_created_at, UUID(last_id)) if seen else None
        return PrunedHistory(attempts, audit, last, more=seen == limit.jobs)

    def prune_keys(self, limit: int, retention: timedelta) -> int:
        """Delete idempotency keys older than ``retention``."""
        return len(self._run(self._statements.prune_keys, {"limit": limit, "retention": retention}))

    def prune_locks(self, limit: int, retention: timedelta) -> int:
        """Delete locks that were not held within ``retention``."""
        return len(self._run(self._statements.prune_locks, {"limit": limit, "retention": retention}))

    def outdated_limit_flags(
        self, limit: int, *, limited: Collection[str], known: Collection[str], grace: timedelta
    ) -> list[OutdatedLimitFlag]:
        """Return active jobs whose limit flag does not match the handlers of this release."""
        values = {"limit": limit, "limited": sorted(limited), "known": sorted(known), "grace": grace}
        rows = self._run(self._limits.outdated_limit_flags, values)
        return [OutdatedLimitFlag(UUID(row[0]), *row[1:]) for row in rows]

    def set_limit_flags(self, flags: Sequence[LimitFlag]) -> int:
        """Set the limit flags of active jobs; returns how many were still active."""
        ids, limited, keys = zip(*flags, strict=True)
        return len(self._run(self._limits.set_limit_flags, {"ids": ids, "limited": limited, "keys": keys}))

    def longest_wait(self, limit: int) -> Wait:
        """Return the number of due jobs, up to ``limit``, and how long the longest-waiting one has been due."""
        [(due, seconds)] = self._run(self._statements.longest_wait, {"limit": limit})
        return Wait(due, seconds)

    def recent_failures(self, window: timedelta) -> Failures:
        """Return how many attempts failed or lost their worker within ``window``."""
        [(failed, lost)] = self._run(self._statements.recent_failures, {"window": window})
        return Failures(failed, lost)

    def stats(self, count_to: int = COUNT_TO) -> dict[str, Any]:
        """Return bounded counts of jobs, of due jobs, and of the attempts of the last five minutes."""
        return statistics(self._database, self._figures, count_to)

    def ping(self) -> None:
        """Read from the table and write a temporary file; raises if the database is down, not migrated or full."""
        self._run(self._statements.ping, {})


def _after_values(alarm: Alarm | None) -> dict[str, Any]:
    return {"after_due": alarm and alarm.due_at, "after_id": alarm and alarm.name.job_id}
