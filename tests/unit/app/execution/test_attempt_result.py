"""What an attempt comes to by what its handler raised, alone or in a group, or returned."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from jobs import Cancel, Discard, HandlerRegistry, JobContext, Retry, RetryPolicy, Snooze
from jobs.core.lifecycle.handler_outcomes import ShutdownRequested
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.testing import JobsHarness, RanAttempt

SECRET = "ada@example.org"


class Nothing(BaseModel):
    """No arguments."""


def run(target: Callable[..., Any], retry: RetryPolicy | None = None, **fields: Any) -> RanAttempt:
    """Run a handler once."""
    registry = HandlerRegistry()
    registry.add_handler("Work", target, retry=retry)
    with JobsHarness(registry) as harness:
        return harness.run_handler("Work", **fields)


def raising(error: BaseException) -> Callable[..., None]:
    def handle(args: Nothing) -> None:
        raise error

    return handle


def group(*errors: BaseException) -> BaseExceptionGroup:
    """Errors as nested task groups raise them."""
    return BaseExceptionGroup("outer", [BaseExceptionGroup("inner", list(errors))])


@pytest.mark.parametrize(
    ("error", "outcome", "status"),
    [
        (Retry(after=60), AttemptOutcome.FAILED, JobStatus.SCHEDULED),
        (Snooze(60), AttemptOutcome.SNOOZED, JobStatus.SCHEDULED),
        (Discard("no"), AttemptOutcome.DISCARDED, JobStatus.FAILED),
        (Cancel("no"), AttemptOutcome.CANCELLED, JobStatus.CANCELLED),
        (ShutdownRequested(), AttemptOutcome.RELEASED, JobStatus.SCHEDULED),
    ],
    ids=str,
)
def test_a_signal_in_a_group_counts_as_if_it_was_raised_alone(error, outcome, status):
    for raised in (error, group(error)):
        ran = run(raising(raised))
        assert (ran.outcome, ran.job.status) == (outcome, status)
    if isinstance(error, Retry | Snooze):
        assert ran.job.next_run_at - ran.job.last_run_at == timedelta(seconds=60)


def test_of_several_in_a_group_what_ends_the_job_decides_and_a_snooze_hides_no_failure():
    never = RetryPolicy(never=(KeyError,))
    order = [Cancel("c"), Discard("d"), KeyError("never"), ShutdownRequested("s"), Retry(7), OSError("o"), Snooze(1)]
    outcomes = []
    while order:
        outcomes.append(run(raising(group(*reversed(order))), never).outcome)
        order.pop(0)
    assert [str(outcome) for outcome in outcomes] == [
        "Cancelled", "Discarded", "Failed", "Released", "Failed", "Failed", "Snoozed",
    ]  # fmt: skip


def test_an_exception_that_is_never_retried_is_final_in_a_group_too():
    ran = run(raising(group(OSError("down"), KeyError("k"))), RetryPolicy(never=(LookupError,)))
    assert ran.job.status is JobStatus.FAILED


def test_the_stored_text_of_a_group_names_the_inner_errors():
    ran = run(raising(group(OSError("down"), KeyError("k"))))
    assert "OSError: down" in ran.error
    assert "KeyError: 'k'" in ran.error
    beside = run(raising(group(Retry(7, reason="busy"), OSError("down"))))
    assert beside.error.startswith("busy; beside it: OSError: down")


class Later(Retry):
    def __init__(self, shop: str) -> None:
        self.shop = shop


class Sleepy(Snooze):
    def __init__(self) -> None:
        pass


class Odd(Retry):
    def __init__(self) -> None:
        self.after_seconds = "soon"


class Gone(Discard):
    def __init__(self) -> None:
        pass


class Down(ShutdownRequested):
    def __init__(self) -> None:
        pass


def test_a_retry_of_ones_own_that_calls_no_other_init_is_a_retry():
    ran = run(raising(Later("Rome")), RetryPolicy(base=timedelta(seconds=10), jitter=False))
    assert (ran.outcome, ran.job.status, ran.error) == (AttemptOutcome.FAILED, JobStatus.SCHEDULED, "Rome")
    assert ran.job.next_run_at - ran.job.last_run_at == timedelta(seconds=10)


@pytest.mark.parametrize(
    ("error", "outcome", "says"),
    [
        (Sleepy(), AttemptOutcome.FAILED, "Sleepy says no wait"),
        (Odd(), AttemptOutcome.FAILED, "after_seconds is 'soon'"),
        (Gone(), AttemptOutcome.DISCARDED, "the handler raised Gone"),
        (Down(), AttemptOutcome.RELEASED, "the handler raised Down"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_signal_of_ones_own_that_says_too_little_is_told_and_spoils_no_job(error, outcome, says):
    ran = run(raising(error))
    assert ran.outcome is outcome
    assert says in ran.error
    assert ran.job.status is (JobStatus.FAILED if outcome is AttemptOutcome.DISCARDED else JobStatus.SCHEDULED)


async def _later() -> None:
    raise AssertionError("nobody awaits it")


@pytest.mark.parametrize(
    ("value", "mend"),
    [
        (Retry(after=5), "raise it instead"),
        (Snooze, "raise it instead"),
        ({"sent": 3}, "ctx.result = ..."),
        (False, "ctx.result = ..."),
        (_later, "async def"),
        ((n for n in range(3)), "run it to its end"),
    ],
    ids=["a signal", "a class of signals", "data", "False", "a coroutine", "a generator"],
)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_returned_value_is_an_error_with_the_mend_and_is_not_tried_again(value, mend, kind):
    def handle(args: Nothing) -> Any:
        return value() if value is _later else value

    async def handle_async(args: Nothing) -> Any:
        return handle(args)

    ran = run(handle if kind == "sync" else handle_async)
    assert (ran.outcome, ran.job.status) == (AttemptOutcome.FAILED, JobStatus.FAILED)
    assert ran.error.startswith("ReturnedValue: Work ")
    assert mend in ran.error


def test_a_transaction_of_a_provider_is_rolled_back_where_the_handler_returned_something():
    seen = []

    class Session:
        pass

    def session() -> Iterator[Session]:
        try:
            yield Session()
        except TypeError:
            seen.append("rolled back")
            raise

    def handle(args: Nothing, session: Session):
        return 1

    session.__annotations__["return"] = Iterator[Session]
    handle.__annotations__ |= {"args": Nothing, "session": Session}
    registry = HandlerRegistry()
    registry.add_provider(session)
    registry.add_handler("Work", handle)
    with JobsHarness(registry) as harness:
        assert harness.run_handler("Work").outcome is AttemptOutcome.FAILED
    assert seen == ["rolled back"]


# --- what is kept and logged of it


def attempts_of(target: Callable[..., Any], **fields: Any) -> Any:
    registry = HandlerRegistry()
    registry.add_handler("Work", target)
    with JobsHarness(registry) as harness:
        ran = harness.run_handler("Work", **fields)
        return harness.runtime.service.attempts(ran.job.id)[0]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_failed_attempt_keeps_the_users_frames_and_causes_without_the_frameworks(kind):
    def ask() -> None:
        raise OSError("no route")

    def handle(args: Nothing) -> None:
        try:
            ask()
        except OSError as error:
            raise ValueError("not sent") from error

    async def handle_async(args: Nothing) -> None:
        handle(args)

    attempt = attempts_of(handle if kind == "sync" else handle_async)
    lines = attempt.traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "test_attempt_result.py" in lines[1]
    assert "OSError: no route" in attempt.traceback
    assert lines[-1] == "ValueError: not sent"
    assert "executor.py" not in attempt.traceback
    assert "asyncio" not in attempt.traceback


def test_an_attempt_that_did_not_fail_has_no_traceback():
    for target in (raising(Snooze(1)), raising(Cancel("no")), lambda_of_nothing()):
        assert attempts_of(target).traceback is None


def lambda_of_nothing() -> Callable[..., None]:
    def handle(args: Nothing) -> None:
        pass

    return handle


def test_the_log_has_a_failures_traceback_once_with_the_job_bound(caplog):
    caplog.set_level(logging.INFO)
    ran = run(raising(ValueError("boom")), job_name="mail to Ada")
    [record] = [record for record in caplog.records if "boom" in record.getMessage()]
    assert "test_attempt_result.py" in record.getMessage()
    assert record.getMessage().count("Traceback") == 1
    assert (record.job_id, record.job_name) == (str(ran.job.id), "mail to Ada")
    assert (record.handler_name, record.run, record.attempt) == ("Work", 1, 1)
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)


def test_a_snooze_is_no_warning_and_no_last_error(caplog):
    caplog.set_level(logging.INFO)
    ran = run(raising(Snooze(60, reason="not yet")))
    assert ran.job.last_error is None
    [record] = [record for record in caplog.records if "not yet" in record.getMessage()]
    assert record.levelno == logging.INFO


def test_job_names_and_errors_cannot_forge_log_lines(caplog):
    caplog.set_level(logging.INFO)
    forged = "\n2026-06-01 12:00:00 ERROR jobs: the database is gone\x1b[2K"

    def handle(args: Nothing, ctx: JobContext) -> None:
        ctx.logger.info("at work")
        raise ValueError(f"no{forged}")

    run(handle, job_name=f"name{forged}")
    run(lambda_of_nothing(), job_name=f"name{forged}")
    for record in caplog.records:
        assert "\x1b" not in record.getMessage()
        assert not any(line.startswith("2026") for line in record.getMessage().splitlines())
        assert "\n" not in getattr(record, "job_name", "")
    assert any("ctx" not in record.name and "the database is gone" in record.getMessage() for record in caplog.records)
