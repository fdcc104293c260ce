"""A job that its handler completes in its own transaction: effects and success are there together, or neither."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest

from jobs import LeaseLost, UnitsOfWork, current_unit_of_work
from jobs.adapters.postgres.connection.driver.faults import OutcomeUnknown
from jobs.adapters.postgres.stores.transactions import PostgresTransaction
from jobs.app.execution.alarm_result import AlarmOutcome
from jobs.app.runtime import Runtime
from jobs.core.commands import UpdateJob
from jobs.core.errors import ConfigurationError, StoreUnavailable, UnitOfWorkError
from jobs.core.handlers.context import JobContext
from jobs.core.lifecycle.handler_outcomes import Discard, Retry
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.job import Job
from jobs.core.lifecycle.status import JobStatus
from jobs.testing import MemoryScheduler
from tests.support import Anything, handle_alarm, job, note, until

HOUR = timedelta(hours=1)


@pytest.fixture
def scheduler(monkeypatch) -> MemoryScheduler:
    scheduler = MemoryScheduler()
    monkeypatch.setattr("jobs.bootstrap.build_scheduler", lambda *_: scheduler)
    return scheduler


@pytest.fixture
def enqueue(runtime, registry) -> Callable[..., Any]:
    """Register ``target`` as a handler, enqueue one job of it, and give the job's id."""

    def enqueue(target: Callable[..., Any], *, timeout=None, **fields) -> Any:
        registry.add_handler("Work", target, timeout=timeout)
        return runtime.service.enqueue(job("job", "Work", **fields)).id

    return enqueue


@pytest.fixture
def let_pass(sql) -> Callable[[], None]:
    """Let an hour pass for every job, by putting back what it waits for."""
    return lambda: sql(
        "update jobs.jobs set next_run_at = next_run_at - interval '1:00:01',"
        " scheduled_for = scheduled_for - interval '1:00:01', anchor = anchor - interval '1:00:01'"
    )


def ring(runtime: Runtime, job_id) -> Job:
    assert handle_alarm(runtime, AlarmName(job_id, runtime.service.get(job_id).generation)) is AlarmOutcome.RAN
    return runtime.service.get(job_id)


def outcomes(runtime: Runtime, job_id) -> list[str]:
    return [str(attempt.outcome) for attempt in reversed(runtime.service.attempts(job_id))]


# --- a job that is completed within


def completing(text: str = "done", then: Callable[[JobContext], None] = lambda ctx: None) -> Callable[..., None]:
    def handle(args: Anything, ctx: JobContext) -> None:
        with ctx.unit_of_work() as uow:
            note(uow, text)
            uow.complete()
        then(ctx)

    return handle


def raise_(error: BaseException) -> None:
    raise error


def test_a_jobs_success_is_committed_with_its_effects(runtime, enqueue, notes, sql):
    statuses = []

    def handle(args: Anything, ctx: JobContext) -> None:
        with ctx.unit_of_work() as uow:
            note(uow, "done")
            uow.complete()
            statuses.append((runtime.service.get(ctx.job_id).status, notes(), ctx.completed))
        statuses.append((runtime.service.get(ctx.job_id).status, notes(), ctx.completed))

    job_id = enqueue(handle)
    after = ring(runtime, job_id)
    assert statuses == [(JobStatus.RUNNING, [], False), (JobStatus.COMPLETED, ["done"], True)]
    assert (after.status, after.run_count, after.attempt) == (JobStatus.COMPLETED, 1, 1)
    assert after.revision == 3, "enqueued, claimed, completed; nothing was written after"
    assert outcomes(runtime, job_id) == ["Succeeded"]


def test_a_handler_that_does_not_complete_is_recorded_as_ever(runtime, enqueue, notes):
    def handle(args: Anything, ctx: JobContext) -> None:
        with ctx.unit_of_work() as uow:
            note(uow, "done")
            uow.commit()

    job_id = enqueue(handle)
    assert ring(runtime, job_id).status is JobStatus.COMPLETED
    assert (notes(), outcomes(runtime, job_id)) == (["done"], ["Succeeded"])


async def _in_async(args: Anything, ctx: JobContext) -> None:
    with ctx.unit_of_work() as uow:
        assert current_unit_of_work() is uow
        note(uow, "done")
        uow.complete()


def test_an_async_handler_completes_too(runtime, enqueue, notes):
    job_id = enqueue(_in_async)
    assert ring(runtime, job_id).status is JobStatus.COMPLETED
    assert (notes(), outcomes(runtime, job_id)) == (["done"], ["Succeeded"])


