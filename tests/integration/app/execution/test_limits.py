"""Handlers with limits: due jobs wait for their turn, get it as soon as there is one, and hold up nobody else."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise

import pytest
from pydantic import BaseModel

from jobs.app.execution.alarm_result import AlarmOutcome
from jobs.core.commands import UpdateJob
from jobs.core.errors import InvalidInput
from jobs.core.handlers.context import JobContext
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.limits import Limits, Rate
from jobs.core.lifecycle.status import JobStatus
from jobs.entrypoints.http.handlers import listed
from jobs.testing import MemoryScheduler
from tests.support import Anything, job, most_at_once, note, until


class Args(BaseModel):
    shop: str | None = None


@pytest.fixture
def scheduler(monkeypatch) -> MemoryScheduler:
    """The scheduler of every runtime that is made after this one."""
    scheduler = MemoryScheduler()
    monkeypatch.setattr("jobs.bootstrap.build_scheduler", lambda *_: scheduler)
    return scheduler


def attempts_at_once(sql) -> int:
    """How many attempts there were at once by the history."""
    return most_at_once(sql("select started_at, finished_at from jobs.job_attempts"))


# From the enqueue to the end


@pytest.fixture
def importing(registry):
    """A handler with limits that notes when it began, and may be held up."""

    class Importing:
        def __init__(self) -> None:
            self.began: list[tuple[float, str | None]] = []
            self.hold = threading.Event()
            self.hold.set()

        def limit(self, **limits) -> None:
            registry.add_handler("Import", self.handle, limits=Limits(**limits))

        def handle(self, args: Args) -> None:
            self.began.append((time.monotonic(), args.shop))
            assert self.hold.wait(60)

    return Importing()


def enqueue(runtime, *shops: str | None, handler_name: str = "Import") -> list:
    commands = [
        job(f"{handler_name} {time.monotonic_ns()} {n}", handler_name, payload={"shop": shop})
        for n, shop in enumerate(shops)
    ]
    return [enqueued.id for enqueued in runtime.service.enqueue_many(commands)]


def statuses(runtime, ids) -> Counter:
    return Counter(str(runtime.service.get(one).status) for one in ids)


def test_a_job_tells_that_it_waits_for_turns_and_by_which_key(make_runtime, importing):
    importing.limit(concurrency_key=lambda args: args.shop)
    runtime = make_runtime()
    [marked] = enqueue(runtime, "a")
    [plain] = enqueue(runtime, None, handler_name="Noop")
    assert (runtime.service.get(marked).limited, runtime.service.get(marked).concurrency_key) == (True, "a")
    assert (runtime.service.get(plain).limited, runtime.service.get(plain).concurrency_key) == (False, None)
    one = runtime.service.enqueue(job("one", "Import", payload={"shop": "b"})).job
    assert (one.limited, one.concurrency_key) == (True, "b")
    assert runtime.service.get(one.id) == one


def test_a_new_payload_gives_a_new_key(make_runtime, importing):
    importing.limit(concurrency_key=lambda args: args.shop)
    runtime = make_runtime()
    [one] = enqueue(runtime, "a")
    assert runtime.service.update(one, UpdateJob(payload={"shop": "b"})).concurrency_key == "b"


def test_a_payload_without_a_key_is_refused_at_enqueue(make_runtime, registry):
    registry.add_handler("Import", lambda_handler, limits=Limits(concurrency_key=lambda args: args.shop.lower()))
    with pytest.raises(InvalidInput, match="concurrency_key"):
        make_runtime().service.enqueue(job("one", "Import", payload={"shop": None}))


def lambda_handler(args: Args) -> None:
    pass


def test_a_drain_runs_all_of_them_but_never_more_at_once_than_may(make_runtime, importing, sql):
    importing.limit(concurrency=2)
    runtime = make_runtime()
    ids = enqueue(runtime, *[None] * 30)
    assert runtime.worker.drain(60).executed == 30
    assert statuses(runtime, ids) == {"Completed": 30}
    assert attempts_at_once(sql) <= 2


def test_jobs_that_wait_hold_up_none_of_other_handlers(make_runtime, importing):
    importing.limit(concurrency=1)
    importing.hold.clear()
    runtime = make_runtime(concurrency=3)
    waiting = enqueue(runtime, *[None] * 50)
    others = enqueue(runtime, *[None] * 50, handler_name="Noop")
    drain = threading.Thread(target=runtime.worker.drain, args=[60])
    drain.start()
    until(lambda: statuses(runtime, others) == {"Completed": 50})
    until(lambda: statuses(runtime, waiting) == {"Running": 1, "Scheduled": 49})
    importing.hold.set()
    drain.join()
    assert statuses(runtime, waiting) == {"Completed": 50}


def test_others_that_never_end_keep_no_turn_from_those_that_wait(make_runtime, importing):
    importing.limit(concurrency=1)
    runtime = make_runtime(concurrency=2)
    waiting = enqueue(runtime, *[None] * 10)
    enqueue(runtime, *[None] * 3_000, handler_name="Noop")
    drain = threading.Thread(target=runtime.worker.drain, args=[60])
    drain.start()
    until(lambda: statuses(runtime, waiting) == {"Completed": 10})
    drain.join()


def test_an_alarm_beyond_the_limit_is_answered_so_and_the_job_runs_when_a_turn_is_free(
    scheduler, make_runtime, importing
):
    importing.limit(concurrency=1)
    importing.hold.clear()
    runtime = make_runtime()
    first, second = enqueue(runtime, None, None)
    answer = runtime.pool.handle_alarm(AlarmName(first, 1))
    until(lambda: importing.began)
    assert runtime.pool.handle_alarm(AlarmName(second, 1)).result(60).outcome is AlarmOutcome.THROTTLED
    importing.hold.set()
    assert answer.result(60).outcome is AlarmOutcome.RAN
    until(lambda: statuses(runtime, [first, second]) == {"Completed": 2})


def test_an_alarm_within_the_limit_runs_its_job(scheduler, make_runtime, importing):
    importing.limit(concurrency=1)
    runtime = make_runtime()
    _, second = enqueue(runtime, None, None)
    assert runtime.pool.handle_alarm(AlarmName(second, 1)).result(60).outcome is AlarmOutcome.RAN
    assert runtime.service.get(second).status is JobStatus.COMPLETED


def test_an_instance_that_goes_down_leaves_the_turns_to_others(scheduler, make_runtime, importing):
    importing.limit(concurrency=1)
    importing.hold.clear()
    one, other = make_runtime(shutdown_grace_seconds=0), make_runtime()
    ids = enqueue(one, None, None, None)
    one.pool.handle_alarm(AlarmName(ids[0], 1))
    until(lambda: importing.began)
    one.close()
    importing.hold.set()
    assert statuses(other, ids) == {"Scheduled": 3}
    until(lambda: other.reconciler.run() and statuses(other, ids) == {"Completed": 3})


def test_a_rate_starts_no_more_than_it_says_in_any_period_by_the_databases_record(make_runtime, importing, sql):
    importing.limit(rate=Rate(5, timedelta(seconds=0.5)))
    runtimes = [make_runtime() for _ in range(3)]
    ids = enqueue(runtimes[0], *[None] * 22)
    with ThreadPoolExecutor(3) as pool:
        while statuses(runtimes[0], ids) != {"Completed": 22}:
            list(pool.map(lambda runtime: runtime.worker.drain(1), runtimes))
    starts = [at for (at,) in sql("select started_at from jobs.jobs order by started_at")]
    windows = [late - early for early, late in zip(starts, starts[5:], strict=False)]
    assert min(windows) >= timedelta(seconds=0.5)


def test_without_a_poll_the_next_starts_as_soon_as_the_rate_allows(scheduler, make_runtime, importing, sql):
    importing.limit(rate=Rate(1, timedelta(seconds=3)))
    runtime = make_runtime()
    ids = enqueue(runtime, None, None, None)
    outcomes = [runtime.pool.handle_alarm(AlarmName(one, 1)).result(60).outcome for one in ids]
    assert outcomes == [AlarmOutcome.RAN, AlarmOutcome.THROTTLED, AlarmOutcome.THROTTLED]
    until(lambda: statuses(runtime, ids) == {"Completed": 3})
    starts = [at for (at,) in sql("select started_at from jobs.jobs order by 1")]
    assert all(late - early >= timedelta(seconds=3) for early, late in pairwise(starts))


def test_retries_wait_for_their_turn_as_well(make_runtime, registry, sql):
    def fail(args: Anything, ctx: JobContext) -> None:
        if ctx.attempt == 1:
            raise RuntimeError

    registry.add_handler("Import", fail, limits=Limits(concurrency=1))
    runtime = make_runtime()
    ids = enqueue(runtime, None, None, None)
    runtime.worker.drain(60)
    sql("update jobs.jobs set next_run_at = now()")
    runtime.worker.drain(60)
    assert statuses(runtime, ids) == {"Completed": 3}
    assert attempts_at_once(sql) == 1


def test_a_job_that_its_handler_completes_frees_its_turn_at_the_commit(scheduler, make_runtime, registry, notes):
    held = threading.Event()

    def complete(args: Args, ctx: JobContext) -> None:
        with ctx.unit_of_work() as uow:
            note(uow, ctx.job_name)
            uow.complete()
        held.wait(60)

    registry.add_handler("Import", complete, limits=Limits(concurrency=1))
    runtime = make_runtime()
    ids = enqueue(runtime, None, None)
    alarms = [runtime.pool.handle_alarm(AlarmName(one, 1)) for one in ids]
    until(lambda: len(notes()) == 2)
    held.set()
    # Either alarm may be the first; the other's job runs by its own alarm or after the commit.
    assert AlarmOutcome.RAN in {alarm.result(60).outcome for alarm in alarms}


def test_the_statistics_and_the_list_of_handlers_tell_of_limits_and_turns(make_runtime, importing):
    importing.limit(concurrency=1, concurrency_key=lambda args: args.shop, rate=Rate(10, timedelta(minutes=1)))
    importing.hold.clear()
    runtime = make_runtime()
    enqueue(runtime, None, None, None)
    runtime.pool.offer_slots()
    until(lambda: importing.began)
    assert runtime.housekeeping.stats()["due"]["throttled"] == 2
    handlers = {each["name"]: each for each in listed(runtime, figures=True)}
    limits = {"concurrency": 1, "per_key": 1, "rate": {"count": 10, "per": "PT1M"}}
    assert {name: each["limits"] for name, each in handlers.items()} == {"Noop": None, "Import": limits}
    assert handlers["Import"]["figures"]["use"] == {"running": 1, "most_of_one_key": 0, "started": 1}
    assert handlers["Noop"]["figures"]["use"] is None
    importing.hold.set()


# When a release changes the limits


def release(importing, **limits) -> HandlerRegistry:
    registry = HandlerRegistry()
    registry.add_handler("Import", importing.handle, limits=Limits(**limits) if limits else None)
    return registry


def test_jobs_from_before_their_handler_had_limits_wait_for_turns_from_then_on(make_runtime, importing, sql):
    before = make_runtime(release(importing))
    ids = enqueue(before, "a", "a", "b", "b")
    before.close()
    after = make_runtime(release(importing, concurrency_key=lambda args: args.shop))
    assert after.worker.drain(1).executed == 0, "no claim goes past limits that the release knows"
    report = after.reconciler.run()
    assert (report.flagged, report.failures) == (4, {})
    assert sorted(sql("select limited, concurrency_key from jobs.jobs")) == [(True, "a")] * 2 + [(True, "b")] * 2
    after.worker.drain(60)
    assert statuses(after, ids) == {"Completed": 4}


def test_runs_that_were_under_way_count_as_well(make_runtime, importing):
    importing.hold.clear()
    before = make_runtime(release(importing))
    first, second = enqueue(before, None, None)
    before.pool.handle_alarm(AlarmName(first, 1))
    until(lambda: importing.began)
    after = make_runtime(release(importing, concurrency=1))
    after.reconciler.run()
    after.worker.drain(0.3)
    assert statuses(after, [first, second]) == {"Running": 1, "Scheduled": 1}
    importing.hold.set()
    until(lambda: after.worker.drain(1) and statuses(after, [first, second]) == {"Completed": 2})


def test_jobs_run_without_limits_once_their_handler_has_none(make_runtime, importing):
    before = make_runtime(release(importing, concurrency=1))
    ids = enqueue(before, None, None, None)
    before.close()
    after = make_runtime(release(importing))
    after.reconciler.run()
    after.worker.drain(60)
    assert statuses(after, ids) == {"Completed": 3}


def test_a_job_whose_handler_is_gone_is_seen_to_be_so(make_runtime, importing, sql):
    before = make_runtime(release(importing, concurrency=1))
    [one] = enqueue(before, None)
    before.close()
    after = make_runtime(HandlerRegistry())
    assert after.reconciler.run().flagged == 0, "a release that knows it may still be about to claim it"
    sql("update jobs.jobs set next_run_at = now() - interval '2 minutes'")
    assert after.reconciler.run().flagged == 1
    after.worker.drain(60)
    assert "no handler 'Import'" in after.service.get(one).last_error


def test_a_payload_that_cannot_be_read_gets_a_turn_to_say_so(make_runtime, importing, sql):
    before = make_runtime(release(importing))
    [one] = enqueue(before, None)
    before.close()
    sql("""update jobs.jobs set payload = '{"shop": [1]}'""")
    after = make_runtime(release(importing, concurrency_key=lambda args: args.shop))
    after.reconciler.run()
    after.worker.drain(60)
    assert after.service.get(one).status is JobStatus.FAILED
