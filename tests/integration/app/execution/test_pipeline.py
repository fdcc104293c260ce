"""One alarm, one claim, one attempt, one outcome: on a real database, with the handlers that go wrong in every way."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

from jobs.adapters.postgres.connection.driver.faults import OutcomeUnknown
from jobs.app.execution.alarm_result import AlarmOutcome
from jobs.app.runtime import Runtime
from jobs.core.commands import UpdateJob
from jobs.core.errors import StoreUnavailable
from jobs.core.handlers.context import JobContext
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.handler_outcomes import Cancel, Discard, Retry, Snooze
from jobs.core.lifecycle.ids import AlarmName, new_id
from jobs.core.lifecycle.job import Job
from jobs.core.lifecycle.retry import RetryPolicy
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.core.queries import JobQuery
from jobs.testing import MemoryScheduler
from tests.support import Anything, handle_alarm, job, until

HOUR = timedelta(hours=1)
TEN_THEN_THIRTY = RetryPolicy(max_retries=2, base=timedelta(seconds=10), factor=3, jitter=False)


class Numbered(BaseModel):
    number: int


class Listed(BaseModel):
    numbers: list[int]


class Fussy(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def _look_up(cls, number: int) -> int:
        return {1: 1}[number]  # a KeyError, which pydantic does not take for a fault of the input


class Resource:
    """A service to be provided."""


def raising(error: BaseException) -> Callable[..., None]:
    def handle(args: Anything) -> None:
        raise error

    return handle


def alarm_of(runtime: Runtime, job_id) -> AlarmName:
    return AlarmName(job_id, runtime.service.get(job_id).generation)


def ring(runtime: Runtime, job_id) -> Job:
    """Ring the job's current alarm, which must run it, and give the job as it then stands."""
    assert handle_alarm(runtime, alarm_of(runtime, job_id)) is AlarmOutcome.RAN
    return runtime.service.get(job_id)


def outcomes(runtime: Runtime, job_id) -> list[str]:
    """The outcomes in a job's history, oldest first."""
    return [str(attempt.outcome) for attempt in reversed(runtime.service.attempts(job_id))]


def last_attempt(runtime: Runtime, job_id):
    return runtime.service.attempts(job_id)[0]


@pytest.fixture
def let_pass(sql) -> Callable[[timedelta], None]:
    """Let time pass for every job, by putting back what it waits for; a second more, for clocks told by round trips."""

    def let_pass(time: timedelta) -> None:
        sql(
            "update jobs.jobs set next_run_at = next_run_at - make_interval(secs => :s),"
            " scheduled_for = scheduled_for - make_interval(secs => :s), anchor = anchor - make_interval(secs => :s)",
            s=time.total_seconds() + 1,
        )

    return let_pass


@pytest.fixture
def make_due(sql) -> Callable[[Any], None]:
    """Make a job that waits for a retry due now."""
    return lambda job_id: sql("update jobs.jobs set next_run_at = now() where id = cast(:id as uuid)", id=str(job_id))


@pytest.fixture
def enqueue(runtime, registry) -> Callable[..., Any]:
    """Register ``target`` as a handler, enqueue one job of it, and give the job's id."""
    numbers = iter(range(1, 10_000))

    def enqueue(target: Callable[..., Any], *, retry=None, timeout=None, **fields) -> Any:
        name = f"Handler{next(numbers)}"
        registry.add_handler(name, target, retry=retry, timeout=timeout)
        return runtime.service.enqueue(job(f"job of {name}", name, **fields)).id

    return enqueue


@pytest.fixture
def scheduler(monkeypatch) -> MemoryScheduler:
    """The scheduler of every runtime that is made after this one."""
    scheduler = MemoryScheduler()
    monkeypatch.setattr("jobs.bootstrap.build_scheduler", lambda *_: scheduler)
    return scheduler


class FalteringRuns:
    """A run store whose named method raises ``StoreUnavailable`` a few times before it works."""

    def __init__(self, runs, method: str, times: int, error: type[StoreUnavailable] = StoreUnavailable) -> None:
        self._runs, self._method, self.times, self._error = runs, method, times, error

    def __getattr__(self, name: str) -> Any:
        return self._falter if name == self._method and self.times else getattr(self._runs, name)

    def _falter(self, *args, **kwargs) -> Any:
        self.times -= 1
        raise self._error("the database went away")


def falter(runtime: Runtime, method: str, times: int) -> None:
    faltering = FalteringRuns(runtime.runs, method, times)
    runtime.pipeline.claims._runs = runtime.pipeline.outcomes._runs = faltering


# --- an alarm rings


def test_the_alarm_of_a_due_job_runs_it(runtime, enqueue):
    seen = []

    def handle(args: Numbered, ctx: JobContext) -> None:
        seen.append((args, ctx))

    job_id = enqueue(handle, payload={"number": 7}, metadata={"team": "a"})
    after = ring(runtime, job_id)
    [(args, ctx)] = seen
    assert args == Numbered(number=7)
    assert (ctx.job_id, ctx.run, ctx.attempt, ctx.metadata) == (job_id, 1, 1, {"team": "a"})
    assert (after.status, after.attempt, after.run_count, after.next_run_at) == (JobStatus.COMPLETED, 1, 1, None)
    assert after.handled_at is not None
    assert outcomes(runtime, job_id) == ["Succeeded"]


def test_an_alarm_that_rings_too_early_runs_nothing(runtime):
    job_id = runtime.service.enqueue(job(schedule="PT5S")).id
    assert handle_alarm(runtime, alarm_of(runtime, job_id)) is AlarmOutcome.NOT_DUE
    assert runtime.service.get(job_id).status is JobStatus.SCHEDULED


def test_an_alarm_of_a_past_generation_runs_nothing(runtime):
    job_id = runtime.service.enqueue(job()).id
    stale = alarm_of(runtime, job_id)
    runtime.service.update(job_id, UpdateJob(schedule="2020-01-01T00:00:00Z"))
    assert handle_alarm(runtime, stale) is AlarmOutcome.STALE
    assert ring(runtime, job_id).status is JobStatus.COMPLETED


def test_an_alarm_of_a_paused_job_runs_nothing_until_it_is_resumed(runtime):
    job_id = runtime.service.enqueue(job()).id
    runtime.service.pause(job_id)
    assert handle_alarm(runtime, alarm_of(runtime, job_id)) is AlarmOutcome.PAUSED
    runtime.service.resume(job_id)
    assert ring(runtime, job_id).status is JobStatus.COMPLETED


def test_an_alarm_of_an_unknown_job_runs_nothing(runtime):
    assert handle_alarm(runtime, AlarmName(new_id(), 1)) is AlarmOutcome.UNKNOWN


