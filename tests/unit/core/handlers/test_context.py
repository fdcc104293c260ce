"""What a handler is told about its attempt, and what it is told while it works."""

import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from jobs.core.commands import EnqueueJob
from jobs.core.handlers.context import JobContext
from jobs.core.lifecycle.handler_outcomes import Cancel, Discard, HandlerOutcome, Retry, ShutdownRequested, Snooze

ID = UUID("0193a5b0-0000-7000-8000-000000000001")


@pytest.fixture
def ctx() -> JobContext:
    return make_context()


def make_context(**fields) -> JobContext:
    known = {
        "job_id": ID,
        "job_name": "report/eu",
        "handler_name": "Report",
        "run": 3,
        "attempt": 2,
        "scheduled_for": datetime(2026, 6, 1, tzinfo=UTC),
        "metadata": {"team": "a"},
    }
    return JobContext(**known | fields)


def test_every_attempt_of_a_run_has_the_same_idempotency_key(ctx):
    assert ctx.idempotency_key == make_context(attempt=3).idempotency_key == f"{ID}/3"


def test_every_other_run_has_another_idempotency_key(ctx):
    other = UUID("0193a5b0-0000-7000-8000-000000000002")
    keys = {ctx.idempotency_key, make_context(run=4).idempotency_key, make_context(job_id=other).idempotency_key}
    assert len(keys) == 3


def test_at_first_nothing_is_asked_of_the_handler(ctx):
    assert (ctx.cancelled, ctx.shutting_down, ctx.lease_lost) == (False, False, False)
    ctx.raise_if_cancelled()


def test_a_cancelled_job_stops_as_cancelled(ctx):
    ctx.signal_cancelled()
    assert ctx.cancelled
    with pytest.raises(Cancel):
        ctx.raise_if_cancelled()


def test_a_host_that_goes_down_stops_the_attempt_and_does_not_cancel_the_job(ctx):
    ctx.signal_shutdown()
    assert ctx.shutting_down
    assert not ctx.cancelled
    with pytest.raises(ShutdownRequested):
        ctx.raise_if_cancelled()


def test_an_attempt_whose_lease_is_gone_stops(ctx):
    ctx.signal_lease_lost()
    assert ctx.lease_lost
    with pytest.raises(ShutdownRequested, match="no longer counts"):
        ctx.raise_if_cancelled()


def test_a_request_to_cancel_goes_before_the_hosts_end(ctx):
    ctx.signal_shutdown()
    ctx.signal_cancelled()
    with pytest.raises(Cancel):
        ctx.raise_if_cancelled()


def test_an_attempt_that_no_longer_counts_cannot_cancel_the_job(ctx):
    ctx.signal_cancelled()
    ctx.signal_lease_lost()
    with pytest.raises(ShutdownRequested):
        ctx.raise_if_cancelled()


def test_every_record_that_a_handler_logs_tells_its_run(ctx, caplog):
    with caplog.at_level(logging.INFO, "jobs.handler"):
        ctx.logger.info("sent %d", 3, extra={"to": "a@b.c", "run": "a field of the handler's own wins"})
        ctx.logger.warning("and on")
    first, second = caplog.records
    assert first.getMessage() == "sent 3"
    assert (first.job_id, first.job_name, first.handler_name) == (str(ID), "report/eu", "Report")
    assert (first.attempt, first.to) == (2, "a@b.c")
    assert (second.run, hasattr(second, "to")) == (3, False)


def test_two_attempts_are_told_apart_and_their_loggers_do_not_mix(caplog):
    one, other = make_context(attempt=1), make_context(attempt=2)
    one_logger, other_logger = one.logger, other.logger
    with caplog.at_level(logging.INFO, "jobs.handler"):
        one_logger.info("one")
        other_logger.info("other")
    assert [record.attempt for record in caplog.records] == [1, 2]


# --- signals


@pytest.mark.parametrize("signal", [Retry, Snooze])
@pytest.mark.parametrize("wait", [-1, float("inf"), float("nan"), 1e300])
def test_a_wait_that_nobody_can_wait_for_is_refused(signal, wait):
    with pytest.raises(ValueError, match="a wait is"):
        signal(wait)