@pytest.mark.parametrize("error", [ValueError("late"), Retry(5), Discard("late"), SystemExit()])
def test_what_a_handler_raises_after_it_has_completed_is_logged_and_changes_nothing(
    runtime, enqueue, notes, caplog, error
):
    job_id = enqueue(completing(then=lambda _: raise_(error)))
    assert ring(runtime, job_id).status is JobStatus.COMPLETED
    assert (notes(), outcomes(runtime, job_id)) == (["done"], ["Succeeded"])
    assert "the success stands" in caplog.text
    assert type(error).__name__ in caplog.text
    assert "lease-lost" not in caplog.text


def test_what_a_handler_raises_before_the_commit_fails_it_and_leaves_no_effect(runtime, enqueue, notes):
    def handle(args: Anything, ctx: JobContext) -> None:
        with ctx.unit_of_work() as uow:
            note(uow, "done")
            uow.complete()
            raise ValueError("too bad")

    job_id = enqueue(handle, max_retries=0)
    assert ring(runtime, job_id).status is JobStatus.FAILED
    assert (notes(), outcomes(runtime, job_id)) == ([], ["Failed"])


def test_a_constraint_that_fails_the_commit_fails_the_attempt(runtime, enqueue, sql, notes):
    sql("alter table effects drop constraint effects_note_key")
    sql("alter table effects add unique (note) deferrable initially deferred")

    def handle(args: Anything, ctx: JobContext) -> None:
        with ctx.unit_of_work() as uow:
            note(uow, "a")
            note(uow, "a")
            uow.complete()

    job_id = enqueue(handle, max_retries=0)
    assert ring(runtime, job_id).status is JobStatus.FAILED
    assert (notes(), outcomes(runtime, job_id)) == ([], ["Failed"])


def test_a_recurring_job_waits_for_its_next_occurrence_under_an_alarm_set_at_once(
    make_runtime, registry, scheduler, let_pass, notes
):
    alarms = []
    registry.add_handler("Work", completing(then=lambda _: alarms.append(dict(scheduler.alarms))))
    runtime = make_runtime()
    job_id = runtime.service.enqueue(job("job", "Work", schedule="@every 1h")).id
    let_pass()
    scheduler.alarms.clear()
    after = ring(runtime, job_id)
    assert (after.status, after.run_count, after.generation) == (JobStatus.SCHEDULED, 1, 2)
    assert alarms[0][AlarmName(job_id, 2)] == after.next_run_at
    assert outcomes(runtime, job_id) == ["Succeeded"]


def test_a_schedule_that_was_changed_meanwhile_is_what_the_job_goes_on_by(runtime, enqueue, let_pass, notes):
    def handle(args: Anything, ctx: JobContext) -> None:
        runtime.service.update(ctx.job_id, UpdateJob(schedule="@every 3h"))
        with ctx.unit_of_work() as uow:
            note(uow, "done")
            uow.complete()

    job_id = enqueue(handle, schedule="@every 1h")
    let_pass()
    after = ring(runtime, job_id)
    assert (after.status, after.run_count, after.schedule) == (JobStatus.SCHEDULED, 1, "@every 3h")
    assert after.next_run_at - runtime.clock.now() > 2 * HOUR
    assert (notes(), outcomes(runtime, job_id)) == (["done"], ["Succeeded"])


def test_a_run_is_reread_in_a_unit_of_work_as_it_was_claimed(runtime, let_pass):
    """By another driver's path: what it makes objects of, ids and JSON, is to be text there as well."""
    fields = {"payload": {"a": [1, None]}, "metadata": {"b": "c"}, "misfire": "skip", "timeout": "PT5S"}
    runtime.service.enqueue(job(schedule="@every 1h", max_retries=7, **fields))
    let_pass()
    [run] = runtime.pipeline.claims.due(1)
    with runtime.units.begin() as uow:
        assert runtime.runs.reread(run, connection=uow.connection) == run
        uow.rollback()
    assert runtime.runs.reread(run) == run
    assert run.options is not None


