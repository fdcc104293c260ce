"""Many due jobs, several workers, slow handlers, hosts that stop: everything runs once, nothing is held up or lost."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from jobs.app.execution.worker.drain_budget import DrainBudget
from jobs.app.execution.worker.worker import Drained
from jobs.app.runtime import Runtime
from jobs.core.errors import StoreUnavailable, Unavailable
from jobs.core.handlers.context import JobContext
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.retry import RetryPolicy
from jobs.core.lifecycle.status import JobStatus
from tests.support import Anything, job, until

AT_ONCE = RetryPolicy(max_retries=3, base=timedelta(), cap=timedelta(), jitter=False)


@pytest.fixture
def count(sql) -> Callable[[], dict[str, int]]:
    """Count jobs by status."""
    return lambda: dict(sql("select status, count(*) from jobs.jobs group by 1"))


@pytest.fixture
def history(sql) -> Callable[[], Counter]:
    """Count jobs by their outcomes, oldest first."""
    text = "select string_agg(outcome, ' ' order by started_at, finished_at) from jobs.job_attempts group by job_id"
    return lambda: Counter(outcomes for (outcomes,) in sql(text))


def outcomes(runtime: Runtime, job_id) -> list[str]:
    """The outcomes in a job's history, oldest first."""
    return [str(attempt.outcome) for attempt in reversed(runtime.service.attempts(job_id))]


def enqueue(runtime: Runtime, handler_name: str, times: int, **fields) -> list:
    """Enqueue jobs that fall due in order, and give their ids."""
    commands = [job(f"{handler_name} {n}", handler_name, **fields) for n in range(times)]
    return [enqueued.id for enqueued in runtime.service.enqueue_many(commands)]


def drain_until(runtime: Runtime, condition: Callable[[], Any]) -> None:
    """Drain for a moment, and again, until a handler that goes on beyond it has begun."""
    until(lambda: runtime.worker.drain(0.2) and condition())


