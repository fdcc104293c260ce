"""Repairs after PostgreSQL's clock ran ahead and was set back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from jobs.adapters.postgres.statements.setbacks import setback_statements
from jobs.adapters.postgres.stores.rows import alarm_of
from jobs.core.lifecycle.clock_setback import LatestRecord, SetBack, WaitingJob, WaitingPage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from jobs.adapters.postgres.connection.clock import DatabaseClock
    from jobs.adapters.postgres.connection.database import Database
    from jobs.core.ports.scheduler import Alarm

_NEVER = datetime.max.replace(tzinfo=UTC)


class PostgresSetbacks:
    """The ``Setbacks`` port on PostgreSQL."""

    def __init__(self, database: Database, schema: str, clock: DatabaseClock | None = None) -> None:
        """``clock`` is corrected by the database's time, which ``latest_record`` reads anyway."""
        self._clock = clock
        self._run = database.run
        self._statements = setback_statements(schema)

    def latest_record(self) -> LatestRecord:
        """Return the current time, and the latest time at which any row was written."""
        asked = 0.0 if self._clock is None else self._clock.mark()
        [(now, written_at)] = self._run(self._statements.latest_record, {})
        if self._clock is not None:
            self._clock.correct(asked, now)
        return LatestRecord(now, written_at)

    def waiting(self, limit: int, after: WaitingJob | None) -> WaitingPage:
        """Return a page of jobs that are not due yet, starting after ``after``."""
        due_at, job_id = (None, None) if after is None else (after.due_at, after.id)
        rows = self._run(self._statements.waiting, {"limit": limit, "after_at": due_at, "after_id": job_id})
        return WaitingPage(rows[0][-1] if rows else _NEVER, [WaitingJob(UUID(row[0]), *row[1:-1]) for row in rows])

    def set_back(self, moves: Sequence[SetBack]) -> list[Alarm]:
        """Set the times of waiting jobs; returns the alarms of those that had not changed."""
        texts = json.dumps([move._asdict() for move in moves], default=str)
        return [alarm_of(row) for row in self._run(self._statements.set_back, {"moves": texts})]

    def shorten_leases(self, lease: timedelta) -> int:
        """Shorten leases that last too long; returns how many."""
        return len(self._run(self._statements.shorten_leases, {"lease": lease}))