@pytest.mark.parametrize(("schedule", "status"), [("@once", "Completed"), ("@every 1h", "Cancelled")])
def test_a_job_that_was_cancelled_meanwhile_ends_as_every_outcome_would_have_it(
    runtime, enqueue, let_pass, notes, schedule, status
):
    def handle(args: Anything, ctx: JobContext) -> None:
        runtime.service.cancel(ctx.job_id)
        with ctx.unit_of_work() as uow:
            note(uow, "done")
            uow.complete()

    job_id = enqueue(handle, schedule=schedule)
    let_pass()
    after = ring(runtime, job_id)
    assert (after.status, after.next_run_at) == (status, None)
    assert (notes(), outcomes(runtime, job_id)) == (["done"], ["Succeeded"])


def test_an_attempt_whose_run_was_taken_over_cannot_complete_it(runtime, enqueue, sql, notes, caplog):
    raised = []

    def handle(args: Anything, ctx: JobContext) -> None:
        sql("update jobs.jobs set lease_token = gen_random_uuid()")
        try:
            with ctx.unit_of_work() as uow:
                note(uow, "done")
                uow.complete()
        except LeaseLost as error:
            raised.append(error)
            raise

    job_id = enqueue(handle)
    assert ring(runtime, job_id).status is JobStatus.RUNNING
    assert (len(raised), notes(), outcomes(runtime, job_id)) == (1, [], [])
    assert "lease-lost" in caplog.text


def test_a_refused_completion_that_was_swallowed_commits_nothing(runtime, enqueue, sql, notes):
    def handle(args: Anything, ctx: JobContext) -> None:
        sql("update jobs.jobs set lease_token = gen_random_uuid()")
        with ctx.unit_of_work() as uow:
            note(uow, "done")
            with suppress(LeaseLost):
                uow.complete()
            uow.commit()

    ring(runtime, enqueue(handle))
    assert notes() == []


def test_a_time_out_that_comes_before_the_commit_rolls_back_and_stands(runtime, enqueue, notes):
    raised = []

    def handle(args: Anything, ctx: JobContext) -> None:
        try:
            with ctx.unit_of_work() as uow:
                note(uow, "done")
                uow.complete()
                until(lambda: ctx.lease_lost)
        except LeaseLost as error:
            raised.append(error)

    job_id = enqueue(handle, timeout=timedelta(seconds=0.2), max_retries=0)
    handle_alarm(runtime, AlarmName(job_id, 1))
    until(lambda: runtime.service.get(job_id).status.ended)
    assert runtime.service.get(job_id).status is JobStatus.FAILED
    assert (len(raised), notes(), outcomes(runtime, job_id)) == (1, [], ["TimedOut"])


def test_a_time_out_that_comes_after_the_commit_changes_nothing(runtime, enqueue, notes, caplog):
    job_id = enqueue(completing(then=lambda _: time.sleep(2.5)), timeout=timedelta(seconds=2))
    assert ring(runtime, job_id).status is JobStatus.COMPLETED
    assert (notes(), outcomes(runtime, job_id)) == (["done"], ["Succeeded"])
    assert not [record for record in caplog.records if record.levelname != "INFO"]


def test_heartbeats_after_the_commit_say_nothing_of_a_lost_lease(make_runtime, registry, caplog):
    registry.add_handler("Work", completing(then=lambda _: time.sleep(0.9)))
    runtime = make_runtime(lease_seconds=1)
    ring(runtime, runtime.service.enqueue(job("job", "Work")).id)
    assert "lease-lost" not in caplog.text


def test_completing_twice_is_an_error(runtime, enqueue, notes):
    errors = []

    def handle(args: Anything, ctx: JobContext) -> None:
        with ctx.unit_of_work() as uow:
            note(uow, "done")
            uow.complete()
            with pytest.raises(UnitOfWorkError, match="already"):
                uow.complete()
        with pytest.raises(UnitOfWorkError, match="once an attempt"), ctx.unit_of_work() as uow:
            uow.complete()
        errors.append("both refused")

    job_id = enqueue(handle)
    assert ring(runtime, job_id).status is JobStatus.COMPLETED
    assert errors == ["both refused"]


@pytest.mark.parametrize("agrees", [True, False])
def test_an_inner_block_may_complete_and_the_outer_one_must_agree(runtime, enqueue, notes, agrees):
    def handle(args: Anything, ctx: JobContext) -> None:
        with ctx.unit_of_work() as outer:
            with ctx.unit_of_work() as inner:
                note(inner, "done")
                inner.complete()
            if agrees:
                outer.commit()

    job_id = enqueue(handle)
    after = ring(runtime, job_id)
    if agrees:
        assert (after.status, notes()) == (JobStatus.COMPLETED, ["done"])
    else:
        assert (after.status, notes()) == (JobStatus.FAILED, [])
        assert "the outer one ended without commit()" in after.last_error