class Gate:
    """A handler that blocks until it is opened, and counts what goes through it."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.contexts: list[JobContext] = []

    def handle(self, args: Anything, ctx: JobContext) -> None:
        self.contexts.append(ctx)
        self.open.wait(60)


@pytest.fixture
def gate(registry):
    gate = Gate()

    def handle(args: Anything, ctx: JobContext) -> None:
        gate.handle(args, ctx)

    registry.add_handler("Slow", handle)
    yield gate
    gate.open.set()


# --- everything once


def test_eight_runtimes_run_two_thousand_due_jobs_once_each(make_runtime, registry, history, count):
    ran = []

    def handle(args: Anything, ctx: JobContext) -> None:
        ran.append(ctx.job_id)

    registry.add_handler("Work", handle)
    runtimes = [make_runtime(batch_size=100) for _ in range(8)]
    ids = enqueue(runtimes[0], "Work", 2_000)
    with ThreadPoolExecutor(8) as pool:
        drained = list(pool.map(lambda runtime: runtime.worker.drain(60), runtimes))
    assert sum(one.executed for one in drained) == 2_000
    assert Counter(ran) == Counter(ids)
    assert count() == {"Completed": 2_000}
    assert history() == {"Succeeded": 2_000}


def test_several_runtimes_run_every_retry_once(make_runtime, registry, history, count, sql):
    def handle(args: Anything, ctx: JobContext) -> None:
        if ctx.attempt <= 2:
            raise ValueError(f"attempt {ctx.attempt}")

    registry.add_handler("Work", handle, retry=AT_ONCE)
    runtimes = [make_runtime() for _ in range(4)]
    enqueue(runtimes[0], "Work", 300)

    def drain(runtime: Runtime) -> None:
        until(lambda: runtime.worker.drain(60) and count().get("Completed") == 300)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(drain, runtimes))
    assert count() == {"Completed": 300}
    assert history() == {"Failed Failed Succeeded": 300}
    assert sql("select distinct attempt, outcome from jobs.job_attempts order by 1") == [
        (1, "Failed"),
        (2, "Failed"),
        (3, "Succeeded"),
    ]


def test_jobs_run_in_the_order_in_which_they_fell_due(make_runtime, registry, sql):
    ran = []

    def handle(args: Anything, ctx: JobContext) -> None:
        ran.append(ctx.job_id)

    registry.add_handler("Work", handle)
    runtime = make_runtime(concurrency=1)
    ids = enqueue(runtime, "Work", 20)
    for lateness, job_id in enumerate(ids):
        sql(f"update jobs.jobs set next_run_at = now() - interval '{lateness + 1} s' where id = '{job_id}'")
    runtime.worker.drain(60)
    assert ran == ids[::-1]


def test_a_drain_with_nothing_due_ends_at_once(runtime):
    runtime.service.enqueue(job(schedule="PT1H"))
    drained = runtime.worker.drain(60)
    assert (drained.executed, drained.left_running) == (0, 0)
    assert drained.seconds < 60, "the budget is not used up"


# --- bounds


def test_no_more_handlers_run_at_once_than_the_limit_allows(make_runtime, registry):
    running, most, lock = 0, 0, threading.Lock()

    def handle(args: Anything) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= 1

    registry.add_handler("Work", handle)
    runtime = make_runtime(concurrency=3)
    enqueue(runtime, "Work", 100)
    assert runtime.worker.drain(60).executed == 100
    assert most == 3


def test_a_slow_handler_neither_holds_up_what_is_due_behind_it_nor_makes_the_drain_overrun(
    make_runtime, gate, count, history
):
    runtime = make_runtime(concurrency=2)
    [slow] = enqueue(runtime, "Slow", 1)
    enqueue(runtime, "Noop", 50)
    drained = runtime.worker.drain(3)
    assert (drained.executed, drained.left_running) == (50, 1)
    assert count() == {"Completed": 50, "Running": 1}
    gate.open.set()
    until(lambda: runtime.service.get(slow).status is JobStatus.COMPLETED)
    assert history() == {"Succeeded": 51}


def test_the_next_drain_goes_on_beside_what_the_last_one_left_running(make_runtime, gate, count, history):
    runtime = make_runtime(concurrency=2)
    [slow] = enqueue(runtime, "Slow", 1)
    drain_until(runtime, lambda: gate.contexts)
    enqueue(runtime, "Noop", 20)
    drained = runtime.worker.drain(3)
    assert (drained.executed, drained.left_running) == (20, 1)
    threading.Timer(0.2, gate.open.set).start()
    drained = runtime.worker.drain(60)
    assert (drained.executed, drained.left_running) == (1, 0)
    assert drained.seconds < 60, "a drain ends when there is nothing left to wait for"
    assert runtime.service.get(slow).status is JobStatus.COMPLETED
    assert history() == {"Succeeded": 21}


def test_slow_handlers_in_every_slot_leave_the_rest_to_other_instances(make_runtime, gate, count):
    busy, other = make_runtime(concurrency=2), make_runtime(concurrency=2)
    enqueue(busy, "Slow", 2)
    enqueue(busy, "Noop", 20)
    drain_until(busy, lambda: len(gate.contexts) == 2)
    assert count() == {"Running": 2, "Scheduled": 20}
    assert other.worker.drain(60).executed == 20


def test_what_falls_due_during_a_drain_is_run_by_it(make_runtime, gate):
    runtime = make_runtime(concurrency=2)
    enqueue(runtime, "Slow", 1)
    later = runtime.service.enqueue(job("later", schedule="PT1S")).id
    with ThreadPoolExecutor(1) as pool:
        drained = pool.submit(runtime.worker.drain, 60)
        until(lambda: runtime.service.get(later).status is JobStatus.COMPLETED)
        gate.open.set()
        assert drained.result().executed == 2


def test_work_that_never_ends_stops_at_the_budget(make_runtime, registry, count):
    def handle(args: Anything, ctx: JobContext) -> None:
        runtime.service.enqueue(job(f"after {ctx.job_id}", "Again"))

    registry.add_handler("Again", handle)
    runtime = make_runtime()
    enqueue(runtime, "Again", 5)
    drained = runtime.worker.drain(3)
    assert drained.executed > 5
    assert set(count()) != {"Completed"}, "it ended amid the work, as its budget did"


def test_a_second_drain_at_the_same_time_returns_at_once(make_runtime, gate):
    runtime = make_runtime()
    enqueue(runtime, "Slow", 1)
    first = threading.Thread(target=runtime.worker.drain, args=[60])
    first.start()
    until(lambda: gate.contexts)
    enqueue(runtime, "Noop", 5)
    assert runtime.worker.drain(60) == Drained(0, 0.0, left_running=runtime.pool.in_hand.count)
    gate.open.set()
    first.join(60)
    assert not first.is_alive()
    assert runtime.worker.drain(60).left_running == 0


def test_a_drain_that_waits_for_another_one_waits_in_its_own_time(make_runtime, gate, monkeypatch):
    """Both together must end before the host's limit on one call."""
    budgets = []

    def budget(began: float, budget_seconds: float, stay_seconds: float) -> DrainBudget:
        budgets.append((budget_seconds, stay_seconds))
        return DrainBudget(began, budget_seconds, stay_seconds)

    monkeypatch.setattr("jobs.app.execution.worker.worker.DrainBudget", budget)
    runtime = make_runtime()
    enqueue(runtime, "Slow", 1)
    with ThreadPoolExecutor(2) as pool:
        pool.submit(runtime.worker.drain, 2)
        until(lambda: gate.contexts)
        waiting = pool.submit(runtime.worker.drain, 60, 60, after_others=True)
        until(lambda: len(budgets) == 2)
        gate.open.set()
        waiting.result()
    assert max(budgets[1]) < 60


