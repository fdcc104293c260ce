"""Pages of jobs and of their histories, bounded in rows and in bytes, from either store."""

from __future__ import annotations

import json

import pytest

from jobs.core.errors import InvalidInput
from jobs.core.lifecycle.job import RunResult
from jobs.core.lifecycle.status import AttemptOutcome
from jobs.core.paging import MAX_PAGE_BYTES, ROWS_AT_ONCE
from jobs.core.queries import HistoryQuery, JobQuery
from tests.contract.stores import SECOND, Stores

LARGE = json.dumps({"text": "x" * 255 * 1024})


def flat(found: list[list]) -> list:
    return [each for page in found for each in page]


def pages(stores: Stores, **query) -> list[list[str]]:
    found, cursor = [], None
    while not found or cursor is not None:
        page = stores.jobs.find(JobQuery(**query, cursor=cursor))
        found.append([job.job_name for job in page.jobs])
        cursor = page.cursor
    return found


@pytest.mark.parametrize("field", ["payload", "metadata"])
def test_a_page_of_large_jobs_ends_early_and_the_next_goes_on_from_there(stores: Stores, field: str):
    names = [stores.add(f"job {n}", **{field: LARGE}).job_name for n in range(10)]
    found = pages(stores, limit=500)
    fit = MAX_PAGE_BYTES // len(LARGE)
    assert [len(page) for page in found[:-1]] == [fit] * (len(found) - 1)
    assert sorted(flat(found)) == names


def test_a_job_that_is_larger_than_a_page_is_alone_on_it(stores: Stores):
    huge = json.dumps({"texts": ["ü" * 400_000, "x" * 500_000]})
    for n in range(3):
        stores.add(f"huge {n}", payload=huge)
        stores.add(f"small {n}")
    found = pages(stores, limit=500)
    assert sorted(flat(found)) == sorted(f"{size} {n}" for size in ("huge", "small") for n in range(3))
    assert all(sum(name.startswith("huge") for name in page) <= 1 for page in found)


@pytest.mark.parametrize("limit", [1, ROWS_AT_ONCE - 1, ROWS_AT_ONCE, ROWS_AT_ONCE + 1, 2 * ROWS_AT_ONCE, 500])
def test_pages_of_small_jobs_are_as_long_as_was_asked_for(stores: Stores, limit: int):
    count = 2 * ROWS_AT_ONCE + 1
    names = {stores.add(f"job {n}").job_name for n in range(count)}
    found = pages(stores, limit=limit)
    assert [len(page) for page in found[:-1]] == [limit] * ((count - 1) // limit)
    assert (len(flat(found)), set(flat(found))) == (count, names)


def attempted(stores: Stores, count: int, **fields) -> object:
    """Make a job with so many failed attempts, always two of them at the same instants."""
    job = stores.add()
    for number in range(count):
        stores.again(stores.claim(stores.read(job.id)), attempt=number % 1000, **fields)
        if number % 2:
            stores.pass_time(SECOND)
    return job.id


def histories(stores: Stores, job_id, limit: int) -> list[list[int]]:
    found, cursor = [], None
    while not found or cursor is not None:
        page = stores.jobs.find_attempts(job_id, HistoryQuery(limit=limit, cursor=cursor))
        found.append([attempt.attempt for attempt in page.attempts])
        cursor = page.cursor
    return found


def test_a_history_comes_in_pages_each_attempt_once(stores: Stores):
    job_id = attempted(stores, 7)
    whole = [attempt.attempt for attempt in stores.jobs.attempts(job_id)]
    for limit in (1, 2, 3, 7, 8):
        found = histories(stores, job_id, limit)
        assert [len(page) for page in found[:-1]] == [limit] * (6 // limit)
        assert flat(found) == whole


def test_a_page_of_large_attempts_ends_early(stores: Stores):
    result = RunResult(AttemptOutcome.FAILED, "x" * 8_000, retry=True, result=json.dumps("y" * 60_000))
    job_id = attempted(stores, 40, result=result)
    found = histories(stores, job_id, 500)
    assert len(found) == 3
    assert flat(found) == [attempt.attempt for attempt in stores.jobs.attempts(job_id)]


@pytest.mark.parametrize("cursor", ["", "x", "???", "MjAyNi0wMS0wMVQwMDowMDowMFo"])
def test_a_cursor_that_was_not_given_is_refused(stores: Stores, cursor: str):
    job = stores.add()
    with pytest.raises(InvalidInput, match="next link"):
        stores.jobs.find_attempts(job.id, HistoryQuery(cursor=cursor))
    with pytest.raises(InvalidInput, match="next link"):
        stores.jobs.find(JobQuery(cursor=cursor))


def test_a_job_without_a_history_has_an_empty_page(stores: Stores):
    page = stores.jobs.find_attempts(stores.add().id, HistoryQuery())
    assert (page.attempts, page.cursor) == ([], None)
