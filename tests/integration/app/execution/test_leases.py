"""Who may record an attempt's outcome: whoever still holds the lease, and nobody else."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
import sqlalchemy as sa

from jobs.app.execution.alarm_result import AlarmOutcome
from jobs.app.execution.leases.alone import Alone
from jobs.app.execution.leases.keeper import LeaseKeeper
from jobs.app.execution.leases.progress import ProgressWriter
from jobs.app.runtime import Runtime
from jobs.core.errors import LeaseLost, StoreUnavailable
from jobs.core.handlers.context import JobContext
from jobs.core.lifecycle.handler_outcomes import Discard
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.status import JobStatus
from jobs.core.ports.runs import Heartbeat
from tests.support import Anything, handle_alarm, job, until

LEASE = timedelta(seconds=3)  # so long that a busy machine keeps it: heartbeats come every second


def outcomes(runtime: Runtime, job_id) -> list[str]:
    """The outcomes in a job's history, oldest first."""
    return [str(attempt.outcome) for attempt in reversed(runtime.service.attempts(job_id))]


def ring(runtime: Runtime, job_id) -> AlarmOutcome:
    return handle_alarm(runtime, AlarmName(job_id, runtime.service.get(job_id).generation))


@contextmanager
def reconciling(runtime: Runtime) -> Iterator[list[int]]:
    """Reconcile again and again in the background; gives how many runs were taken back each time."""
    reaped, stop = [], threading.Event()

    def run() -> None:
        while not stop.wait(0.05):
            reaped.append(runtime.reconciler.run().reaped)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield reaped
    finally:
        stop.set()
        thread.join()


# --- the living are not reaped


def test_runs_that_outlast_several_leases_are_never_taken_back(make_runtime, registry):
    contexts = []

    def handle(args: Anything, ctx: JobContext) -> None:
        contexts.append(ctx)
        first = runtime.service.get(ctx.job_id).lease_expires_at
        until(lambda: runtime.service.get(ctx.job_id).lease_expires_at > first + 2 * LEASE)

    registry.add_handler("Work", handle)
    runtime, other = make_runtime(lease_seconds=LEASE.total_seconds()), make_runtime()
    ids = [runtime.service.enqueue(job(f"{n}", "Work")).id for n in range(2)]
    with reconciling(other) as reaped, ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda job_id: ring(runtime, job_id), ids)) == [AlarmOutcome.RAN] * 2
    assert len(reaped) > 5
    assert sum(reaped) == 0
    assert [outcomes(runtime, job_id) for job_id in ids] == [["Succeeded"]] * 2
    assert not any(ctx.lease_lost for ctx in contexts)


def test_runs_that_wait_for_a_free_thread_are_not_taken_back_either(make_runtime):
    runtime, other = make_runtime(lease_seconds=LEASE.total_seconds()), make_runtime()
    runtime.service.enqueue_many([job(f"{n}") for n in range(5)])
    runs = runtime.pipeline.claims.due(5)
    time.sleep(1.5 * LEASE.total_seconds())
    assert other.reconciler.run().reaped == 0
    runtime.pipeline.record([runtime.pipeline.execute(run) for run in runs])
    assert {tuple(outcomes(runtime, run.job_id)) for run in runs} == {("Succeeded",)}


def test_a_heartbeat_that_fails_for_a_while_loses_no_lease(make_runtime, registry, monkeypatch):
    runtime, other = make_runtime(lease_seconds=LEASE.total_seconds()), make_runtime()
    extend, failures = runtime.pipeline._leases._runs.extend, iter([StoreUnavailable("away"), RuntimeError("a bug")])
    beats = []

    def falter(*args):
        if error := next(failures, None):
            raise error
        beats.append(extend(*args))
        return beats[-1]

    monkeypatch.setattr(runtime.pipeline._leases, "_interval", 0.2)
    monkeypatch.setattr(runtime.pipeline._leases._runs, "extend", falter)

    def handle(args: Anything) -> None:
        until(lambda: len(beats) >= 2)

    registry.add_handler("Work", handle)
    job_id = runtime.service.enqueue(job("job", "Work")).id
    with reconciling(other) as reaped:
        ring(runtime, job_id)
    assert sum(reaped) == 0
    assert outcomes(runtime, job_id) == ["Succeeded"]


