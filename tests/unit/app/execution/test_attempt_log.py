"""The line that the log has for each attempt: how it ended, and what follows."""

from __future__ import annotations

import logging
import re
from datetime import timedelta

import pytest
from pydantic import BaseModel

from jobs import Cancel, Discard, HandlerRegistry, JobContext, Retry, RetryPolicy, Snooze
from jobs.testing import JobsHarness


class Args(BaseModel):
    raises: str = ""


RAISED = {
    "": None,
    "error": ValueError("boom"),
    "never": KeyError("lost"),
    "discard": Discard("in vain"),
    "cancel": Cancel(),
    "snooze": Snooze(timedelta(seconds=7)),
    "retry": Retry(timedelta(hours=2)),
}


@pytest.fixture
def jobs(caplog):
    def fall(args: Args) -> None:
        if RAISED[args.raises] is not None:
            raise RAISED[args.raises]

    def complete(args: Args, ctx: JobContext) -> None:
        with ctx.unit_of_work() as work:
            work.complete()

    registry = HandlerRegistry()
    policy = RetryPolicy(max_retries=2, base=timedelta(seconds=4), jitter=False, never=(KeyError,))
    registry.add_handler("Fall", fall, retry=policy)
    registry.add_handler("Complete", complete)
    caplog.set_level(logging.INFO, logger="jobs.dispatcher")
    with JobsHarness(registry) as jobs:
        yield jobs


def ends(caplog) -> list[str]:
    """What the lines at the ends of attempts say after the attempt's number, without traceback."""
    found = [re.search(r"attempt (\d: .*)", record.getMessage()) for record in caplog.records]
    return [match[1] for match in found if match]


def test_a_failed_attempt_says_when_it_is_tried_again_and_the_last_that_no_retries_are_left(jobs, caplog):
    jobs.enqueue("Fall", Args(raises="error"))
    jobs.advance(timedelta(minutes=1))
    first, second, third = ends(caplog)
    assert first.startswith("1: Failed, ValueError: boom")
    assert first.endswith("; again in 4 s")
    assert second.endswith("; again in 8 s")
    assert third.startswith("3: Failed, ValueError: boom")
    assert third.endswith("; no retries left")


@pytest.mark.parametrize(
    ("raises", "follows"),
    [
        ("", "Succeeded"),
        ("never", "; not retried"),
        ("discard", "Discarded, in vain; not retried"),
        ("cancel", "Cancelled, the handler cancelled the job"),
        ("snooze", "Snoozed, the handler snoozed; again in 7 s"),
        ("retry", "; again at 2026-06-01T14:00:00Z"),
    ],
)
def test_each_outcome_of_a_one_time_job_says_what_follows(jobs, caplog, raises, follows):
    jobs.enqueue("Fall", Args(raises=raises))
    jobs.drain()
    [line] = ends(caplog)
    assert line.endswith(follows)


@pytest.mark.parametrize(
    ("raises", "follows"),
    [
        ("", "1: Succeeded; next run at 2026-06-03T00:00:00Z"),
        ("never", "; not retried; next run at 2026-06-03T00:00:00Z"),
        ("cancel", "Cancelled, the handler cancelled the job; no run follows"),
        ("error", "; again in 4 s"),
    ],
)
def test_an_attempt_of_a_recurring_job_says_when_the_next_run_is(jobs, caplog, raises, follows):
    jobs.enqueue("Fall", Args(raises=raises), schedule="@daily")
    jobs.advance(timedelta(hours=12))
    assert ends(caplog)[0].endswith(follows)


def test_a_retry_that_the_next_run_precedes_is_not_promised(jobs, caplog):
    jobs.enqueue("Fall", Args(raises="error"), schedule="@every 3s")
    jobs.advance(timedelta(seconds=3))
    assert ends(caplog)[0].endswith("; not retried, as the next run comes first; next run in 3 s")


def test_the_last_run_of_a_recurring_job_says_that_none_follows(jobs, caplog):
    jobs.enqueue("Fall", Args(), schedule="@daily", max_runs=1)
    jobs.advance(timedelta(days=2))
    assert ends(caplog) == ["1: Succeeded; no run follows"]


def test_a_run_that_its_handler_completed_says_when_the_next_one_is(jobs, caplog):
    jobs.enqueue("Complete", Args(), schedule="@daily")
    jobs.advance(timedelta(hours=12))
    assert ends(caplog) == ["1: Succeeded; next run at 2026-06-03T00:00:00Z"]
