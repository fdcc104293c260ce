"""Time series of attempts on PostgreSQL."""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING

from jobs.adapters.postgres.statements.series import series_statements
from jobs.core.lifecycle.figures import Step
from jobs.core.ports.series import Bucket, Counted, Totals

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime, timedelta

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

    def last_counted(self) -> datetime | None:
        """Return when the latest minute that was counted began."""
        [(at,)] = self._run(self._statements.last_counted, {})
        return None if at is None else at.astimezone(UTC)

    def find(self, step: Step, handler_names: Collection[str]) -> list[Bucket]:
        """Return the buckets of these handlers."""
        values = {"step": step.value, "handler_names": sorted(handler_names), "span": step.span}
        rows = self._run(self._statements.find, values)
        return [Bucket._make((row[0].astimezone(UTC), *row[1:-1], _durations(row[-1]))) for row in rows]

    def totals(self, handler_names: Collection[str], window: timedelta) -> list[Totals]:
        """Return the sums of the hours of these handlers that began within ``window``."""
        values = {"handler_names": sorted(handler_names), "window": window}
        return [Totals._make((*row[:-1], _durations(row[-1]))) for row in self._run(self._statements.totals, values)]


def _durations(text: str | None) -> dict[int, int]:
    return {} if text is None else {int(bucket): count for bucket, count in json.loads(text).items()}
