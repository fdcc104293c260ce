"""List jobs by a query, newest first, page by page."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from jobs.adapters.postgres.connection.driver.encoding import Statement
from jobs.adapters.postgres.statements.jobs import JOB_COLUMNS, LISTED_COLUMNS, quoted
from jobs.adapters.postgres.stores.rows import job_of
from jobs.core.errors import InvalidInput
from jobs.core.lifecycle.transitions import UNKNOWN_HANDLER_DELAY
from jobs.core.paging import cursor_of, fill_page, position_of, size_of_texts
from jobs.core.ports.jobs import Page
from jobs.core.queries import INSTANT_FILTERS
from jobs.core.strict_json import write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.adapters.postgres.connection.database import Database
    from jobs.core.queries import JobFilter, JobQuery


def find_jobs(database: Database, schema: str, query: JobQuery) -> Page:
    """Return the page that ``query`` selects. Keyset pagination: every page costs the same.

    Raises ``InvalidInput`` for an invalid cursor.
    """

    def read(last: Sequence[Any] | None, count: int) -> list[tuple[Any, ...]]:
        after = query if last is None else query.model_copy(update={"cursor": cursor_of(job_of(last))})
        return _rows(database, schema, after, count)

    rows, more = fill_page(query.limit, read, lambda row: size_of_texts(*row))
    jobs = [job_of(row) for row in rows]
    return Page(jobs, cursor_of(jobs[-1]) if more else None)


def _rows(database: Database, schema: str, query: JobQuery, count: int) -> list[tuple[Any, ...]]:
    conditions, values = _conditions(query)
    if query.cursor is not None:
        conditions.append("(j.created_at, j.id) < (cast(:after_at as timestamptz), cast(:after_id as uuid))")
        values["after_at"], values["after_id"] = position_of(query.cursor)
    where = _where(conditions, schema)
    sql = (
        f"select {JOB_COLUMNS if query.payloads else LISTED_COLUMNS} from {quoted(schema)}.jobs j where {where} "
        "order by j.created_at desc, j.id desc limit :limit"
    )
    return database.run(Statement.of(sa.text(sql)), values | {"limit": count})


def count_jobs(database: Database, schema: str, wanted: JobFilter, limit: int) -> int:
    """Count the jobs that ``wanted`` selects, up to ``limit``, the newest first, as a page of them is found."""
    conditions, values = _conditions(wanted)
    sql = (
        f"select count(*) from (select from {quoted(schema)}.jobs j where {_where(conditions, schema)} "
        "order by j.created_at desc, j.id desc limit :limit) as found"
    )
    [(count,)] = database.run(Statement.of(sa.text(sql)), values | {"limit": limit})
    return int(count)


def _conditions(query: JobFilter) -> tuple[list[str], dict[str, Any]]:
    conditions: list[str] = []
    values: dict[str, Any] = {}
    if query.status:
        # Literals and not parameters, so that the planner can use a partial index.
        conditions.append("j.status in (" + ", ".join(f"'{status.value}'" for status in query.status) + ")")
    if query.handler_name:
        conditions.append(_any_of("handler_name", "text", query.handler_name, values))
    if query.parent_id:
        conditions.append(_any_of("parent_id", "uuid", query.parent_id, values))
    if query.failure:
        # A release that does not know the column leaves it when it clears the error.
        conditions += [_any_of("failure", "text", query.failure, values), "j.last_error is not null"]
    if names := _name_conditions(query, values):
        conditions.append("(" + " or ".join(names) + ")")
    conditions += [
        f"{'' if getattr(query, name) else 'not '}{sql}"
        for name, sql in _YES_OR_NO.items()
        if getattr(query, name) is not None
    ]
    for name, column in INSTANT_FILTERS.items():
        for bound, operator in (("after", ">="), ("before", "<")):
            if (moment := getattr(query, f"{name}_{bound}")) is not None:
                conditions.append(f"j.{column} {operator} cast(:{name}_{bound} as timestamptz)")
                values[f"{name}_{bound}"] = moment
    if query.metadata:
        conditions.append(_metadata_condition(query, values))
    return conditions, values


def _where(conditions: list[str], schema: str) -> str:
    return (" and ".join(conditions) or "true").replace("{schema}", quoted(schema))


# The first line only narrows the search, generously: clocks differ.
_MISSES_ITS_HANDLER = f"""
  j.next_run_at < (select now() + interval '{2 * UNKNOWN_HANDLER_DELAY.total_seconds():g} seconds')
  and exists (select from (
      select outcome from {{schema}}.job_attempts where job_id = j.id
      order by started_at desc, finished_at desc, token desc limit 1
    ) latest where latest.outcome = 'UnknownHandler' and j.scheduled_for < (select now()))
"""

_YES_OR_NO = {
    "paused": "(j.paused and j.status in ('Scheduled', 'Running'))",
    "recurring": "j.recurring",
    "overdue": "("
    + " or ".join(
        f"(j.status = 'Scheduled' and not j.paused and {limited} and {due})"
        for limited in ("not j.limited", "j.limited")
        for due in ("j.next_run_at < (select now())", _MISSES_ITS_HANDLER)
    )
    + ")",
}
"""``overdue`` has four parts, each covered by one of the partial indexes."""


def _any_of(column: str, kind: str, wanted: tuple[Any, ...], values: dict[str, Any]) -> str:
    """Return the condition that the column is one of ``wanted``; a single value helps the planner's estimate."""
    values[column] = wanted[0] if len(wanted) == 1 else list(wanted)
    return f"j.{column} = " + (
        f"cast(:{column} as {kind})" if len(wanted) == 1 else f"any(cast(:{column} as {kind}[]))"
    )


def _name_conditions(query: JobFilter, values: dict[str, Any]) -> list[str]:
    conditions = [_any_of("job_name", "text", query.job_name, values)] if query.job_name else []
    for number, prefix in enumerate(query.job_name_prefix):
        conditions.append(f"starts_with(j.job_name, cast(:prefix_{number} as text))")
        values[f"prefix_{number}"] = prefix
    return conditions


def _metadata_condition(query: JobFilter, values: dict[str, Any]) -> str:
    """Return a condition that matches any reading of each value: ``OrderId=1`` in a URL is a number or a text.

    A reading that no row can contain, such as NaN, is left out.
    """
    wanted = ["j.metadata <> '{}'::jsonb"]
    for key, readings in query.metadata.items():
        parts = []
        for reading in readings:
            name = f"metadata_{len(values)}"
            with suppress(InvalidInput):
                values[name] = write_json({key: reading})
                parts.append(f"j.metadata @> cast(:{name} as jsonb)")
        wanted.append("(" + (" or ".join(parts) or "false") + ")")
    return "(" + " and ".join(wanted) + ")"
