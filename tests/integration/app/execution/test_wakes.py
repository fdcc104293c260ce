"""A wake is one slot: its own alarm's job, then what else is due, and never a drain of the whole process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta

import pytest

from jobs.app.execution.alarm_result import AlarmOutcome, AlarmResult
from jobs.app.runtime import Runtime
from jobs.core.errors import Unavailable
from jobs.core.handlers.context import JobContext
from jobs.core.lifecycle.ids import AlarmName, new_id
from jobs.core.lifecycle.status import JobStatus
from tests.support import Anything, job, most_at_once, until

LONG = 600.0


@pytest.fixture
def count(sql) -> Callable[[], dict[str, int]]:
    """Count jobs by status."""
    return lambda: dict(sql("select status, count(*) from jobs.jobs group by 1"))


def enqueue(runtime: Runtime, handler_name: str, times: int, **fields) -> list[AlarmName]:
    """Enqueue jobs that are due at once, and give their alarms."""
    commands = [job(f"{handler_name} {n}", handler_name, **fields) for n in range(times)]
    return [AlarmName(enqueued.id, 1) for enqueued in runtime.service.enqueue_many(commands)]


def wake(runtime: Runtime, name: AlarmName, seconds: float = LONG) -> Future[AlarmResult]:
    return runtime.wakes.handle(name, lambda work: work(), seconds)


class Spells:
    """A handler that blocks until it is opened, and takes down from when until when each run lasted."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.began: list[str] = []
        self.spells: list[tuple[float, float]] = []

    def handle(self, ctx: JobContext) -> None:
        self.began.append(ctx.job_name)
        began = time.monotonic()
        self.open.wait(60)
        self.spells.append((began, time.monotonic()))


@pytest.fixture
def slow(registry):
    slow = Spells()

    def handle(args: Anything, ctx: JobContext) -> None:
        slow.handle(ctx)

    registry.add_handler("Slow", handle)
    yield slow
    slow.open.set()


def test_one_message_runs_its_own_job_and_then_all_that_is_due(make_runtime, count):
    runtime = make_runtime()
    names = enqueue(runtime, "Noop", 300)
    assert wake(runtime, names[7]).result().outcome is AlarmOutcome.RAN
    until(lambda: count() == {"Completed": 300})
    assert not runtime.pool.in_hand.count


def test_a_message_whose_job_has_run_already_still_runs_what_is_due(make_runtime, count):
    runtime = make_runtime()
    [first] = enqueue(runtime, "Noop", 1)
    wake(runtime, first).result()
    enqueue(runtime, "Noop", 20)
    assert wake(runtime, first).result().outcome is AlarmOutcome.STALE
    until(lambda: count() == {"Completed": 21})


def test_two_messages_run_two_slow_jobs_at_once_and_leave_the_rest_to_others(make_runtime, slow, count):
    runtime = make_runtime(concurrency=4)
    names = enqueue(runtime, "Slow", 10)
    wakes = [wake(runtime, name) for name in names[:2]]
    until(lambda: len(slow.began) == 2)
    time.sleep(0.5)  # in which a drain would have begun two more
    assert count() == {"Running": 2, "Scheduled": 8}
    slow.open.set()
    for each in wakes:
        each.result()
    until(lambda: count() == {"Completed": 10})


def test_a_message_claims_one_slow_job_after_the_other(make_runtime, registry, count):
    spells = []

    def nap(args: Anything) -> None:
        began = time.monotonic()
        time.sleep(0.3)
        spells.append((began, time.monotonic()))

    registry.add_handler("Nap", nap)
    runtime = make_runtime(concurrency=4)
    [first, *_] = enqueue(runtime, "Nap", 6)
    wake(runtime, first).result()
    assert most_at_once(spells) == 1
    until(lambda: count() == {"Completed": 6})


def test_a_slow_job_holds_up_none_of_those_that_were_claimed_with_it(make_runtime, slow, count):
    runtime = make_runtime(concurrency=4)
    quick = enqueue(runtime, "Noop", 40)
    enqueue(runtime, "Slow", 1)
    others = [wake(runtime, name) for name in quick[:3]]
    until(lambda: slow.began)
    until(lambda: count().get("Completed") == 40)
    slow.open.set()
    for each in others:
        each.result()


def test_its_time_is_bounded(make_runtime, count):
    runtime = make_runtime()
    names = enqueue(runtime, "Noop", 5)
    assert wake(runtime, names[0], seconds=0).result().outcome is AlarmOutcome.RAN
    assert count() == {"Completed": 1, "Scheduled": 4}


