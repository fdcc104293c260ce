"""Bounded figures on PostgreSQL: each group by one statement with a time limit of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.adapters.postgres.connection.driver.faults import sqlstate
from jobs.core.errors import StoreUnavailable
from jobs.core.lifecycle.figures import RATE_WINDOW, Figures

if TYPE_CHECKING:
    from jobs.adapters.postgres.connection.database import Database
    from jobs.adapters.postgres.connection.driver.encoding import Statement
    from jobs.adapters.postgres.statements.figures import FigureStatements

TIME_LIMIT_SECONDS = 2.0
_EXAMINED = 2
"""How many of the newest jobs are looked at for completed ones, in bounds."""


def statistics(database: Database, statements: FigureStatements, count_to: int) -> dict[str, Any]:
    """Return counts of jobs, of due jobs, and of recent attempts; a group that takes too long is left out."""
    figures, limit = Figures(count_to), count_to + 1

    def rows(statement: Statement, **values: Any) -> list[tuple[Any, ...]] | None:
        bounded = {"limit": limit, "milliseconds": str(round(TIME_LIMIT_SECONDS * 1000))} | values
        try:
            return database.run_locked(statements.limit_time, statement, bounded)
        except StoreUnavailable as error:
            if error.__cause__ is not None and sqlstate(error.__cause__) == "57014":  # cancelled by the time limit
                return None
            raise

    counts = rows(statements.counts, examined=_EXAMINED * limit)
    if counts is None:
        figures.out_of_time("jobs", "paused", "handlers")
    else:
        [examined] = [row[2] for row in counts if row[0] is None]
        found: list[Any] = [row for row in counts if row[0] is not None]
        figures.jobs(found, {"Completed": examined == _EXAMINED * limit})
    due = rows(statements.lateness)
    if due is None:
        figures.out_of_time("due")
    else:
        [(count, latest, unarmed, throttled, late)] = due
        figures.due(count, unarmed, throttled, latest, late)
    recent: list[Any] | None = rows(statements.rates, window=RATE_WINDOW)
    if recent is None:
        figures.out_of_time("recent")
    else:
        figures.recent(recent)
    return figures.answer()