def test_a_time_out_that_cannot_be_written_keeps_no_heartbeat_from_the_others(make_runtime, registry, database):
    """Its row is locked by somebody, so recording waits; the other runs of this process must live on meanwhile."""
    release = threading.Event()

    def stuck(args: Anything) -> None:
        release.wait(60)

    def busy(args: Anything) -> None:
        time.sleep(2 * LEASE.total_seconds())

    registry.add_handler("Stuck", stuck, timeout=timedelta(seconds=0.3))
    registry.add_handler("Busy", busy)
    runtime, other = make_runtime(lease_seconds=LEASE.total_seconds()), make_runtime()
    late, long = runtime.service.enqueue(job("late", "Stuck")).id, runtime.service.enqueue(job("long", "Busy")).id
    with ThreadPoolExecutor(2) as pool, database.engine.begin() as connection:
        late_ring = pool.submit(ring, runtime, late)
        until(lambda: runtime.service.get(late).status is JobStatus.RUNNING)
        lock = "select 1 from jobs.jobs where id = cast(:id as uuid) for update"
        connection.execute(sa.text(lock), {"id": str(late)})
        with reconciling(other):
            assert pool.submit(ring, runtime, long).result() is AlarmOutcome.RAN
        assert outcomes(runtime, long) == ["Succeeded"]
        connection.rollback()
        release.set()
        late_ring.result()
    until(lambda: outcomes(runtime, late))
    assert "Succeeded" not in outcomes(runtime, late)


# --- the dead are fenced off


class Zombie:
    """A runtime whose heartbeats have stopped, with one attempt that goes on until it is told to end."""

    def __init__(self, make_runtime, registry, *, error: Exception | None = None, **fields) -> None:
        self.contexts: list[JobContext] = []
        self.may_end = threading.Event()

        def handle(args: Anything, ctx: JobContext) -> None:
            self.contexts.append(ctx)
            if len(self.contexts) == 1:
                self.may_end.wait(60)
                if error is not None:
                    raise error

        registry.add_handler("Work", handle)
        self.runtime: Runtime = make_runtime(lease_seconds=1)
        self.beat = self.runtime.pipeline._leases.beat
        self.runtime.pipeline._leases.beat = lambda: None
        self.job_id = self.runtime.service.enqueue(job("job", "Work", **fields)).id

    def begin(self) -> None:
        self.thread = threading.Thread(target=ring, args=[self.runtime, self.job_id])
        self.thread.start()
        until(lambda: self.contexts)

    def end(self) -> None:
        self.may_end.set()
        self.thread.join(60)
        assert not self.thread.is_alive()


@pytest.mark.parametrize("error", [None, ValueError("late"), Discard("late")])
def test_an_attempt_that_ends_after_its_run_was_taken_over_changes_nothing(make_runtime, registry, caplog, error):
    zombie, healthy = Zombie(make_runtime, registry, error=error), make_runtime()
    zombie.begin()
    until(lambda: healthy.reconciler.run().reaped)
    assert ring(healthy, zombie.job_id) is AlarmOutcome.RAN
    done = healthy.service.get(zombie.job_id)
    assert done.status is JobStatus.COMPLETED
    zombie.end()
    assert healthy.service.get(zombie.job_id) == done
    assert outcomes(healthy, zombie.job_id) == ["Lost", "Succeeded"]
    assert "lease-lost" in caplog.text


def test_an_attempt_that_ends_before_its_run_is_taken_up_again_changes_nothing_either(make_runtime, registry, caplog):
    zombie, healthy = Zombie(make_runtime, registry), make_runtime()
    zombie.begin()
    until(lambda: healthy.reconciler.run().reaped)
    waiting = healthy.service.get(zombie.job_id)
    assert (waiting.status, waiting.attempt) == (JobStatus.SCHEDULED, 0)
    zombie.end()
    assert healthy.service.get(zombie.job_id) == waiting
    assert "lease-lost" in caplog.text
    ring(healthy, zombie.job_id)
    assert outcomes(healthy, zombie.job_id) == ["Lost", "Succeeded"]


