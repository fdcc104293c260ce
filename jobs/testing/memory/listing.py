"""List jobs by what operators ask for, newest first, page by page."""

from __future__ import annotations

from contextlib import suppress
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from jobs.core.errors import InvalidInput
from jobs.core.paging import cursor_of, place_of
from jobs.core.ports import Page
from jobs.core.strict_json import write_json
from jobs.testing.memory.jsonb import contains, parsed
from jobs.testing.memory.rows import job_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobs.core.commands import JobQuery
    from jobs.core.job import Json
    from jobs.testing.memory.rows import JobRow


def find_jobs(rows: Iterable[JobRow], query: JobQuery) -> Page:
    """Run ``query`` over ``rows``. Raises ``InvalidInput`` for a cursor that this app did not give."""
    after = None if query.cursor is None else place_of(query.cursor)
    wanted = [_readings(key, readings) for key, readings in query.metadata.items()]
    found = [
        row
        for row in rows
        if _matches(row, query)
        and (after is None or (row.created_at, row.id) < after)
        and (not wanted or _has_metadata(row, wanted))
    ]
    found.sort(key=attrgetter("created_at", "id"), reverse=True)
    jobs = [job_of(row) for row in found[: query.limit]]
    return Page(jobs, cursor_of(jobs[-1]) if len(found) > query.limit else None)


def _matches(row: JobRow, query: JobQuery) -> bool:
    if query.status and row.status not in query.status:
        return False
    if query.due_before is not None and (row.next_run_at is None or row.next_run_at >= query.due_before):
        return False
    return query.handler_name in {None, row.handler_name} and query.job_name in {None, row.job_name}


def _readings(key: str, readings: Iterable[Json]) -> list[Any]:
    """Give each reading of a value as an object to be contained; one that no row can hold, such as NaN, is left out."""
    found = []
    for reading in readings:
        with suppress(InvalidInput):
            found.append(parsed(write_json({key: reading})))
    return found


def _has_metadata(row: JobRow, wanted: list[list[Any]]) -> bool:
    if row.metadata == "{}":
        return False
    metadata = parsed(row.metadata)
    return all(any(contains(metadata, reading) for reading in readings) for readings in wanted)
