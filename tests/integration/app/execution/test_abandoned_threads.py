"""Handlers that ignore their timeout keep their threads, not their slots, and the instance says so at the bound."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from jobs.app.execution.alarm_result import AlarmOutcome
from jobs.app.runtime import Runtime
from jobs.core.errors import Unavailable
from jobs.core.handlers.context import JobContext
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.job import Job
from jobs.core.lifecycle.retry import RetryPolicy
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.entrypoints.http import operations
from jobs.entrypoints.http.callback_tokens import CallbackTokens
from tests.support import Anything, job, until

NEVER_AGAIN = RetryPolicy(max_retries=0)
SHORT = timedelta(seconds=0.2)
TOKENS = CallbackTokens((), open_without_token=True)


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """What stuck handlers wait for."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def at_work() -> list[int]:
    """How many handlers ran at once, at every start of one."""
    return []


@pytest.fixture
def handlers(registry, release, at_work) -> Any:
    """A handler that ignores its timeout, and one that does its work."""
    running: set[object] = set()

    def stuck(args: Anything) -> None:
        release.wait(300)

    def good(args: Anything) -> None:
        me = object()
        running.add(me)
        at_work.append(len(running))
        threading.Event().wait(0.005)
        running.discard(me)

    registry.add_handler("Stuck", stuck, retry=NEVER_AGAIN, timeout=SHORT)
    registry.add_handler("Good", good)
    return registry


def ready(runtime: Runtime) -> tuple[int, dict[str, Any]]:
    answer = operations.ready(lambda: runtime, TOKENS)
    return answer.status_code, json.loads(answer.get_body())


def read(runtime: Runtime, jobs: list[Job]) -> set[JobStatus]:
    return {runtime.service.get(each.id).status for each in jobs}


def enqueue(runtime: Runtime, handler_name: str, count: int) -> list[Job]:
    return [runtime.service.enqueue(job(f"{handler_name} {n}", handler_name)).job for n in range(count)]


def worker_threads(runtime: Runtime) -> int:
    return runtime.pool._threads.live


@pytest.mark.usefixtures("handlers")
def test_handlers_that_ignore_their_timeout_give_their_slots_back(make_runtime, release, at_work, caplog):
    runtime = make_runtime(concurrency=2)
    stuck = enqueue(runtime, "Stuck", 2)
    runtime.worker.drain(10)
    until(lambda: len(runtime.pool.abandoned) == 2)
    assert read(runtime, stuck) == {JobStatus.FAILED}, "the time-out is recorded while the handler goes on"

    good = enqueue(runtime, "Good", 20)
    until(lambda: runtime.worker.drain(10) and read(runtime, good) == {JobStatus.COMPLETED})
    assert worker_threads(runtime) == 4, "two in place of two"

    warnings = [each.getMessage() for each in caplog.records if "goes on after its time-out" in each.getMessage()]
    assert len(warnings) == 2
    assert "(Stuck, Stuck 0)" in "".join(warnings)
    assert "ctx.raise_if_cancelled()" in warnings[0]

    release.set()
    until(lambda: not runtime.pool.abandoned)
    until(lambda: worker_threads(runtime) == 2)
    at_work.clear()
    more = enqueue(runtime, "Good", 40)
    until(lambda: runtime.worker.drain(10) and read(runtime, more) == {JobStatus.COMPLETED})
    assert max(at_work) <= 2, "the threads that came back are not more than the pool"


@pytest.mark.usefixtures("handlers")
def test_at_the_bound_no_more_threads_are_made_and_the_instance_is_not_ready_until_they_end(make_runtime, release):
    runtime = make_runtime(concurrency=2, max_abandoned_threads=1)
    assert ready(runtime)[0] == 200
    enqueue(runtime, "Stuck", 2)
    runtime.worker.drain(10)
    until(lambda: len(runtime.pool.abandoned) == 2)
    assert worker_threads(runtime) == 3, "one in place of two"
    status, body = ready(runtime)
    assert status == 503
    assert "Stuck (2)" in body["reason"]
    assert "restart this instance" in body["reason"]
    assert operations.stats(runtime, TOKENS)["abandoned_threads"] == 2

    good = enqueue(runtime, "Good", 5)
    until(lambda: runtime.worker.drain(10) and read(runtime, good) == {JobStatus.COMPLETED})

    release.set()
    until(lambda: not runtime.pool.abandoned)
    assert ready(runtime)[0] == 200
    assert operations.stats(runtime, TOKENS)["abandoned_threads"] == 0
    until(lambda: worker_threads(runtime) == 2)