def test_a_late_attempt_does_not_touch_the_next_one_of_the_same_worker(make_runtime, registry):
    """The worker's name is the same, and so is the process; only the token tells them apart."""
    zombie = Zombie(make_runtime, registry)
    zombie.begin()
    until(lambda: zombie.runtime.reconciler.run().reaped)
    [run] = zombie.runtime.pipeline.claims.due(1)
    running = zombie.runtime.service.get(zombie.job_id)
    zombie.end()
    after = zombie.runtime.service.get(zombie.job_id)
    assert (after.status, after.revision, after.worker) == (JobStatus.RUNNING, running.revision, running.worker)
    zombie.runtime.pipeline.record([zombie.runtime.pipeline.execute(run)])
    assert outcomes(zombie.runtime, zombie.job_id) == ["Lost", "Succeeded"]


def test_the_token_alone_fences(make_runtime, registry, database, caplog):
    """Also within one generation, however the row came to be another's."""
    zombie = Zombie(make_runtime, registry)
    zombie.begin()
    with database.engine.begin() as connection:
        connection.execute(sa.text("update jobs.jobs set lease_token = gen_random_uuid()"))
    running = zombie.runtime.service.get(zombie.job_id)
    zombie.end()
    assert zombie.runtime.service.get(zombie.job_id) == running
    assert outcomes(zombie.runtime, zombie.job_id) == []
    assert "lease-lost" in caplog.text


def test_an_attempt_whose_lease_ran_out_still_counts_while_nobody_has_taken_it_back(make_runtime, registry):
    zombie = Zombie(make_runtime, registry)
    zombie.begin()
    until(lambda: zombie.runtime.service.get(zombie.job_id).lease_expires_at < zombie.runtime.clock.now())
    zombie.end()
    assert outcomes(zombie.runtime, zombie.job_id) == ["Succeeded"]


def test_a_heartbeat_that_finds_its_lease_gone_tells_the_handler(make_runtime, registry, caplog):
    zombie, healthy = Zombie(make_runtime, registry), make_runtime()
    zombie.begin()
    until(lambda: healthy.reconciler.run().reaped)
    zombie.beat()
    assert zombie.contexts[0].lease_lost
    assert "lease-lost" in caplog.text
    assert zombie.runtime.pipeline._leases.held() == []
    zombie.end()
    assert outcomes(healthy, zombie.job_id) == ["Lost"]


def test_a_row_that_is_gone_is_quiet(make_runtime, registry, database, caplog):
    zombie = Zombie(make_runtime, registry)
    zombie.begin()
    with database.engine.begin() as connection:
        connection.execute(sa.text("delete from jobs.jobs"))
    zombie.end()
    assert "lease-lost" in caplog.text
    assert "Traceback" not in caplog.text


# --- the keeper by itself, on a store that says what a test wants


class Runs:
    """As much of a ``RunStore`` as the keeper asks of one."""

    def __init__(self) -> None:
        self.extended: list[set] = []
        self.during: Callable[[], None] = lambda: None
        self.lost: set = set()
        self.cancelled: set = set()

    def extend(self, leases, lease: timedelta) -> Heartbeat:
        tokens = {held.token for held in leases}
        self.extended.append(tokens)
        self.during()
        return Heartbeat(frozenset(tokens - self.lost), frozenset(tokens & self.cancelled))


def keeper_of(runs: Runs) -> LeaseKeeper:
    return LeaseKeeper(runs, timedelta(seconds=30), ProgressWriter(runs), Alone())


@pytest.fixture
def keeper() -> Iterator[LeaseKeeper]:
    keeper = keeper_of(Runs())
    yield keeper
    keeper.close()


@pytest.fixture
def runs(make_runtime) -> list:
    runtime = make_runtime()
    runtime.service.enqueue_many([job(f"{n}") for n in range(3)])
    return runtime.runs.claim_due(3, worker="w", lease=timedelta(seconds=30))


def context() -> JobContext:
    return JobContext(None, "job", "Noop", 1, 1, None, {})