def test_a_wait_may_be_seconds_or_a_timedelta():
    assert Retry().after_seconds is None
    assert Retry(after=0).after_seconds == 0
    assert Retry(1.5).after_seconds == Retry(timedelta(seconds=1.5)).after_seconds == 1.5
    assert Snooze(2).after_seconds == 2


@pytest.mark.parametrize("signal", [Retry(), Snooze(1), Discard("no"), Cancel()])
def test_a_signal_says_why_in_its_text(signal):
    assert isinstance(signal, HandlerOutcome)
    assert str(signal) == signal.reason != ""


def test_a_reason_is_kept_as_text():
    assert Discard(ValueError("no such account")).reason == "no such account"


# --- progress, result, heartbeat, follow-ups


class Bench:
    """A backend that takes down what it is asked."""

    def __init__(self):
        self.asked = []
        self.watched = []

    def show_progress(self, context):
        self.asked.append((context.fraction, context.message))

    def heartbeat(self, context):
        self.asked.append("heartbeat")

    def watch(self, context):
        self.watched.append(context)

    def enqueue(self, command, context):
        self.asked.append(command.job_name)
        return ID


def test_progress_is_shown_and_kept():
    bench = Bench()
    ctx = make_context(backend=bench)
    ctx.progress(0.25)
    ctx.progress(1, "done" + "!" * 1000)
    assert bench.asked == [(0.25, None), (1.0, "done" + "!" * 496)]


def test_progress_is_noted_and_then_stops_a_job_that_is_to_be_cancelled():
    bench = Bench()
    ctx = make_context(backend=bench)
    ctx.signal_cancelled()
    with pytest.raises(Cancel):
        ctx.progress(0.75)
    assert (ctx.fraction, bench.asked) == (0.75, [(0.75, None)])


def test_progress_stops_an_attempt_that_no_longer_counts_and_not_one_that_may_still_end():
    ctx = make_context()
    ctx.signal_shutdown()
    ctx.progress(0.5)
    ctx.signal_lease_lost()
    with pytest.raises(ShutdownRequested, match="no longer counts"):
        ctx.progress(0.75)


def test_progress_of_a_completed_attempt_raises_nothing_since_nothing_can_be_stopped_any_more():
    ctx = make_context()
    ctx.signal_completed()
    ctx.signal_cancelled()
    ctx.progress(1)


@pytest.mark.parametrize("fraction", [-0.1, 1.01, float("nan"), 50])
def test_progress_outside_zero_to_one_is_refused(fraction):
    with pytest.raises(ValueError, match="a fraction from 0 to 1"):
        make_context().progress(fraction)


@pytest.mark.parametrize("value", [None, 0, "text", {"rows": 3, "files": ["a"]}, []])
def test_a_result_is_any_json_value(value):
    ctx = make_context()
    assert ctx.result is None
    ctx.result = value
    assert ctx.result == value


@pytest.mark.parametrize(
    ("value", "why"),
    [({1, 2}, "JSON"), (float("nan"), "JSON"), ("\x00", "NUL"), ("x" * 65_535, "at most 65536 bytes")],
)
def test_a_result_that_cannot_be_kept_is_refused_where_it_is_set(value, why):
    ctx = make_context()
    with pytest.raises(ValueError, match=why):
        ctx.result = value
    assert ctx.result is None


def test_a_context_made_by_hand_shows_progress_to_nobody_and_says_that_it_cannot_enqueue():
    ctx = make_context()
    ctx.progress(0.5)
    ctx.heartbeat()
    with pytest.raises(RuntimeError, match=r"made by hand.*jobs\.testing"):
        ctx.enqueue(EnqueueJob(handler_name="X", job_name="x"))


def test_heartbeats_and_follow_ups_go_to_the_workbench():
    bench = Bench()
    ctx = make_context(backend=bench)
    ctx.heartbeat()
    assert ctx.enqueue(EnqueueJob(handler_name="X", job_name="next")) == ID
    assert bench.asked == ["heartbeat", "next"]


@pytest.mark.parametrize(
    "ask", [lambda ctx: ctx.cancelled, lambda ctx: ctx.raise_if_cancelled(), lambda ctx: ctx.progress(0)]
)
def test_the_first_question_has_the_job_watched_for_a_request_to_cancel_and_later_ones_cost_nothing(ask):
    bench = Bench()
    ctx = make_context(backend=bench)
    for _ in range(3):
        ask(ctx)
    assert bench.watched == [ctx]
