"""List jobs by what operators ask for, newest first, page by page."""

from __future__ import annotations

from contextlib import suppress
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from jobs.core.commands import INSTANT_FILTERS
from jobs.core.errors import InvalidInput
from jobs.core.paging import cursor_of, place_of
from jobs.core.ports import Page
from jobs.core.strict_json import write_json
from jobs.testing.memory.jsonb import contains, parsed
from jobs.testing.memory.rows import job_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from jobs.core.commands import JobQuery
    from jobs.core.job import Json
    from jobs.testing.memory.rows import JobRow


def find_jobs(rows: Iterable[JobRow], query: JobQuery, now: datetime) -> Page:
    """Run ``query`` over ``rows`` at ``now``. Raises ``InvalidInput`` for a cursor that this app did not give."""
    after = None if query.cursor is None else place_of(query.cursor)
    wanted = [_readings(key, readings) for key, readings in query.metadata.items()]
    found = [
        row
        for row in rows
        if _matches(row, query, now)
        and (after is None or (row.created_at, row.id) < after)
        and (not wanted or _has_metadata(row, wanted))
    ]
    found.sort(key=attrgetter("created_at", "id"), reverse=True)
    jobs = [job_of(row) for row in found[: query.limit]]
    if not query.payloads:
        jobs = [job.model_copy(update={"payload": None}) for job in jobs]
    return Page(jobs, cursor_of(jobs[-1]) if len(found) > query.limit else None)


def _matches(row: JobRow, query: JobQuery, now: datetime) -> bool:
    wanted = {"status": query.status, "handler_name": query.handler_name, "parent_id": query.parent_id}
    if any(any_of and getattr(row, name) not in any_of for name, any_of in wanted.items()):
        return False
    if (query.job_name or query.job_name_prefix) and not (
        row.job_name in query.job_name or row.job_name.startswith(query.job_name_prefix or ("\0",))
    ):
        return False
    overdue = row.waiting and row.due_at < now
    if any(
        asked not in {None, is_so}
        for asked, is_so in ((query.paused, row.paused), (query.recurring, row.recurring), (query.overdue, overdue))
    ):
        return False
    return all(
        _within(getattr(row, column), getattr(query, f"{name}_after"), getattr(query, f"{name}_before"))
        for name, column in INSTANT_FILTERS.items()
    )


def _within(moment: datetime | None, after: datetime | None, before: datetime | None) -> bool:
    if after is None and before is None:
        return True
    return moment is not None and (after is None or moment >= after) and (before is None or moment < before)


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