def test_an_alarm_of_a_job_that_has_ended_runs_nothing(runtime):
    job_id = runtime.service.enqueue(job()).id
    runtime.service.cancel(job_id)
    assert handle_alarm(runtime, alarm_of(runtime, job_id)) is AlarmOutcome.STALE
    assert outcomes(runtime, job_id) == []


def test_an_alarm_that_rings_again_while_its_job_runs_does_nothing(runtime, enqueue):
    again = []

    def handle(args: Anything, ctx: JobContext) -> None:
        again.append(handle_alarm(runtime, alarm_of(runtime, ctx.job_id)))

    assert ring(runtime, enqueue(handle)).status is JobStatus.COMPLETED
    assert again == [AlarmOutcome.ALREADY_RUNNING]


def test_fifty_deliveries_of_one_alarm_at_once_run_it_once(make_runtime, registry):
    ran = []

    def handle(args: Anything) -> None:
        ran.append(1)
        time.sleep(0.05)

    registry.add_handler("Work", handle)
    runtimes = [make_runtime(), make_runtime()]
    job_id = runtimes[0].service.enqueue(job("job", "Work")).id
    alarm, barrier = AlarmName(job_id, 1), threading.Barrier(50)

    def deliver(number: int) -> AlarmOutcome:
        barrier.wait()
        return handle_alarm(runtimes[number % 2], alarm)

    with ThreadPoolExecutor(50) as pool:
        rings = list(pool.map(deliver, range(50)))
    assert rings.count(AlarmOutcome.RAN) == 1
    assert set(rings) <= {AlarmOutcome.RAN, AlarmOutcome.ALREADY_RUNNING, AlarmOutcome.STALE}
    assert ran == [1]
    assert outcomes(runtimes[0], job_id) == ["Succeeded"]


def test_an_alarm_that_finds_the_database_away_says_so_that_it_may_ring_again(runtime):
    job_id = runtime.service.enqueue(job()).id
    falter(runtime, "claim", 1)
    with pytest.raises(StoreUnavailable):
        handle_alarm(runtime, AlarmName(job_id, 1))
    assert ring(runtime, job_id).status is JobStatus.COMPLETED


# --- how an attempt may end


def test_a_failure_is_tried_again_after_ever_longer_waits_and_then_is_final(runtime, enqueue, make_due):
    def handle(args: Anything, ctx: JobContext) -> None:
        raise ValueError(f"no, for the {ctx.attempt}. time")

    job_id = enqueue(handle, retry=TEN_THEN_THIRTY)
    waits = []
    for attempt in (1, 2):
        after = ring(runtime, job_id)
        assert (after.status, after.attempt, after.run_count) == (JobStatus.SCHEDULED, attempt, 0)
        waits.append((after.next_run_at - last_attempt(runtime, job_id).finished_at).total_seconds())
        make_due(job_id)
    assert waits == [10, 30]
    after = ring(runtime, job_id)
    assert (after.status, after.attempt, after.next_run_at) == (JobStatus.FAILED, 3, None)
    assert (after.run_count, after.consecutive_failures) == (1, 1)
    history = [(a.run, a.attempt, a.outcome) for a in reversed(runtime.service.attempts(job_id))]
    assert history == [(1, n, AttemptOutcome.FAILED) for n in (1, 2, 3)]
    errors = [a.error for a in reversed(runtime.service.attempts(job_id))]
    for number, error in enumerate(errors, 1):
        assert error.startswith(f"ValueError: no, for the {number}. time (in handle, test_pipeline.py:")
    assert after.last_error == errors[-1]


def test_a_retry_that_succeeds_completes_the_job(runtime, enqueue, make_due):
    def handle(args: Anything, ctx: JobContext) -> None:
        if ctx.attempt == 1:
            raise ValueError

    job_id = enqueue(handle)
    ring(runtime, job_id)
    make_due(job_id)
    after = ring(runtime, job_id)
    assert (after.status, after.attempt, after.last_error) == (JobStatus.COMPLETED, 2, None)
    assert outcomes(runtime, job_id) == ["Failed", "Succeeded"]


def test_the_jobs_own_max_retries_goes_before_the_handlers(runtime, enqueue):
    job_id = enqueue(raising(ValueError()), retry=TEN_THEN_THIRTY, max_retries=0)
    assert ring(runtime, job_id).status is JobStatus.FAILED


def test_an_exception_that_is_never_retried_is_final_at_once(runtime, enqueue):
    job_id = enqueue(raising(KeyError("x")), retry=RetryPolicy(never=(LookupError,)))
    assert ring(runtime, job_id).status is JobStatus.FAILED


def test_a_handler_may_choose_when_to_be_tried_again(runtime, enqueue):
    job_id = enqueue(raising(Retry(after=7, reason="busy")), retry=TEN_THEN_THIRTY)
    after = ring(runtime, job_id)
    attempt = last_attempt(runtime, job_id)
    assert after.next_run_at - attempt.finished_at == timedelta(seconds=7)
    assert (after.attempt, attempt.outcome, attempt.error) == (1, AttemptOutcome.FAILED, "busy")


def test_a_retry_without_a_wait_waits_as_the_policy_says(runtime, enqueue):
    job_id = enqueue(raising(Retry()), retry=TEN_THEN_THIRTY)
    after = ring(runtime, job_id)
    assert after.next_run_at - last_attempt(runtime, job_id).finished_at == timedelta(seconds=10)


def test_a_retry_counts_as_a_failed_attempt(runtime, enqueue):
    assert ring(runtime, enqueue(raising(Retry(after=1)), max_retries=0)).status is JobStatus.FAILED


def test_snoozing_consumes_no_attempt(runtime, enqueue, make_due):
    calls = []

    def handle(args: Anything, ctx: JobContext) -> None:
        calls.append(ctx.attempt)
        if len(calls) <= 3:
            raise Snooze(timedelta(minutes=5))

    job_id = enqueue(handle, max_retries=0)
    for _ in range(3):
        after = ring(runtime, job_id)
        assert (after.status, after.attempt, after.run_count) == (JobStatus.SCHEDULED, 0, 0)
        assert after.next_run_at - last_attempt(runtime, job_id).finished_at == timedelta(minutes=5)
        make_due(job_id)
    assert ring(runtime, job_id).status is JobStatus.COMPLETED
    assert calls == [1, 1, 1, 1]
    assert outcomes(runtime, job_id) == ["Snoozed"] * 3 + ["Succeeded"]


def test_discarding_fails_the_job_whatever_retries_are_left(runtime, enqueue):
    job_id = enqueue(raising(Discard("the customer is gone")), max_retries=5)
    after = ring(runtime, job_id)
    assert (after.status, after.last_error) == (JobStatus.FAILED, "the customer is gone")
    assert outcomes(runtime, job_id) == ["Discarded"]