# --- things that break


def test_a_database_that_is_away_ends_the_drain_and_the_next_one_works(make_runtime, monkeypatch, count):
    runtime = make_runtime()
    enqueue(runtime, "Noop", 5)
    with monkeypatch.context() as patch:
        patch.setattr(runtime.runs, "claim_due", _raise(StoreUnavailable("away")))
        with pytest.raises(StoreUnavailable):
            runtime.worker.drain(60)
    assert runtime.worker.drain(60).executed == 5
    assert count() == {"Completed": 5}


def _raise(error: Exception) -> Callable[..., None]:
    def fail(*args, **kwargs) -> None:
        raise error

    return fail


@pytest.mark.parametrize("error", [StoreUnavailable("away"), ZeroDivisionError("a bug")])
@pytest.mark.parametrize("when", ["during a drain", "between drains"])
def test_outcomes_that_cannot_be_recorded_do_not_wear_out_the_worker(make_runtime, gate, monkeypatch, error, when):
    runtime = make_runtime(concurrency=1, lease_seconds=1)
    [slow] = enqueue(runtime, "Slow", 1)
    store = runtime.runs
    with monkeypatch.context() as patch:
        recorded = threading.Event()

        def fail(_):
            recorded.set()
            raise error

        patch.setattr(store, "record", fail)
        if when == "during a drain":
            gate.open.set()
        drain_until(runtime, lambda: gate.contexts)
        gate.open.set()
        until(recorded.is_set)
        until(lambda: runtime.pool.in_hand.count == 0)
    until(lambda: runtime.reconciler.run().reaped or outcomes(runtime, slow) == ["Lost"])
    enqueue(runtime, "Noop", 5)
    drain_until(runtime, lambda: runtime.service.get(slow).status is JobStatus.COMPLETED)
    assert outcomes(runtime, slow)[-2:] == ["Lost", "Succeeded"]
    until(lambda: runtime.pool.in_hand.count == 0)


