"""Time series of attempts on PostgreSQL."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from jobs.adapters.postgres.statements.series import series_statements
from jobs.core.lifecycle.figures import Step
from jobs.core.ports.series import Bucket, Counted

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import timedelta

    from jobs.adapters.postgres.connection.database import Database


class PostgresSeries:
    """The ``SeriesStore`` port on PostgreSQL."""

    def __init__(self, database: Database, schema: str) -> None:
        self._run = database.run
        self._statements = series_statements(schema)

    def count(self, late_after: timedelta) -> Counted:
        """Count a few minutes more, and add up their hours."""
        rows = self._run(self._statements.count, {"late_after": late_after})
        if not rows:
            return Counted(None, more=False)
        [(until, more, low)] = rows
        self._run(self._statements.add_up, {"low": low})
        return Counted(until.astimezone(UTC), more)

    def find(self, step: Step, handler_names: Collection[str]) -> list[Bucket]:
        """Return the buckets of these handlers."""
        values = {"step": step.value, "handler_names": sorted(handler_names), "span": step.span}
        return [Bucket(row[0].astimezone(UTC), *row[1:]) for row in self._run(self._statements.find, values)]