@pytest.mark.parametrize("schedule", ["@once", "@every 1h"])
def test_a_handler_may_cancel_its_job(runtime, enqueue, let_pass, schedule):
    job_id = enqueue(raising(Cancel("not needed any more")), schedule=schedule)
    let_pass(HOUR)
    after = ring(runtime, job_id)
    assert (after.status, after.last_error, after.next_run_at) == (JobStatus.CANCELLED, "not needed any more", None)
    assert outcomes(runtime, job_id) == ["Cancelled"]


@pytest.mark.parametrize("signal", [Retry, Snooze, Discard, Cancel])
def test_a_reason_may_be_the_exception_that_led_to_it(runtime, enqueue, signal):
    reason = ValueError("no such account")
    error = signal(reason) if signal in (Discard, Cancel) else signal(1, reason=reason)
    job_id = enqueue(raising(error))
    ring(runtime, job_id)
    assert last_attempt(runtime, job_id).error == "no such account"


@pytest.mark.parametrize("signal", [Retry, Snooze])
@pytest.mark.parametrize("wait", [timedelta.max, 1e300, 1e12])
def test_a_wait_past_the_end_of_time_is_an_error_of_the_handler_and_no_job_is_lost(runtime, enqueue, signal, wait):
    def handle(args: Anything) -> None:
        raise signal(wait)

    job_id = enqueue(handle)
    after = ring(runtime, job_id)
    assert after.status is JobStatus.SCHEDULED
    assert outcomes(runtime, job_id) == ["Failed"]
    assert "wait" in after.last_error


# --- a handler that this version of the app does not have


def test_a_job_without_its_handler_waits_visibly_and_runs_once_there_is_one(make_runtime, registry, make_due):
    newer = HandlerRegistry()
    newer.add_handler("FromTheNextVersion", raising(Discard("it ran")))
    next_version, this_version = make_runtime(newer), make_runtime(registry)
    job_id = next_version.service.enqueue(job("job", "FromTheNextVersion", max_retries=0)).id
    for _ in range(3):
        after = ring(this_version, job_id)
        assert (after.status, after.attempt, after.run_count) == (JobStatus.SCHEDULED, 0, 0)
        assert after.next_run_at > last_attempt(this_version, job_id).finished_at + timedelta(seconds=5)
        assert "FromTheNextVersion" in after.last_error
        assert [each.id for each in this_version.service.find(JobQuery(overdue=True)).jobs] == [job_id]
        make_due(job_id)
    assert outcomes(this_version, job_id) == ["UnknownHandler"], "the last line stands for all"
    assert ring(next_version, job_id).last_error == "it ran"
    assert outcomes(this_version, job_id) == ["UnknownHandler", "Discarded"]


# --- rows that somebody has spoiled


def spoil(sql, job_id, column: str, value: str) -> None:
    kind = "text" if column == "schedule" else "jsonb"
    text = f"update jobs.jobs set {column} = cast(:value as {kind}) where id = cast(:id as uuid)"
    sql(text, value=value, id=str(job_id))


def test_a_payload_that_no_longer_fits_fails_the_job_and_can_be_replayed(runtime, enqueue, sql):
    seen = []

    def handle(args: Numbered) -> None:
        seen.append(args.number)

    job_id = enqueue(handle, payload={"number": 1}, max_retries=5)
    spoil(sql, job_id, "payload", '{"number": "many"}')
    after = ring(runtime, job_id)
    assert after.status is JobStatus.FAILED
    assert "/payload/number" in after.last_error
    assert "valid integer" in after.last_error
    assert "many" not in after.last_error, "an error's text carries no payload"
    assert outcomes(runtime, job_id) == ["InvalidPayload"]
    spoil(sql, job_id, "payload", '{"number": 2}')
    assert runtime.service.retry(job_id).status is JobStatus.SCHEDULED
    assert ring(runtime, job_id).status is JobStatus.COMPLETED
    assert seen == [2]
    assert outcomes(runtime, job_id) == ["InvalidPayload", "Succeeded"]


def test_the_text_of_ten_thousand_validation_errors_is_cut_short(runtime, enqueue, sql):
    def handle(args: Listed) -> None:
        pass

    job_id = enqueue(handle, payload={"numbers": []})
    spoil(sql, job_id, "payload", '{"numbers": [' + ",".join(['"x"'] * 10_000) + "]}")
    after = ring(runtime, job_id)
    assert after.status is JobStatus.FAILED
    assert "/payload/numbers/0" in after.last_error
    assert len(after.last_error) < 10_000


SPOILED = {
    "payload of another shape": ("payload", '{"number": []}'),
    "payload that is no object": ("payload", "[1, 2]"),
    "payload that makes a validator raise": ("payload", '{"number": 2}'),
    "payload with a number of 5,000 digits": ("payload", '{"number": 1, "more": ' + "9" * 5000 + "}"),
    "metadata with a number of 5,000 digits": ("metadata", '{"n": ' + "9" * 5000 + "}"),
    "metadata that is no object": ("metadata", "[]"),
    "schedule that cannot be read": ("schedule", "when the moon is full"),
    "options that cannot be read": ("options", '{"misfire": 7}'),
}


@pytest.mark.parametrize("spoiled", SPOILED)
def test_a_spoiled_row_stops_nobody_and_is_let_go(make_runtime, registry, sql, let_pass, spoiled):
    def handle(args: Fussy, ctx: JobContext) -> None:
        pass

    registry.add_handler("Work", handle)
    runtime = make_runtime()
    commands = [job(f"{n}", "Work", schedule="@every 1h", payload={"number": 1}) for n in range(12)]
    ids = [enqueued.id for enqueued in runtime.service.enqueue_many(commands)]
    bad, good = ids[5], ids[:5] + ids[6:]
    let_pass(HOUR)
    spoil(sql, bad, *SPOILED[spoiled])
    runtime.worker.drain(60)
    assert {tuple(outcomes(runtime, job_id)) for job_id in good} == {("Succeeded",)}
    assert runtime.pipeline._leases.held() == [], "what is not executing must not be kept from the reconciler"
    sql("update jobs.jobs set lease_expires_at = now() - interval '1 second' where status = 'Running'")
    runtime.reconciler.run()
    [(status, error)] = sql("select status, last_error from jobs.jobs where id = cast(:id as uuid)", id=str(bad))
    assert status != "Running"
    assert error or outcomes(runtime, bad) == ["Succeeded"], "what goes wrong is visible"