def test_an_attempt_that_cannot_be_executed_at_all_stops_no_other(make_runtime, registry, monkeypatch, count):
    runtime = make_runtime(concurrency=1)
    ids = enqueue(runtime, "Noop", 5)
    execute = runtime.pipeline.execute

    def fail_one(run):
        if run.job_id == ids[2]:
            raise ZeroDivisionError("a bug")
        return execute(run)

    monkeypatch.setattr(runtime.pipeline, "execute", fail_one)
    assert runtime.worker.drain(60).left_running == 0
    assert count() == {"Completed": 4, "Running": 1}


# --- the host stops


def test_stopping_gives_back_what_runs_and_what_has_not_begun(make_runtime, gate, count, history, sql):
    runtime, other = make_runtime(concurrency=2), make_runtime(concurrency=4)
    enqueue(runtime, "Noop", 300)
    enqueue(runtime, "Slow", 20)
    draining = threading.Thread(target=runtime.worker.drain, args=[60])
    draining.start()
    until(lambda: len(gate.contexts) == 2 and count()["Completed"] == 300)
    until(lambda: runtime.pool.in_hand.waiting.qsize() > 0)
    assert count()["Running"] > 2, "fast jobs before them made the worker claim ahead"
    runtime.pool.stop(0.2)
    draining.join(60)
    assert not draining.is_alive()
    assert all(ctx.shutting_down and ctx.lease_lost is False for ctx in gate.contexts)
    assert count() == {"Completed": 300, "Scheduled": 20}
    assert sql("select distinct attempt, run_count, lost_count from jobs.jobs where status = 'Scheduled'") == [
        (0, 0, 0)
    ]
    assert history()["Succeeded"] == 300
    assert 2 < history()["Released"] <= 20
    before = sql("select id, revision from jobs.jobs where handler_name = 'Slow' order by 1")
    gate.open.set()
    time.sleep(0.1)
    assert sql("select id, revision from jobs.jobs where handler_name = 'Slow' order by 1") == before
    assert other.worker.drain(60).executed == 20
    assert count() == {"Completed": 320}
    assert sql("select distinct attempt from jobs.jobs") == [(1,)]


def test_a_handler_that_ends_within_the_grace_period_has_its_outcome(make_runtime, gate, history):
    runtime = make_runtime()
    enqueue(runtime, "Slow", 1)
    drain_until(runtime, lambda: gate.contexts)
    threading.Timer(0.2, gate.open.set).start()
    runtime.pool.stop(60)
    assert until(history) == {"Succeeded": 1}


def test_an_outcome_that_is_just_being_decided_when_the_host_goes_down_is_recorded(make_runtime, history, monkeypatch):
    runtime = make_runtime()
    decide, deciding, done = runtime.pipeline.outcomes.decide, threading.Event(), threading.Event()

    def slowly(*given, **named):
        deciding.set()
        done.wait(0.2)
        return decide(*given, **named)

    monkeypatch.setattr(runtime.pipeline.outcomes, "decide", slowly)
    enqueue(runtime, "Noop", 1)
    draining = threading.Thread(target=runtime.worker.drain, args=[60])
    draining.start()
    until(deciding.is_set)
    runtime.pool.stop(60)
    assert until(history) == {"Succeeded": 1}
    draining.join(60)


def test_a_handler_that_heeds_the_hosts_end_gives_its_run_back_and_no_attempt_counts(make_runtime, registry, count):
    began = threading.Event()

    def handle(args: Anything, ctx: JobContext) -> None:
        if ctx.metadata.get("done"):
            return
        began.set()
        until(lambda: ctx.shutting_down)
        ctx.raise_if_cancelled()

    registry.add_handler("Long", handle)
    runtime, other = make_runtime(), make_runtime()
    [job_id] = enqueue(runtime, "Long", 1, max_retries=0)
    drain_until(runtime, began.is_set)
    runtime.pool.stop(5)
    after = until(lambda: (found := other.service.get(job_id)).status is JobStatus.SCHEDULED and found)
    assert (after.attempt, after.run_count) == (0, 0)
    assert outcomes(other, job_id) == ["Released"]