def test_it_ends_only_with_the_last_of_its_runs(make_runtime, registry, slow):
    runtime = make_runtime()
    [own] = enqueue(runtime, "Noop", 1)
    enqueue(runtime, "Slow", 1)
    handled = wake(runtime, own)
    until(lambda: slow.began)
    assert not handled.done()
    slow.open.set()
    assert handled.result().outcome is AlarmOutcome.RAN


def test_the_same_message_twice_at_once_waits_for_nothing(make_runtime, slow):
    runtime = make_runtime()
    [own] = enqueue(runtime, "Slow", 1)
    first = wake(runtime, own)
    until(lambda: slow.began)
    assert wake(runtime, own).result().outcome is AlarmOutcome.ALREADY_RUNNING
    slow.open.set()
    assert first.result().outcome is AlarmOutcome.RAN
    assert wake(runtime, own).result().outcome is AlarmOutcome.STALE


def test_an_alarm_that_is_early_says_by_how_much_and_does_nothing_else(make_runtime, count):
    runtime = make_runtime()
    [later] = enqueue(runtime, "Noop", 1, schedule="PT1H")
    result = wake(runtime, later).result()
    assert result.outcome is AlarmOutcome.NOT_DUE
    assert 3500 < result.due_in_seconds <= 3600
    assert count() == {"Scheduled": 1}


def test_an_alarm_of_no_job_is_unknown(make_runtime):
    assert wake(make_runtime(), AlarmName(new_id(), 1)).result().outcome is AlarmOutcome.UNKNOWN


def test_an_attempt_past_its_timeout_gives_up_the_slot_and_keeps_the_thread(make_runtime, slow, registry, count):
    runtime = make_runtime(concurrency=1)
    [own] = enqueue(runtime, "Slow", 1, timeout=timedelta(seconds=0.3), max_retries=0)
    enqueue(runtime, "Noop", 3)
    assert wake(runtime, own).result().outcome is AlarmOutcome.RAN
    until(lambda: count() == {"Completed": 3, "Failed": 1})
    assert len(runtime.pool.abandoned) == 1


@pytest.mark.parametrize("first", ["Noop", "Slow"])
def test_an_abandoned_run_of_the_only_slot_leaves_a_thread_for_what_is_next(make_runtime, slow, count, first):
    runtime = make_runtime(concurrency=1)
    names = {"Noop": enqueue(runtime, "Noop", 1)}
    names["Slow"] = enqueue(runtime, "Slow", 1, timeout=timedelta(seconds=0.5), max_retries=0)
    in_hand = runtime.pool.in_hand
    handed_over = in_hand.finish

    def finish(what):
        """Hand over, and be overtaken by the thread that records."""
        handed_over(what)
        until(lambda: in_hand.finished.empty() and in_hand.count == 0)

    in_hand.finish = finish
    assert wake(runtime, names[first][0]).result(60).outcome is AlarmOutcome.RAN
    until(lambda: count() == {"Completed": 1, "Failed": 1})


def test_when_the_host_goes_down_what_was_claimed_and_has_not_begun_is_given_back(
    make_runtime, slow, count, monkeypatch
):
    monkeypatch.setattr("jobs.app.execution.worker.wakes._AHEAD_SECONDS", LONG)  # four times as many with each claim
    runtime = make_runtime(concurrency=1)
    [own, *_] = enqueue(runtime, "Noop", 5)
    enqueue(runtime, "Slow", 20)
    handled = wake(runtime, own)
    until(lambda: slow.began and count().get("Running") == 16)
    runtime.pool.start_nothing_more()
    until(lambda: count()["Running"] == 1)
    slow.open.set()
    assert handled.result().outcome is AlarmOutcome.RAN
    until(lambda: count() == {"Completed": 6, "Scheduled": 19})


def test_after_the_host_has_gone_down_a_message_is_for_another(make_runtime):
    runtime = make_runtime()
    [own] = enqueue(runtime, "Noop", 1)
    runtime.pool.start_nothing_more()
    with pytest.raises(Unavailable, match="going down"):
        wake(runtime, own).result()


def test_messages_on_two_instances_run_each_job_once(make_runtime, registry, sql):
    runs: list[str] = []

    def keep(args: Anything, ctx: JobContext) -> None:
        runs.append(ctx.job_name)

    registry.add_handler("Keep", keep)
    instances = [make_runtime(concurrency=4) for _ in range(2)]
    names = enqueue(instances[0], "Keep", 400)
    handled = [wake(instances[number % 2], name) for number, name in enumerate(names * 2)]
    for each in handled:
        assert each.result().outcome in AlarmOutcome
    until(lambda: not any(instance.pool.in_hand.count for instance in instances))
    assert sorted(runs) == sorted(set(runs))
    assert len(runs) == 400
    assert [tuple(row) for row in sql("select status, count(*) from jobs.jobs group by 1")] == [
        (JobStatus.COMPLETED, 400)
    ]