# --- what exceptions may carry


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Quitter(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class NotText(Exception):
    def __str__(self) -> str:
        return 7  # noqa: PLE0307  that is what is wrong with it


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("before\x00after", "before\ufffdafter"),
        ("\ud800 and \udfff", "ValueError"),
        ("\x00" * 100, "ValueError"),
        ("'; drop table jobs.jobs; -- \\ \" {} %s", "drop table"),
        ("\u202e\U0001f600\r\n\x1b[31m", "\U0001f600"),
        ("x" * 1_000_000, "xxxx"),
        ("\U0001f600\x00\ud83d" * 200_000, "\U0001f600"),
    ],
    ids=["NUL", "lone surrogates", "many NULs", "SQL", "control characters", "megabytes", "megabytes of all of it"],
)
def test_whatever_an_exceptions_text_holds_its_outcome_is_recorded(runtime, enqueue, text, kept):
    job_id = enqueue(raising(ValueError(text)))
    after = ring(runtime, job_id)
    assert after.status is JobStatus.SCHEDULED
    assert kept in after.last_error
    assert len(after.last_error) < 10_000
    assert "test_pipeline.py:" in after.last_error, "the place survives a text that is cut short"
    assert last_attempt(runtime, job_id).error == after.last_error


@pytest.mark.parametrize("signal", [Retry, Snooze, Discard, Cancel])
def test_a_reason_may_hold_anything_too(runtime, enqueue, signal):
    reason = "a\x00b\ud800" + "x" * 1_000_000
    error = signal(reason) if signal in (Discard, Cancel) else signal(1, reason=reason)
    job_id = enqueue(raising(error))
    ring(runtime, job_id)
    kept = last_attempt(runtime, job_id).error
    assert kept.startswith("a\ufffdb")
    assert len(kept) < 10_000, "the history is no place for megabytes"


@pytest.mark.parametrize("error", [Unprintable, Quitter, NotText])
def test_an_exception_that_cannot_be_put_in_words_is_a_failure_all_the_same(runtime, enqueue, error):
    after = ring(runtime, enqueue(raising(error())))
    assert after.status is JobStatus.SCHEDULED
    assert after.last_error.startswith(error.__name__)


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()])
def test_whatever_a_handler_raises_is_a_failed_attempt(runtime, enqueue, error):
    async def handle(args: Anything) -> None:
        raise error

    for job_id in (enqueue(raising(error)), enqueue(handle)):
        after = ring(runtime, job_id)
        assert (after.status, after.attempt) == (JobStatus.SCHEDULED, 1)
        assert after.last_error.startswith(type(error).__name__)
        assert outcomes(runtime, job_id) == ["Failed"]


def test_handlers_that_try_to_quit_do_not_wear_out_the_worker(make_runtime, registry):
    registry.add_handler("Quit", raising(SystemExit(1)), retry=RetryPolicy(max_retries=0))
    runtime = make_runtime(concurrency=2)
    runtime.service.enqueue_many([job(f"{n}", "Quit") for n in range(20)])
    assert runtime.worker.drain(60).executed == 20
    good = runtime.service.enqueue(job()).id
    runtime.worker.drain(60)
    assert runtime.service.get(good).status is JobStatus.COMPLETED


# --- async handlers and time-outs


def test_an_async_handler_runs_to_its_end(runtime, enqueue):
    seen = []

    async def handle(args: Anything, ctx: JobContext) -> None:
        await asyncio.sleep(0)
        seen.append(ctx.attempt)

    assert ring(runtime, enqueue(handle)).status is JobStatus.COMPLETED
    assert seen == [1]


def test_an_async_handler_is_cancelled_at_its_time_out_and_may_clean_up(runtime, enqueue):
    seen = []

    async def handle(args: Anything) -> None:
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            seen.append("cleaned up")
            raise

    job_id = enqueue(handle, timeout=timedelta(seconds=0.1))
    after = ring(runtime, job_id)
    assert seen == ["cleaned up"]
    assert (after.status, after.attempt) == (JobStatus.SCHEDULED, 1)
    assert outcomes(runtime, job_id) == ["TimedOut"]
    assert "timed out" in after.last_error


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_time_out_of_something_that_the_handler_called_is_an_ordinary_failure(runtime, enqueue, kind):
    async def handle(args: Anything) -> None:
        raise TimeoutError("the bank did not answer")

    job_id = enqueue(handle if kind == "async" else raising(TimeoutError("the bank did not answer")))
    after = ring(runtime, job_id)
    assert outcomes(runtime, job_id) == ["Failed"]
    assert "the bank did not answer" in after.last_error


@pytest.fixture
def stuck(enqueue) -> Iterator[dict]:
    """A job whose first attempt blocks until ``release`` is set, far beyond its time-out."""
    state = {"release": threading.Event(), "contexts": []}

    def handle(args: Anything, ctx: JobContext) -> None:
        state["contexts"].append(ctx)
        if len(state["contexts"]) == 1:
            state["release"].wait(60)

    state["id"] = enqueue(handle, timeout=timedelta(seconds=2), retry=RetryPolicy(base=HOUR, jitter=False))
    yield state
    state["release"].set()


def test_a_sync_handler_past_its_time_out_is_recorded_while_it_still_runs(runtime, stuck):
    ringing = threading.Thread(target=handle_alarm, args=[runtime, alarm_of(runtime, stuck["id"])])
    ringing.start()
    waiting = until(lambda: (found := runtime.service.get(stuck["id"])).attempt and found.worker and found)
    timed_out = until(lambda: outcomes(runtime, stuck["id"]) and runtime.service.get(stuck["id"]))
    assert ringing.is_alive(), "the handler still runs"
    assert waiting.attempt == 1
    assert (timed_out.status, timed_out.attempt) == (JobStatus.SCHEDULED, 1)
    attempt = last_attempt(runtime, stuck["id"])
    assert attempt.outcome is AttemptOutcome.TIMED_OUT
    assert "2 s" in attempt.error
    assert stuck["contexts"][0].lease_lost
    stuck["release"].set()
    ringing.join(60)
    assert runtime.service.get(stuck["id"]) == timed_out, "its late end changes nothing"


def test_the_attempt_after_a_time_out_is_not_disturbed_by_the_one_before(runtime, stuck, make_due):
    ringing = threading.Thread(target=handle_alarm, args=[runtime, alarm_of(runtime, stuck["id"])])
    ringing.start()
    until(lambda: outcomes(runtime, stuck["id"]))
    make_due(stuck["id"])
    done = ring(runtime, stuck["id"])
    stuck["release"].set()
    ringing.join(60)
    assert done.status is JobStatus.COMPLETED
    assert runtime.service.get(stuck["id"]) == done
    assert outcomes(runtime, stuck["id"]) == ["TimedOut", "Succeeded"]


def test_a_time_out_with_no_retries_left_fails_the_job(runtime, enqueue):
    def handle(args: Anything, ctx: JobContext) -> None:
        until(lambda: ctx.lease_lost)
        ctx.raise_if_cancelled()

    job_id = enqueue(handle, timeout=timedelta(seconds=0.1), max_retries=0)
    handle_alarm(runtime, alarm_of(runtime, job_id))
    until(lambda: runtime.service.get(job_id).status is JobStatus.FAILED)
    assert outcomes(runtime, job_id) == ["TimedOut"]