@pytest.mark.usefixtures("handlers")
def test_an_instance_whose_every_thread_is_kept_leaves_due_jobs_to_others_and_goes_on_once_one_is_free(
    make_runtime, release
):
    full = make_runtime(concurrency=2, max_abandoned_threads=1)
    # The last of them is still waiting for a thread as the others are abandoned, and so are the good ones behind it.
    enqueue(full, "Stuck", 3)
    good = enqueue(full, "Good", 5)
    full.worker.drain(10)
    until(lambda: full.worker.drain(1) and len(full.pool.abandoned) == 3)
    good += [full.service.enqueue(job(f"later {n}", "Good")).job for n in range(5)]
    assert full.worker.drain(60).left_running == 0, "nothing is claimed that could not begin"
    last = full.service.enqueue(job("last", "Good")).job
    with pytest.raises(Unavailable, match=r"Stuck \(3\); restart this instance"):
        full.pool.handle_alarm(AlarmName(last.id, last.generation)).result(60)
    full.pool.in_hand.offer("Good")

    other = make_runtime(concurrency=2)
    until(lambda: other.worker.drain(10) and read(full, [*good, last]) == {JobStatus.COMPLETED})

    release.set()
    until(lambda: not full.pool.abandoned)
    more = enqueue(full, "Good", 5)
    until(lambda: full.worker.drain(10) and read(full, more) == {JobStatus.COMPLETED})
    assert full.worker.drain(10).left_running == 0


@pytest.mark.usefixtures("handlers", "release")
def test_an_alarm_is_answered_when_the_time_out_is_recorded_not_when_the_handler_ends(make_runtime):
    runtime = make_runtime(concurrency=1)
    [stuck] = enqueue(runtime, "Stuck", 1)
    rung = runtime.pool.handle_alarm(AlarmName(stuck.id, stuck.generation)).result(60)
    assert rung.outcome is AlarmOutcome.RAN
    [attempt] = runtime.service.attempts(stuck.id)
    assert attempt.outcome is AttemptOutcome.TIMED_OUT
    [good] = enqueue(runtime, "Good", 1)
    assert runtime.pool.handle_alarm(AlarmName(good.id, good.generation)).result(60).outcome is AlarmOutcome.RAN
    assert runtime.service.get(good.id).status is JobStatus.COMPLETED


@pytest.mark.usefixtures("handlers", "release")
def test_a_time_out_says_where_its_handler_went_on(make_runtime):
    runtime = make_runtime(concurrency=1)
    [stuck] = enqueue(runtime, "Stuck", 1)
    runtime.worker.drain(10)
    until(lambda: runtime.service.attempts(stuck.id))
    [attempt] = runtime.service.attempts(stuck.id)
    assert "in stuck" in attempt.traceback
    assert "release.wait(300)" in attempt.traceback
    assert "executor.py" not in attempt.traceback


def test_an_attempt_whose_lease_was_lost_is_abandoned_at_its_time_out(make_runtime, registry, release, sql):
    seen: list[JobContext] = []

    def handle(args: Anything, ctx: JobContext) -> None:
        seen.append(ctx)
        release.wait(300)

    registry.add_handler("Stuck", handle, timeout=timedelta(seconds=5), retry=NEVER_AGAIN)
    runtime = make_runtime(concurrency=1)
    [stuck] = enqueue(runtime, "Stuck", 1)
    answer = runtime.pool.handle_alarm(AlarmName(stuck.id, stuck.generation))
    until(lambda: seen)
    sql("update jobs.jobs set lease_token = gen_random_uuid() where id = cast(:id as uuid)", id=str(stuck.id))
    seen[0].heartbeat()
    assert seen[0].lease_lost
    assert not runtime.pool.abandoned, "it may yet end by itself"
    until(lambda: runtime.pool.abandoned)
    assert answer.result(60).outcome is AlarmOutcome.RAN
    assert runtime.service.attempts(stuck.id) == [], "what it does no longer counts"


def test_a_handler_that_goes_on_after_it_has_completed_its_job_is_abandoned_at_its_time_out(
    make_runtime, registry, release
):
    told: list[Callable[[], None]] = []

    def handle(args: Anything, ctx: JobContext) -> None:
        with ctx.unit_of_work() as uow:
            uow.complete()
        told.append(ctx.raise_if_cancelled)
        release.wait(300)

    registry.add_handler("Stuck", handle, timeout=timedelta(seconds=1))
    runtime = make_runtime(concurrency=1)
    [stuck] = enqueue(runtime, "Stuck", 1)
    runtime.worker.drain(10)
    until(lambda: runtime.pool.abandoned)
    assert runtime.service.get(stuck.id).status is JobStatus.COMPLETED
    with pytest.raises(Exception, match="lease is gone"):
        told[0]()


def test_an_async_handler_that_swallows_its_cancellation_is_abandoned_too(make_runtime, registry, monkeypatch):
    monkeypatch.setattr("jobs.app.execution.attempt.executor._ASYNC_CLEAN_UP_SECONDS", 0.2)
    end: list[bool] = []

    async def handle(args: Anything) -> None:
        while not end:
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                continue

    registry.add_handler("Stuck", handle, timeout=SHORT, retry=NEVER_AGAIN)
    runtime = make_runtime(concurrency=1)
    [stuck] = enqueue(runtime, "Stuck", 1)
    runtime.worker.drain(10)
    until(lambda: runtime.pool.abandoned)
    assert runtime.service.get(stuck.id).status is JobStatus.FAILED
    end.append(True)
    until(lambda: not runtime.pool.abandoned)


