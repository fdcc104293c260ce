"""List jobs by a query, newest first, page by page."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from jobs.core.errors import InvalidInput
from jobs.core.lifecycle.status import AttemptOutcome
from jobs.core.lifecycle.transitions import UNKNOWN_HANDLER_DELAY
from jobs.core.paging import Row, cursor_of, decode_cursor, encode_cursor, fill_page, position_of, size_of_texts
from jobs.core.ports.jobs import AttemptPage, Page
from jobs.core.queries import INSTANT_FILTERS
from jobs.core.strict_json import write_json
from jobs.testing.memory.jsonb import contains, parsed
from jobs.testing.memory.rows import attempt_of, job_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from datetime import datetime

    from jobs.core.lifecycle.job import Json
    from jobs.core.queries import HistoryQuery, JobFilter, JobQuery
    from jobs.testing.memory.rows import AttemptRow, JobRow


def find_jobs(rows: Iterable[JobRow], lines: Iterable[AttemptRow], query: JobQuery, now: datetime) -> Page:
    """Return the page of ``rows`` that matches ``query`` at ``now``; ``lines`` is the history of all.

    Raises ``InvalidInput`` for an invalid cursor.
    """
    after = None if query.cursor is None else position_of(query.cursor)
    found = [row for row in selected(rows, lines, query, now) if after is None or (row.created_at, row.id) < after]
    found.sort(key=attrgetter("created_at", "id"), reverse=True)

    def size_of(row: JobRow) -> int:
        return size_of_texts(row.payload if query.payloads else None, row.metadata, row.result)

    page, more = fill_page(query.limit, _reader(found), size_of)
    jobs = [job_of(row) for row in page]
    if not query.payloads:
        jobs = [job.model_copy(update={"payload": None}) for job in jobs]
    return Page(jobs, cursor_of(jobs[-1]) if more else None)


def selected(rows: Iterable[JobRow], lines: Iterable[AttemptRow], wanted: JobFilter, now: datetime) -> Iterator[JobRow]:
    """Yield the rows that a filter selects."""
    without_handler = _without_handler(lines) if wanted.overdue is not None else frozenset()
    metadata = [_readings(key, readings) for key, readings in wanted.metadata.items()]
    for row in rows:
        if _matches(row, wanted, now, without_handler) and (not metadata or _has_metadata(row, metadata)):
            yield row


def find_attempts(rows: Iterable[AttemptRow], retries: Sequence[datetime], query: HistoryQuery) -> AttemptPage:
    """Return a page of ``rows``, newest first; ``retries`` is when their job was retried.

    Raises ``InvalidInput`` for an invalid cursor.
    """
    found = sorted(rows, key=place_in_history, reverse=True)
    if query.cursor is not None:
        moments, token = decode_cursor(query.cursor, 2)
        found = [row for row in found if place_in_history(row) < (*moments, token)]
    page, more = fill_page(query.limit, _reader(found), lambda row: size_of_texts(row.error, row.result))
    return AttemptPage(
        [attempt_of(row, retries) for row in page], encode_cursor(*place_in_history(page[-1])) if more else None
    )


def place_in_history(row: AttemptRow) -> tuple[datetime, datetime, UUID]:
    """Return what the history is sorted by."""
    return row.started_at, row.finished_at, UUID(row.token)


def _reader(rows: Sequence[Row]) -> Callable[[Row | None, int], Sequence[Row]]:
    """Return rows as a database does: a page at a time, after the last row read."""
    rest = iter(rows)
    ahead: list[Row] = []

    def read(_: Row | None, count: int) -> list[Row]:
        found = [*ahead, *islice(rest, count - len(ahead))]
        ahead[:] = found[count - 1 :]
        return found

    return read


def _matches(row: JobRow, query: JobFilter, now: datetime, without_handler: Collection[UUID]) -> bool:
    wanted = {"status": query.status, "handler_name": query.handler_name, "parent_id": query.parent_id}
    if any(any_of and getattr(row, name) not in any_of for name, any_of in wanted.items()):
        return False
    if query.failure and (row.last_error is None or row.failure not in query.failure):
        return False
    if (query.job_name or query.job_name_prefix) and not (
        row.job_name in query.job_name or row.job_name.startswith(query.job_name_prefix or ("\0",))
    ):
        return False
    overdue = row.waiting and (row.due_at < now or (row.id in without_handler and _is_put_off(row, now)))
    if any(
        asked not in {None, is_so}
        for asked, is_so in (
            (query.paused, row.kept_paused),
            (query.recurring, row.recurring),
            (query.overdue, overdue),
        )
    ):
        return False
    return all(
        _within(getattr(row, column), getattr(query, f"{name}_after"), getattr(query, f"{name}_before"))
        for name, column in INSTANT_FILTERS.items()
    )


def _without_handler(lines: Iterable[AttemptRow]) -> frozenset[UUID]:
    """Return the jobs whose latest attempt found no handler."""
    latest = {line.job_id: line for line in sorted(lines, key=place_in_history)}
    return frozenset(each for each, line in latest.items() if line.outcome == AttemptOutcome.UNKNOWN_HANDLER)


def _is_put_off(row: JobRow, now: datetime) -> bool:
    return row.scheduled_for is not None and row.scheduled_for < now and row.due_at < now + 2 * UNKNOWN_HANDLER_DELAY


def _within(moment: datetime | None, after: datetime | None, before: datetime | None) -> bool:
    if after is None and before is None:
        return True
    return moment is not None and (after is None or moment >= after) and (before is None or moment < before)


def _readings(key: str, readings: Iterable[Json]) -> list[Any]:
    """Return each reading of a value as an object to search for; one that no row can hold, such as NaN, is left out."""
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