def test_the_jobs_own_timeout_goes_before_the_handlers(runtime, enqueue):
    deadlines = []

    def handle(args: Anything, ctx: JobContext) -> None:
        deadlines.append((ctx.deadline - runtime.clock.now()).total_seconds())

    ring(runtime, enqueue(handle, timeout=timedelta(seconds=100)))
    registry_default = enqueue(handle)
    ring(runtime, registry_default)
    name = runtime.service.get(registry_default).handler_name
    ring(runtime, runtime.service.enqueue(job("own", name, timeout="PT9S")).id)
    assert deadlines == [pytest.approx(100, abs=1), pytest.approx(1500, abs=1), pytest.approx(9, abs=1)]


# --- class handlers and services


@pytest.fixture
def services(registry) -> list[str]:
    """A provider of ``Resource``, and the order in which things happened."""
    happened: list[str] = []

    def resource() -> Iterator[Resource]:
        happened.append("made")
        try:
            yield Resource()
        finally:
            happened.append("cleaned up")

    registry.add_provider(resource)
    return happened


def test_a_class_handler_is_made_anew_for_each_attempt(make_runtime, registry, services, make_due):
    class Handler:
        def __init__(self, resource: Resource) -> None:
            self.resource = resource
            services.append("constructed")

        def handle(self, args: Anything, ctx: JobContext) -> None:
            services.append(f"attempt {ctx.attempt}")
            if ctx.attempt == 1:
                raise ValueError

    registry.add_handler("Work", Handler)
    runtime = make_runtime()
    job_id = runtime.service.enqueue(job("job", "Work")).id
    ring(runtime, job_id)
    make_due(job_id)
    assert ring(runtime, job_id).status is JobStatus.COMPLETED
    once = ["made", "constructed", "attempt {}", "cleaned up"]
    assert services == [step.format(attempt) for attempt in (1, 2) for step in once]


@pytest.mark.parametrize("ending", [None, ValueError(), Snooze(1), Discard("no"), SystemExit(1)])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_services_are_cleaned_up_however_the_attempt_ends(make_runtime, registry, services, ending, kind):
    def handle(args: Anything, resource: Resource) -> None:
        services.append("handled")
        if ending is not None:
            raise ending

    async def handle_async(args: Anything, resource: Resource) -> None:
        handle(args, resource)

    registry.add_handler("Work", handle if kind == "sync" else handle_async)
    runtime = make_runtime()
    job_id = runtime.service.enqueue(job("job", "Work")).id
    handle_alarm(runtime, AlarmName(job_id, 1))
    assert services == ["made", "handled", "cleaned up"]


def test_a_service_that_cannot_be_made_fails_the_attempt(make_runtime, registry, services):
    class Other:
        pass

    def other(first: Resource) -> Other:
        raise ConnectionError("no route to host")

    registry.add_provider(_annotated(other, first=Resource, returns=Other))

    def handle(args: Anything, other: Any) -> None:
        services.append("handled")

    registry.add_handler("Work", _annotated(handle, args=Anything, other=Other))
    runtime = make_runtime()
    job_id = runtime.service.enqueue(job("job", "Work")).id
    after = ring(runtime, job_id)
    assert (after.status, after.attempt) == (JobStatus.SCHEDULED, 1)
    assert "no route to host" in after.last_error
    assert services == ["made", "cleaned up"]


def test_a_clean_up_that_fails_fails_the_attempt(make_runtime, registry):
    """It may have been the commit of all that the handler did."""

    def resource() -> Iterator[Resource]:
        yield Resource()
        raise ConnectionError("could not commit")

    def handle(args: Anything, resource: Resource) -> None:
        pass

    registry.add_provider(resource)
    registry.add_handler("Work", handle)
    runtime = make_runtime()
    job_id = runtime.service.enqueue(job("job", "Work")).id
    after = ring(runtime, job_id)
    assert after.status is JobStatus.SCHEDULED
    assert "could not commit" in after.last_error


def _annotated(function: Callable[..., Any], *, returns: Any = None, **parameters: Any) -> Callable[..., Any]:
    """Annotate with classes that only a test knows."""
    function.__annotations__ = parameters | {"return": returns}
    return function


# --- recurring jobs


def test_a_recurring_job_that_succeeds_waits_for_its_next_occurrence(runtime, enqueue, let_pass):
    def handle(args: Anything) -> None:
        pass

    job_id = enqueue(handle, schedule="@every 1h")
    for run in (1, 2, 3):
        let_pass(HOUR)
        before = runtime.service.get(job_id)
        after = ring(runtime, job_id)
        assert (after.status, after.attempt, after.run_count) == (JobStatus.SCHEDULED, 0, run)
        assert (
            after.next_run_at == after.scheduled_for == before.scheduled_for + HOUR == after.anchor + (run + 1) * HOUR
        )
        assert after.generation == before.generation + 1
        assert after.handled_at is None
    assert [(a.run, a.attempt) for a in reversed(runtime.service.attempts(job_id))] == [(1, 1), (2, 1), (3, 1)]


def test_a_recurring_job_is_retried_only_before_its_next_occurrence(runtime, enqueue, let_pass):
    soon = RetryPolicy(max_retries=5, base=timedelta(minutes=1), jitter=False)
    late = RetryPolicy(max_retries=5, base=2 * HOUR, cap=2 * HOUR, jitter=False)
    retried = enqueue(raising(ValueError()), retry=soon, schedule="@every 1h")
    passed_over = enqueue(raising(ValueError()), retry=late, schedule="@every 1h")
    let_pass(HOUR)
    before = runtime.service.get(retried)
    after = ring(runtime, retried)
    finished_at = last_attempt(runtime, retried).finished_at
    assert (after.next_run_at - finished_at, after.attempt, after.run_count) == (timedelta(minutes=1), 1, 0)
    assert after.scheduled_for == before.scheduled_for, "a retry stands for the same occurrence"
    before = runtime.service.get(passed_over)
    after = ring(runtime, passed_over)
    assert (after.next_run_at, after.attempt, after.run_count) == (before.scheduled_for + HOUR, 0, 1)
    assert after.consecutive_failures == 1


def test_a_recurring_job_goes_on_after_failures_and_counts_them_until_a_success(runtime, enqueue, let_pass):
    def handle(args: Anything, ctx: JobContext) -> None:
        if ctx.run <= 3:
            raise ValueError

    job_id = enqueue(handle, max_retries=0, schedule="@every 1h")
    counts = []
    for _ in range(4):
        let_pass(HOUR)
        after = ring(runtime, job_id)
        assert after.status is JobStatus.SCHEDULED
        counts.append(after.consecutive_failures)
    assert counts == [1, 2, 3, 0]
    assert after.last_error is None
    assert outcomes(runtime, job_id) == ["Failed"] * 3 + ["Succeeded"]


