"""A job's history, newest first, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from jobs.adapters.postgres.stores.rows import attempt_of
from jobs.core.paging import decode_cursor, encode_cursor, fill_page, size_of_texts
from jobs.core.ports.jobs import AttemptPage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.adapters.postgres.connection.database import Database
    from jobs.adapters.postgres.connection.driver.encoding import Statement
    from jobs.core.lifecycle.job import Attempt
    from jobs.core.queries import HistoryQuery

_FIRST: dict[str, Any] = {"after_started": None, "after_finished": None, "after_token": None}
_STARTED, _FINISHED, _TOKEN = 3, 4, -1


def latest_attempts(database: Database, statement: Statement, job_id: UUID, limit: int) -> list[Attempt]:
    """Return a job's latest attempts, newest first."""
    rows = database.run(statement, {"id": job_id, "limit": limit} | _FIRST)
    return [attempt_of(row[:_TOKEN]) for row in rows]


def find_attempts(database: Database, statement: Statement, job_id: UUID, query: HistoryQuery) -> AttemptPage:
    """Return one page of a job's attempts; raises ``InvalidInput`` for an invalid cursor."""
    begin = _FIRST if query.cursor is None else _after(*decode_cursor(query.cursor, 2))

    def read(last: Sequence[Any] | None, count: int) -> list[tuple[Any, ...]]:
        place = begin if last is None else _after(_moments(last), UUID(last[_TOKEN]))
        return database.run(statement, {"id": job_id, "limit": count} | place)

    rows, more = fill_page(query.limit, read, _size)
    cursor = encode_cursor(*_moments(rows[-1]), UUID(rows[-1][_TOKEN])) if more else None
    return AttemptPage([attempt_of(row[:_TOKEN]) for row in rows], cursor)


def _moments(row: Sequence[Any]) -> list[Any]:
    return [row[_STARTED], row[_FINISHED]]


def _after(moments: list[Any], token: UUID) -> dict[str, Any]:
    return dict(zip(_FIRST, (*moments, token), strict=True))


def _size(row: Sequence[Any]) -> int:
    return size_of_texts(*(value for value in row if isinstance(value, str)))