def test_a_beat_extends_every_lease_in_hand_in_one_statement(keeper, runs):
    keeper.track(runs)
    assert keeper.release(runs[0])
    keeper.beat()
    assert keeper._runs.extended == [{run.token for run in runs[1:]}]


def test_a_beat_with_nothing_in_hand_asks_nothing(keeper):
    keeper.beat()
    assert keeper._runs.extended == []


def test_a_beat_tells_only_those_whose_cancellation_was_requested(keeper, runs):
    contexts = [context() for _ in runs]
    keeper.track(runs)
    for run, ctx in zip(runs, contexts, strict=True):
        assert keeper.start(run, ctx, None)
    keeper._runs.cancelled = {runs[1].token}
    keeper.beat()
    assert [ctx.cancelled for ctx in contexts] == [False, True, False]


def test_a_run_that_was_cancelled_before_its_handler_began_hears_of_it_at_the_next_beat(keeper, runs):
    keeper.track(runs[:1])
    keeper._runs.cancelled = {runs[0].token}
    keeper.beat()
    ctx = context()
    keeper.start(runs[0], ctx, None)
    keeper.beat()
    assert ctx.cancelled


def test_a_run_that_was_lost_before_its_handler_began_must_not_be_begun(keeper, runs):
    keeper.track(runs)
    keeper._runs.lost = {runs[0].token}
    keeper.beat()
    assert not keeper.start(runs[0], context(), None)
    assert not keeper.release(runs[0])
    assert keeper.start(runs[1], context(), None)


def test_a_run_that_ends_during_a_beat_is_not_reported_as_lost(keeper, runs, caplog):
    keeper.track(runs[:1])
    keeper._runs.lost = {runs[0].token}
    keeper._runs.during = lambda: keeper.release(runs[0])
    keeper.beat()
    assert "lease-lost" not in caplog.text


def test_a_lease_is_out_of_the_keepers_hands_while_a_success_is_committed(keeper, runs):
    keeper.track(runs[:1])
    keeper.start(runs[0], context(), 0.05)
    with keeper.completing(runs[0]):
        time.sleep(0.15)
        assert keeper.held() == [], "no timeout is recorded amid the commit"
    assert not keeper.release(runs[0]), "it ended with the commit"
    with pytest.raises(LeaseLost, match="no longer this attempt's"), keeper.completing(runs[0]):
        pass


def test_a_commit_that_failed_gives_the_lease_back(keeper, runs):
    keeper.track(runs[:1])
    with pytest.raises(StoreUnavailable), keeper.completing(runs[0]):
        raise StoreUnavailable
    keeper.beat()
    assert keeper._runs.extended == [{runs[0].token}]
    assert keeper.release(runs[0])


def test_runs_past_their_deadline_are_all_fenced_at_once_and_reported_once():
    """Also where one report fails."""
    reported, contexts = [], [context() for _ in range(3)]

    class Run:
        def __init__(self, number: int) -> None:
            self.token = self.job_id = number

    def report(run: Run, *, thread: int, held: bool) -> None:
        assert held
        reported.append(run.token)
        if run.token == 1:
            raise RuntimeError("could not be reported")

    keeper = keeper_of(Runs())
    numbered = [Run(number) for number in range(3)]
    keeper.track(numbered)
    for run, ctx in zip(numbered, contexts, strict=True):
        keeper.start(run, ctx, 0.1, report)
    until(lambda: len(reported) == 3)
    assert sorted(reported) == [0, 1, 2]
    assert all(ctx.lease_lost for ctx in contexts)
    assert not any(keeper.release(run) for run in numbered)
    again = Run(4)
    keeper.track([again])
    keeper.start(again, context(), 0.05, report)
    until(lambda: 4 in reported)
    keeper.close()


def test_shutting_down_is_announced_to_those_that_run(keeper, runs):
    contexts = [context(), context()]
    keeper.track(runs)
    for run, ctx in zip(runs, contexts, strict=False):
        keeper.start(run, ctx, None)
    keeper.announce_shutdown()
    assert all(ctx.shutting_down for ctx in contexts)
    assert len(keeper.held()) == 3


def test_a_closed_keeper_starts_no_thread(keeper, runs):
    keeper.close()
    keeper.close()
    keeper.track(runs)
    assert keeper._thread is None