def test_a_forgotten_commit_fails_the_run_at_once_since_every_attempt_would_forget_it(runtime, enqueue, notes):
    def handle(args: Anything, ctx: JobContext) -> None:
        with ctx.unit_of_work() as uow:
            note(uow, "lost")

    job_id = enqueue(handle)
    after = ring(runtime, job_id)
    assert (after.status, notes(), outcomes(runtime, job_id)) == (JobStatus.FAILED, [], ["Failed"])
    assert "end its block with commit()" in after.last_error


@pytest.fixture
def make_due(sql) -> Callable[[Any], None]:
    return lambda job_id: sql("update jobs.jobs set next_run_at = now() where id = cast(:id as uuid)", id=str(job_id))


def test_a_unit_of_work_of_no_attempt_completes_nothing(runtime):
    with pytest.raises(UnitOfWorkError, match="belongs to no attempt"), runtime.units.begin() as uow:
        uow.complete()


def test_a_context_of_no_worker_says_what_it_lacks():
    ctx = JobContext(None, "job", "Noop", 1, 1, None, {})
    with pytest.raises(ConfigurationError, match=r"ctx\.unit_of_work\(\) needs a database"):
        ctx.unit_of_work()


def test_an_attempt_begun_amid_anothers_unit_of_work_has_its_own(runtime, registry, enqueue, notes):
    def inner(args: Anything, ctx: JobContext) -> None:
        assert current_unit_of_work() is None
        completing("inner")(args, ctx)

    def outer(args: Anything, ctx: JobContext) -> None:
        with ctx.unit_of_work() as uow:
            note(uow, "outer")
            assert ring(runtime, inner_id).status is JobStatus.COMPLETED
            assert current_unit_of_work() is uow
            uow.rollback()

    registry.add_handler("Inner", inner)
    inner_id = runtime.service.enqueue(job("inner", "Inner")).id
    assert ring(runtime, enqueue(outer)).status is JobStatus.COMPLETED
    assert notes() == ["inner"]


# --- services that join


class Effects:
    def __init__(self, units: UnitsOfWork) -> None:
        self._units = units

    def add(self, text: str) -> None:
        with self._units.begin() as uow:
            note(uow, text)
            uow.commit()


def effects(units: UnitsOfWork) -> Effects:
    return Effects(units)


def test_a_service_joins_the_handlers_unit_of_work_or_has_its_own(runtime, registry, enqueue, notes):
    registry.add_provider(effects)

    def handle(args: Anything, ctx: JobContext, effects: Effects) -> None:
        effects.add("by itself")
        with ctx.unit_of_work() as uow:
            effects.add("joined, and rolled back")
            uow.rollback()
        with ctx.unit_of_work() as uow:
            effects.add("joined")
            uow.complete()

    registry.check_services()
    assert ring(runtime, enqueue(handle)).status is JobStatus.COMPLETED
    assert notes() == ["by itself", "joined"]


# --- a commit whose answer is lost


@contextmanager
def lost_answer(*, written: bool, late: float = 0) -> Iterator[list[str]]:
    """Break the connection around COMMIT: after the server has done it, or before it has heard of it."""
    commit, lost = PostgresTransaction.commit, []

    def break_off(transaction: PostgresTransaction) -> None:
        lost.append("commit")
        if late:
            threading.Timer(late, lambda: commit(transaction)).start()
            transaction.close = lambda: None
        elif written:
            commit(transaction)
        else:
            transaction.connection.invalidate()
        raise OutcomeUnknown("the connection broke")

    PostgresTransaction.commit = break_off
    try:
        yield lost
    finally:
        PostgresTransaction.commit = commit


@pytest.mark.parametrize("schedule", ["@once", "@every 1h"])
def test_a_commit_that_was_done_though_its_answer_was_lost_stands(
    make_runtime, registry, scheduler, let_pass, notes, schedule
):
    registry.add_handler("Work", completing())
    runtime = make_runtime()
    job_id = runtime.service.enqueue(job("job", "Work", schedule=schedule)).id
    let_pass()
    with lost_answer(written=True) as lost:
        after = ring(runtime, job_id)
    assert lost == ["commit"]
    assert (after.run_count, notes(), outcomes(runtime, job_id)) == (1, ["done"], ["Succeeded"])
    assert (AlarmName(job_id, 2) in scheduler.alarms) == (schedule != "@once")