def test_a_run_that_succeeds_on_a_retry_is_one_run_and_begins_the_next_at_attempt_one(
    runtime, enqueue, let_pass, make_due
):
    seen = []

    def handle(args: Anything, ctx: JobContext) -> None:
        seen.append((ctx.run, ctx.attempt, ctx.idempotency_key))
        if ctx.attempt == 1 and ctx.run == 1:
            raise ValueError

    job_id = enqueue(handle, schedule="@every 1h")
    let_pass(HOUR)
    ring(runtime, job_id)
    make_due(job_id)
    after = ring(runtime, job_id)
    assert (after.attempt, after.run_count, after.consecutive_failures) == (0, 1, 0)
    let_pass(HOUR)
    ring(runtime, job_id)
    assert [(run, attempt) for run, attempt, _ in seen] == [(1, 1), (1, 2), (2, 1)]
    first, again, next_run = (key for _, _, key in seen)
    assert first == again != next_run


@pytest.mark.parametrize(("error", "status"), [(None, JobStatus.COMPLETED), (Discard("no"), JobStatus.FAILED)])
def test_a_recurring_job_ends_after_its_last_run(runtime, enqueue, let_pass, error, status):
    def handle(args: Anything) -> None:
        if error is not None:
            raise error

    job_id = enqueue(handle, schedule="@every 1h", max_runs=2)
    let_pass(HOUR)
    assert ring(runtime, job_id).status is JobStatus.SCHEDULED
    let_pass(HOUR)
    after = ring(runtime, job_id)
    assert (after.status, after.run_count, after.next_run_at) == (status, 2, None)


# --- changes while a run is under way


@pytest.mark.parametrize("error", [None, Discard("no"), ValueError()])
def test_after_a_change_of_schedule_during_a_run_the_next_run_is_the_new_schedules(runtime, enqueue, let_pass, error):
    def handle(args: Anything, ctx: JobContext) -> None:
        runtime.service.update(ctx.job_id, UpdateJob(schedule="@every 3h"))
        if error is not None:
            raise error

    job_id = enqueue(handle, schedule="@every 1h", max_retries=0)
    let_pass(HOUR)
    after = ring(runtime, job_id)
    assert after.status is JobStatus.SCHEDULED
    assert after.next_run_at == after.scheduled_for == after.anchor + 3 * HOUR
    assert runtime.service.get(job_id).run_count == 1
    assert len(outcomes(runtime, job_id)) == 1


def test_a_run_whose_schedule_was_changed_is_still_retried(runtime, enqueue, let_pass, make_due):
    def handle(args: Anything, ctx: JobContext) -> None:
        if ctx.attempt == 1:
            runtime.service.update(ctx.job_id, UpdateJob(schedule="@every 3h"))
            raise ValueError

    job_id = enqueue(handle, schedule="@every 1h", retry=TEN_THEN_THIRTY)
    let_pass(HOUR)
    after = ring(runtime, job_id)
    assert after.next_run_at - last_attempt(runtime, job_id).finished_at == timedelta(seconds=10)
    make_due(job_id)
    after = ring(runtime, job_id)
    assert (after.status, after.run_count) == (JobStatus.SCHEDULED, 1)
    assert after.next_run_at == after.anchor + 3 * HOUR


def test_a_recurring_job_that_is_made_one_time_during_a_run_has_that_one_time_still_before_it(
    runtime, enqueue, let_pass
):
    at = datetime(2126, 1, 1, tzinfo=UTC)

    def handle(args: Anything, ctx: JobContext) -> None:
        if ctx.run == 1:
            runtime.service.update(ctx.job_id, UpdateJob(schedule=at.isoformat()))

    job_id = enqueue(handle, schedule="@every 1h")
    let_pass(HOUR)
    after = ring(runtime, job_id)
    assert (after.status, after.next_run_at) == (JobStatus.SCHEDULED, at)


def test_lowering_max_runs_during_the_last_run_ends_the_job_with_it(runtime, enqueue, let_pass):
    def handle(args: Anything, ctx: JobContext) -> None:
        runtime.service.update(ctx.job_id, UpdateJob(max_runs=1))

    job_id = enqueue(handle, schedule="@every 1h")
    let_pass(HOUR)
    assert ring(runtime, job_id).status is JobStatus.COMPLETED


def test_a_new_payload_is_for_the_next_run(runtime, enqueue, let_pass):
    seen = []

    def handle(args: Numbered, ctx: JobContext) -> None:
        if ctx.run == 1:
            runtime.service.update(ctx.job_id, UpdateJob(payload={"number": 2}))
        seen.append(args.number)

    job_id = enqueue(handle, schedule="@every 1h", payload={"number": 1})
    for _ in range(2):
        let_pass(HOUR)
        ring(runtime, job_id)
    assert seen == [1, 2]


def test_a_job_paused_during_a_run_stays_paused_after_it(runtime, enqueue, let_pass):
    def handle(args: Anything, ctx: JobContext) -> None:
        if ctx.run == 1:
            runtime.service.pause(ctx.job_id)

    job_id = enqueue(handle, schedule="@every 1h")
    let_pass(HOUR)
    after = ring(runtime, job_id)
    assert (after.status, after.paused, after.run_count) == (JobStatus.SCHEDULED, True, 1)
    let_pass(HOUR)
    assert handle_alarm(runtime, alarm_of(runtime, job_id)) is AlarmOutcome.PAUSED
    assert runtime.worker.drain(1).executed == 0


# --- deleting while it runs


def test_a_handler_hears_of_its_jobs_deletion_within_a_heartbeat(make_runtime, registry, monkeypatch):
    runtime = make_runtime(lease_seconds=1)
    extend, beats = runtime.pipeline._leases._runs.extend, []

    def counting(*args):
        beats.append(1)
        return extend(*args)

    monkeypatch.setattr(runtime.pipeline._leases._runs, "extend", counting)

    def handle(args: Anything, ctx: JobContext) -> None:
        runtime.service.cancel(ctx.job_id)
        beats.clear()
        until(lambda: ctx.cancelled)
        ctx.raise_if_cancelled()

    registry.add_handler("Work", handle)
    job_id = runtime.service.enqueue(job("job", "Work", schedule="@once")).id
    after = ring(runtime, job_id)
    assert len(beats) <= 2, "by the first heartbeat that began after it, while one was under way"
    assert (after.status, after.next_run_at) == (JobStatus.CANCELLED, None)
    assert outcomes(runtime, job_id) == ["Cancelled"]