def test_a_job_that_was_deleted_while_the_host_stops_is_cancelled(make_runtime, gate, history):
    runtime = make_runtime()
    [job_id] = enqueue(runtime, "Slow", 1)
    drain_until(runtime, lambda: gate.contexts)
    runtime.service.cancel(job_id)
    runtime.pool.stop(0)
    assert runtime.service.get(job_id).status is JobStatus.CANCELLED


def test_a_claim_that_is_under_way_when_the_host_stops_is_given_back_too(make_runtime, monkeypatch, count):
    runtime = make_runtime(concurrency=2)
    enqueue(runtime, "Noop", 10)
    runtime.worker.drain(60)
    runtime.service.enqueue_many([job(f"later {n}") for n in range(5)])
    claim_due, claimed, go_on = runtime.pipeline.claims.due, threading.Event(), threading.Event()

    def slowly(limit):
        runs = claim_due(limit)
        claimed.set()
        go_on.wait(60)
        return runs

    monkeypatch.setattr(runtime.pipeline.claims, "due", slowly)
    draining = threading.Thread(target=runtime.worker.drain, args=[60])
    draining.start()
    claimed.wait(60)
    stopping = threading.Thread(target=runtime.pool.stop, args=[0.5])
    stopping.start()
    time.sleep(0.1)
    go_on.set()
    stopping.join(60)
    draining.join(60)
    assert "Running" not in count()


def test_once_told_to_start_nothing_more_a_worker_claims_nothing_and_what_runs_goes_on(make_runtime, gate):
    runtime = make_runtime(concurrency=1)
    running = runtime.service.enqueue(job("running", "Slow")).id
    draining = threading.Thread(target=runtime.worker.drain, args=[60])
    draining.start()
    until(lambda: len(gate.contexts) == 1)
    waiting = runtime.service.enqueue(job("waiting")).job
    runtime.pool.start_nothing_more()
    draining.join(60)
    assert not draining.is_alive()
    assert runtime.worker.drain(60).executed == 0
    with pytest.raises(Unavailable, match="going down"):
        runtime.pool.handle_alarm(AlarmName(waiting.id, waiting.generation)).result(60)
    assert runtime.service.get(waiting.id).status is JobStatus.SCHEDULED
    assert gate.contexts[0].shutting_down is False
    gate.open.set()
    until(lambda: runtime.service.get(running).status is JobStatus.COMPLETED)


def test_a_stopped_worker_claims_nothing(make_runtime, count):
    runtime = make_runtime()
    enqueue(runtime, "Noop", 5)
    runtime.pool.stop(0)
    assert runtime.worker.drain(1).executed == 0
    assert count() == {"Scheduled": 5}


def test_closing_twice_is_harmless(make_runtime, count):
    runtime = make_runtime()
    enqueue(runtime, "Noop", 5)
    runtime.worker.drain(60)
    runtime.close()
    runtime.close()
    assert count() == {"Completed": 5}


def test_one_outcome_that_the_database_refuses_does_not_make_its_neighbours_run_again(
    runtime, registry, count, history, monkeypatch
):
    ran = Counter()

    def handle(args: Anything, ctx: JobContext) -> None:
        ran[ctx.job_id] += 1

    registry.add_handler("Work", handle)
    ids = enqueue(runtime, "Work", 30)
    decided = runtime.pipeline.outcomes.decide

    def spoiling(run, result, *rest, **options):
        outcome = decided(run, result, *rest, **options)
        if run.job_id == ids[7] and result.outcome == "Succeeded":
            return outcome._replace(result=result._replace(result='{"a number": 1e999999}'))
        return outcome

    monkeypatch.setattr(runtime.pipeline.outcomes, "decide", spoiling)
    runtime.worker.drain(60)
    assert count() == {"Completed": 29, "Failed": 1}
    assert history() == {"Succeeded": 29, "Failed": 1}
    assert set(ran.values()) == {1}
    failed = runtime.service.get(ids[7])
    assert "cannot be recorded" in failed.last_error
    assert "SQLSTATE" in failed.last_error
    assert failed.run_count == 1