def test_a_commit_that_was_not_done_fails_the_attempt_and_the_next_one_completes(runtime, enqueue, make_due, notes):
    job_id = enqueue(completing())
    with lost_answer(written=False) as lost:
        after = ring(runtime, job_id)
    assert (lost, after.status, after.attempt, notes()) == (["commit"], JobStatus.SCHEDULED, 1, [])
    make_due(job_id)
    assert ring(runtime, job_id).status is JobStatus.COMPLETED
    assert (notes(), outcomes(runtime, job_id)) == (["done"], ["Failed", "Succeeded"])


def test_a_commit_that_is_still_under_way_is_waited_for(runtime, enqueue, notes):
    job_id = enqueue(completing())
    with lost_answer(written=True, late=0.3):
        after = ring(runtime, job_id)
    assert after.status is JobStatus.COMPLETED
    assert (notes(), outcomes(runtime, job_id)) == (["done"], ["Succeeded"])


@pytest.mark.parametrize("written", [False, True])
def test_a_commit_whose_fate_stays_unknown_leaves_the_effect_there_once(
    make_runtime, registry, make_due, notes, caplog, written
):
    def away(run) -> None:
        raise StoreUnavailable("the database went away")

    registry.add_handler("Work", completing())
    runtime = make_runtime(lease_seconds=1)
    runtime.pipeline._executor._backend._completions.runs = Faltering(runtime.runs, recorded=away)
    job_id = runtime.service.enqueue(job("job", "Work")).id
    with lost_answer(written=written):
        after = ring(runtime, job_id)
    assert after.status is (JobStatus.COMPLETED if written else JobStatus.SCHEDULED)
    assert ("lease-lost" in caplog.text) is written
    if not written:
        make_due(job_id)
        after = ring(make_runtime(), job_id)
    assert (after.status, notes()) == (JobStatus.COMPLETED, ["done"])
    assert outcomes(runtime, job_id)[-1:] == ["Succeeded"]


class Faltering:
    """A run store some of whose methods are another's."""

    def __init__(self, runs, **methods) -> None:
        self._runs, self._methods = runs, methods

    def __getattr__(self, name: str) -> Any:
        return self._methods.get(name) or getattr(self._runs, name)


# --- races


def test_two_hundred_races_of_cancel_against_completion_in_a_unit_of_work_each_give_one_end(
    make_runtime, registry, sql, notes
):
    def handle(args: Anything, ctx: JobContext) -> None:
        time.sleep((int(ctx.job_name) % 10) / 10_000)
        with ctx.unit_of_work() as uow:
            note(uow, ctx.job_name)
            uow.complete()

    registry.add_handler("Work", handle)
    sql("create table ends (id uuid, status text)")
    sql(
        "create function note_end() returns trigger language plpgsql as $$"
        " begin insert into ends values (new.id, new.status); return null; end $$"
    )
    sql(
        "create trigger note_end after update on jobs.jobs for each row"
        " when (new.handled_at is distinct from old.handled_at) execute function note_end()"
    )
    runtime, other = make_runtime(database_pool_size=6), make_runtime()
    ids = [one.id for one in runtime.service.enqueue_many([job(f"{n}", "Work") for n in range(200)])]
    barrier = threading.Barrier(2)

    def run(number: int, job_id) -> None:
        barrier.wait()
        time.sleep((number % 7) / 1000)
        handle_alarm(runtime, AlarmName(job_id, 1))

    def cancel(number: int, job_id) -> None:
        barrier.wait()
        time.sleep((number % 10) / 1000)
        other.service.cancel(job_id)

    with ThreadPoolExecutor(2) as pool:
        for number, job_id in enumerate(ids):
            for future in [pool.submit(run, number, job_id), pool.submit(cancel, number, job_id)]:
                future.result(60)
    ends = {}
    for job_id, status in sql("select id, status from ends"):
        ends.setdefault(job_id, []).append(status)
    assert sorted(ends) == sorted(ids)
    assert {tuple(statuses) for statuses in ends.values()} == {("Completed",), ("Cancelled",)}
    completed = {job_id for job_id, [status] in ends.items() if status == "Completed"}
    assert len(notes()) == len(completed), "a row for every job that was completed, and for no other"
    history = {job_id for (job_id,) in sql("select job_id from jobs.job_attempts where outcome = 'Succeeded'")}
    assert history == completed