@pytest.mark.parametrize(
    ("schedule", "error", "status"),
    [
        ("@once", None, JobStatus.COMPLETED),
        ("@once", Discard("no"), JobStatus.FAILED),
        ("@once", ValueError(), JobStatus.CANCELLED),
        ("@once", Snooze(1), JobStatus.CANCELLED),
        ("@every 1h", None, JobStatus.CANCELLED),
        ("@every 1h", ValueError(), JobStatus.CANCELLED),
    ],
)
def test_a_job_deleted_while_it_runs_goes_on_in_no_case(runtime, enqueue, let_pass, schedule, error, status):
    """Where the attempt ends the job anyway, that end stands; where it would have gone on, it is cancelled."""

    def handle(args: Anything, ctx: JobContext) -> None:
        assert runtime.service.cancel(ctx.job_id).status is JobStatus.RUNNING
        if error is not None:
            raise error

    job_id = enqueue(handle, schedule=schedule)
    let_pass(HOUR)
    after = ring(runtime, job_id)
    assert (after.status, after.next_run_at) == (status, None)
    assert runtime.service.cancel(job_id) == after, "deleting what has ended is a no-op"
    assert len(outcomes(runtime, job_id)) == 1


def test_a_job_deleted_while_it_times_out_is_cancelled(runtime, enqueue):
    def handle(args: Anything, ctx: JobContext) -> None:
        runtime.service.cancel(ctx.job_id)
        until(lambda: ctx.lease_lost)

    job_id = enqueue(handle, timeout=timedelta(seconds=0.1))
    handle_alarm(runtime, alarm_of(runtime, job_id))
    until(lambda: runtime.service.get(job_id).status.ended)
    assert runtime.service.get(job_id).status is JobStatus.CANCELLED
    assert outcomes(runtime, job_id) == ["TimedOut"]


FUNCTION = """
create function note_end() returns trigger language plpgsql as $$
begin insert into ends values (new.id, new.status); return null; end $$
"""
TRIGGER = """
create trigger note_end after update on jobs.jobs for each row
when (new.handled_at is distinct from old.handled_at) execute function note_end()
"""


def test_five_hundred_races_of_cancel_against_completion_each_give_one_end(make_runtime, registry, sql):
    ran = []

    def handle(args: Numbered, ctx: JobContext) -> None:
        ran.append(ctx.job_id)
        time.sleep(args.number / 10_000)

    registry.add_handler("Work", handle)
    for statement in ("create table ends (id uuid, status text)", FUNCTION, TRIGGER):
        sql(statement)
    runtime, other = make_runtime(), make_runtime()
    commands = [job(f"{n}", "Work", payload={"number": n % 50}) for n in range(500)]
    ids = [enqueued.id for enqueued in runtime.service.enqueue_many(commands)]
    barrier = threading.Barrier(2)

    def run(job_id) -> None:
        barrier.wait()
        handle_alarm(runtime, AlarmName(job_id, 1))

    def cancel(number: int, job_id) -> None:
        barrier.wait()
        time.sleep((number % 10) / 1000)
        other.service.cancel(job_id)

    with ThreadPoolExecutor(2) as pool:
        for number, job_id in enumerate(ids):
            for future in [pool.submit(run, job_id), pool.submit(cancel, number, job_id)]:
                future.result(60)
    ends = {}
    for job_id, status in sql("select id, status from ends"):
        ends.setdefault(job_id, []).append(status)
    assert len(ends) == 500
    assert {len(statuses) for statuses in ends.values()} == {1}
    assert {status for [status] in ends.values()} <= {"Completed", "Cancelled"}
    for job_id in ids:
        assert [runtime.service.get(job_id).status] == ends[job_id]
        assert outcomes(runtime, job_id) == (["Succeeded"] if ends[job_id] == ["Completed"] else [])
        assert ran.count(job_id) == (ends[job_id] == ["Completed"])


# --- the database goes away


def test_an_outcome_is_written_when_the_database_is_back(runtime, enqueue):
    ran = []

    def handle(args: Anything) -> None:
        ran.append(1)

    job_id = enqueue(handle)
    falter(runtime, "record", 3)
    assert ring(runtime, job_id).status is JobStatus.COMPLETED
    assert ran == [1]
    assert outcomes(runtime, job_id) == ["Succeeded"]


def test_an_outcome_that_cannot_be_written_within_the_lease_leaves_the_run_to_be_taken_up_again(make_runtime):
    runtime = make_runtime(lease_seconds=1)
    job_id = runtime.service.enqueue(job()).id
    falter(runtime, "record", 1_000)
    with pytest.raises(StoreUnavailable):
        handle_alarm(runtime, AlarmName(job_id, 1))
    assert runtime.service.get(job_id).status is JobStatus.RUNNING
    healthy = make_runtime()
    until(lambda: healthy.reconciler.run().reaped)
    assert ring(healthy, job_id).status is JobStatus.COMPLETED
    assert outcomes(healthy, job_id) == ["Lost", "Succeeded"]


@pytest.mark.parametrize("written", [False, True], ids=["before the commit", "after the commit"])
def test_an_answer_lost_on_the_way_is_neither_taken_for_a_failure_nor_written_twice(
    make_runtime, registry, scheduler, let_pass, written
):
    """Did the database commit before the connection broke? Only the row can tell."""

    def handle(args: Anything) -> None:
        pass

    registry.add_handler("Work", handle)
    runtime = make_runtime()
    job_id = runtime.service.enqueue(job("job", "Work", schedule="@every 1h")).id
    let_pass(HOUR)
    store = runtime.runs
    run, lost = store._run_outcome, []

    def lose_one_answer(statement, values):
        if statement is store._statements.record and not lost:
            lost.append(run(statement, values) if written else None)
            raise OutcomeUnknown("the connection broke")
        return run(statement, values)

    store._run_outcome = lose_one_answer
    after = ring(runtime, job_id)
    assert len(lost) == 1
    assert (after.status, after.run_count) == (JobStatus.SCHEDULED, 1)
    assert outcomes(runtime, job_id) == ["Succeeded"]
    assert AlarmName(job_id, after.generation) in scheduler.alarms


def test_a_run_that_is_claimed_and_cannot_begin_is_not_kept_from_the_reconciler(make_runtime, monkeypatch):
    runtime = make_runtime(lease_seconds=1)
    job_id = runtime.service.enqueue(job()).id
    clock = runtime.pipeline._clock
    away = iter([True])

    class Clock:
        def now(self) -> datetime:
            if next(away, False):
                raise StoreUnavailable("the database went away")
            return clock.now()

    runtime.pipeline._clock = Clock()
    try:
        handle_alarm(runtime, AlarmName(job_id, 1))
    except StoreUnavailable:
        until(lambda: runtime.reconciler.run().reaped)
        ring(runtime, job_id)
    assert runtime.service.get(job_id).status is JobStatus.COMPLETED


