"""Failures grouped by their cause, on PostgreSQL."""

from __future__ import annotations

import json
from datetime import UTC
from typing import TYPE_CHECKING, Any
from uuid import UUID

from jobs.adapters.postgres.statements.failures import failure_statements
from jobs.adapters.postgres.statements.figures import figure_statements
from jobs.adapters.postgres.stores.upkeep.statistics import TIME_LIMIT_SECONDS
from jobs.core.lifecycle.figures import COUNT_TO
from jobs.core.lifecycle.status import AttemptOutcome
from jobs.core.ports.failures import MOST_CAUSES, FailureGroup, FailureGroups, FailureSample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.adapters.postgres.connection.database import Database
    from jobs.core.queries import FailureQuery


class PostgresFailureLog:
    """The ``FailureLog`` port on PostgreSQL."""

    def __init__(self, database: Database, schema: str) -> None:
        self._run = database.run_locked
        self._statements = failure_statements(schema)
        self._limit_time = figure_statements(schema).limit_time

    def find(self, query: FailureQuery, count_to: int = COUNT_TO) -> FailureGroups:
        """Return the groups of the query's window, by one statement with a time limit."""
        values: dict[str, Any] = {
            "milliseconds": str(round(TIME_LIMIT_SECONDS * 1000)),
            "window": query.window,
            "handler_names": list(query.handler_name) or None,
            "limit": query.limit,
            "bound": count_to + 1,
            "causes": MOST_CAUSES,
        }
        statement = self._statements.find_of if query.handler_name else self._statements.find
        rows = self._run(self._limit_time, statement, values)
        more = len(rows) > query.limit or any(row[-1] >= MOST_CAUSES for row in rows[:1])
        return FailureGroups([_group(row) for row in rows[: query.limit]], more)


def _group(row: Sequence[Any]) -> FailureGroup:
    failure, count, first_at, last_at, handlers, still_failed, job_id, handler_name, outcome, error, _ = row
    last_at = last_at.astimezone(UTC)
    sample = FailureSample(UUID(job_id), handler_name, AttemptOutcome(outcome), error, last_at)
    return FailureGroup(
        failure,
        int(count),
        first_at.astimezone(UTC),
        last_at,
        tuple(sorted(json.loads(handlers))),
        still_failed,
        sample,
    )