@pytest.mark.usefixtures("handlers", "release")
def test_a_suspect_that_ignores_its_timeout_takes_no_slot_and_lets_the_others_run(make_runtime, sql):
    runtime = make_runtime(concurrency=1)
    [stuck] = enqueue(runtime, "Stuck", 1)
    sql("update jobs.jobs set lost_count = 2 where id = cast(:id as uuid)", id=str(stuck.id))
    runtime.worker.drain(10)
    until(lambda: runtime.pool.abandoned)
    assert runtime.pool.abandoned.replaced == 0
    good = enqueue(runtime, "Good", 3)
    until(lambda: runtime.worker.drain(10) and read(runtime, good) == {JobStatus.COMPLETED})


@pytest.mark.usefixtures("handlers", "release")
def test_a_gauge_counts_abandoned_threads(make_runtime, monkeypatch):
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    monkeypatch.setattr(metrics, "get_meter", meters.get_meter)
    try:
        runtime = make_runtime(concurrency=2, opentelemetry=True)
        enqueue(runtime, "Stuck", 1)
        runtime.worker.drain(10)
        until(lambda: runtime.pool.abandoned)
        [scope] = reader.get_metrics_data().resource_metrics[0].scope_metrics
        [points] = [each.data.data_points for each in scope.metrics if each.name == "jobs.abandoned_threads"]
        assert [point.value for point in points] == [1]
    finally:
        meters.shutdown()


@pytest.mark.usefixtures("handlers")
def test_a_handler_that_ends_at_its_time_out_keeps_no_thread(make_runtime, registry, caplog):
    def handle(args: Anything, ctx: JobContext) -> None:
        until(lambda: ctx.lease_lost)
        ctx.raise_if_cancelled()

    registry.add_handler("Polite", handle, timeout=SHORT, retry=NEVER_AGAIN)
    runtime = make_runtime(concurrency=1)
    polite = enqueue(runtime, "Polite", 1)
    good = enqueue(runtime, "Good", 3)
    until(
        lambda: runtime.worker.drain(10) or read(runtime, [*polite, *good]) == {JobStatus.FAILED, JobStatus.COMPLETED}
    )
    until(lambda: not runtime.pool.abandoned)
    assert ready(runtime)[0] == 200
    assert not [each for each in caplog.records if each.levelno > logging.WARNING]


@pytest.mark.usefixtures("handlers")
def test_an_alarm_whose_handler_ends_at_its_time_out_is_answered_once_that_is_recorded(
    make_runtime, registry, release, monkeypatch
):
    """Its invocation would end otherwise, and with it what may still be logged of the attempt."""

    def handle(args: Anything, ctx: JobContext) -> None:
        until(lambda: ctx.lease_lost)

    registry.add_handler("Polite", handle, timeout=SHORT, retry=NEVER_AGAIN)
    runtime = make_runtime(concurrency=1)
    write = runtime.pipeline.outcomes.write

    def write_late(outcomes: Any) -> Any:
        if any(each.result.outcome is AttemptOutcome.TIMED_OUT for each in outcomes):
            assert release.wait(60)
        return write(outcomes)

    monkeypatch.setattr(runtime.pipeline.outcomes, "write", write_late)
    [polite], [good] = enqueue(runtime, "Polite", 1), enqueue(runtime, "Good", 1)
    rung, after = [runtime.pool.handle_alarm(AlarmName(each.id, each.generation)) for each in (polite, good)]
    assert after.result(60).outcome is AlarmOutcome.RAN, "on the thread that the first has left"
    assert not rung.done()
    release.set()
    assert rung.result(60).outcome is AlarmOutcome.RAN
    [attempt] = runtime.service.attempts(polite.id)
    assert attempt.outcome is AttemptOutcome.TIMED_OUT
    assert ready(runtime)[0] == 200


def test_however_many_handlers_run_over_their_time_every_slot_comes_back_and_every_attempt_is_recorded_once(
    make_runtime, registry, sql
):
    random = Random(1)

    def handle(args: Anything) -> None:
        threading.Event().wait(random.random() * 0.12)

    async def handle_async(args: Anything) -> None:
        try:
            await asyncio.sleep(random.random() * 0.12)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)

    registry.add_handler("Plain", handle, timeout=timedelta(seconds=0.06), retry=NEVER_AGAIN)
    registry.add_handler("Async", handle_async, timeout=timedelta(seconds=0.06), retry=NEVER_AGAIN)
    runtime = make_runtime(concurrency=4)
    runtime.service.enqueue_many([job(f"{n}", "Plain" if n % 2 else "Async") for n in range(200)])
    until(lambda: runtime.worker.drain(20) and not sql("select from jobs.jobs where handled_at is null"))
    until(lambda: not runtime.pool.abandoned)
    until(lambda: worker_threads(runtime) <= 4)
    assert sql("select count(*), count(distinct job_id) from jobs.job_attempts") == [(200, 200)]
    assert runtime.worker.drain(20).left_running == 0