def test_a_hiccup_in_the_midst_of_a_batch_forgets_nothing_of_it(make_runtime, registry, scheduler, let_pass, caplog):
    def handle(args: Anything, ctx: JobContext) -> None:
        if ctx.job_name == "changed":
            runtime.service.update(ctx.job_id, UpdateJob(schedule="@every 3h"))

    registry.add_handler("Work", handle)
    runtime = make_runtime()
    ids = [runtime.service.enqueue(job(name, "Work", schedule="@every 1h")).id for name in ("plain", "changed")]
    let_pass(HOUR)
    recorded = [runtime.pipeline.execute(run) for run in runtime.pipeline.claims.due(2)]
    falter(runtime, "reread", 1)
    runtime.pipeline.record(recorded)
    for job_id in ids:
        after = runtime.service.get(job_id)
        assert (after.status, after.run_count) == (JobStatus.SCHEDULED, 1)
        assert scheduler.alarms[AlarmName(job_id, after.generation)] == after.next_run_at
    assert "lease-lost" not in caplog.text


# --- the next alarm


def _succeed(args: Anything) -> None:
    pass


NEXT = {
    "the next occurrence": (_succeed, "@every 1h"),
    "the next occurrence after a failed run": (raising(Discard("no")), "@every 1h"),
    "a retry": (raising(ValueError()), "@once"),
    "a retry that the handler timed": (raising(Retry(after=60)), "@every 1h"),
    "a snooze": (raising(Snooze(60)), "@once"),
}


@pytest.mark.parametrize("case", NEXT)
def test_the_next_alarm_is_set_under_the_new_generation(make_runtime, registry, scheduler, let_pass, case):
    target, schedule = NEXT[case]
    registry.add_handler("Work", target)
    runtime = make_runtime()
    job_id = runtime.service.enqueue(job("job", "Work", schedule=schedule)).id
    assert list(scheduler.alarms) == [AlarmName(job_id, 1)]
    let_pass(HOUR)
    scheduler.ring_due(datetime.max.replace(tzinfo=UTC), partial(handle_alarm, runtime))
    after = runtime.service.get(job_id)
    assert after.generation == 2
    assert scheduler.alarms == {AlarmName(job_id, 2): after.next_run_at}
    until(lambda: runtime.service.get(job_id).armed_at)


def test_a_timed_out_runs_next_alarm_is_set_too(make_runtime, registry, scheduler):
    def handle(args: Anything, ctx: JobContext) -> None:
        until(lambda: ctx.lease_lost)

    registry.add_handler("Work", handle, timeout=timedelta(seconds=0.1))
    runtime = make_runtime()
    job_id = runtime.service.enqueue(job("job", "Work")).id
    handle_alarm(runtime, AlarmName(job_id, 1))
    until(lambda: AlarmName(job_id, 2) in scheduler.alarms and runtime.service.get(job_id).armed_at)
    assert scheduler.alarms[AlarmName(job_id, 2)] == runtime.service.get(job_id).next_run_at


def test_a_job_that_has_ended_sets_no_alarm(make_runtime, registry, scheduler):
    registry.add_handler("Fail", raising(Discard("no")))
    runtime = make_runtime()
    for handler_name in ("Noop", "Fail"):
        runtime.service.enqueue(job(handler_name, handler_name))
    scheduler.ring_due(datetime.now(UTC) + HOUR, partial(handle_alarm, runtime))
    assert scheduler.alarms == {}


def test_an_alarm_that_rings_before_it_was_noted_runs_its_job(make_runtime, scheduler):
    runtime = make_runtime()
    rung = []
    arm_many = scheduler.arm_many

    def ring_within(alarms):
        accepted = arm_many(alarms)
        rung.extend(handle_alarm(runtime, alarm.name) for alarm in alarms)
        return accepted

    scheduler.arm_many = ring_within
    job_id = runtime.service.enqueue(job()).id
    assert rung == [AlarmOutcome.RAN]
    assert runtime.service.get(job_id).status is JobStatus.COMPLETED


def test_an_alarm_that_rang_long_before_its_time_is_set_again_by_the_reconciler(make_runtime, scheduler):
    """It is used up by ringing; nobody else would set it before the job is overdue."""
    runtime = make_runtime()
    job_id = runtime.service.enqueue(job(schedule="PT1H")).id
    due_at = until(lambda: (stands := runtime.service.get(job_id)).armed_at and stands.next_run_at)
    [name] = scheduler.ring_due(due_at, partial(handle_alarm, runtime))
    assert scheduler.alarms == {}
    assert runtime.reconciler.run().armed == 1
    assert scheduler.alarms == {name: due_at}


def test_an_outcome_stands_though_the_scheduler_is_away(make_runtime, registry, scheduler, let_pass):
    runtime = make_runtime()
    job_id = runtime.service.enqueue(job(schedule="@every 1h")).id
    let_pass(HOUR)
    scheduler.available = False
    after = ring(runtime, job_id)
    assert (after.status, after.run_count, after.armed_at) == (JobStatus.SCHEDULED, 1, None)


def test_a_scheduler_that_breaks_in_a_way_of_its_own_loses_no_job(make_runtime, scheduler, let_pass, caplog):
    runtime = make_runtime()

    def break_down(_):
        raise ZeroDivisionError("a fault in the scheduler's client")

    scheduler.arm_many = scheduler.disarm_many = break_down
    job_id = runtime.service.enqueue(job(schedule="@every 1h")).id
    let_pass(HOUR)
    assert ring(runtime, job_id).run_count == 1
    assert runtime.service.cancel(job_id).status is JobStatus.CANCELLED
    assert "a fault in the scheduler's client" in caplog.text


def test_a_job_lives_its_whole_life_on_alarms(make_runtime, registry, scheduler, sql):
    calls = []

    def handle(args: Anything, ctx: JobContext) -> None:
        calls.append((ctx.run, ctx.attempt))
        if ctx.attempt == 1:
            raise ValueError

    registry.add_handler("Work", handle, retry=RetryPolicy(base=timedelta(seconds=0.01), jitter=False))
    runtime = make_runtime()
    job_id = runtime.service.enqueue(job("job", "Work", schedule="@every 1s", max_runs=2)).id
    a_little = timedelta(seconds=0.05)  # by which our reckoning of the database's clock may be ahead
    until(
        lambda: (
            scheduler.ring_due(runtime.clock.now() - a_little, partial(handle_alarm, runtime)) and not scheduler.alarms
        )
    )
    assert calls == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert runtime.service.get(job_id).status is JobStatus.COMPLETED
    assert outcomes(runtime, job_id) == ["Failed", "Succeeded"] * 2
