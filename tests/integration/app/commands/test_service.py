"""Commands, from what a caller asks for to the row that stands afterwards."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from pydantic import BaseModel, field_validator
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from jobs.adapters.postgres.connection.database import Database
from jobs.adapters.postgres.stores.jobs import PostgresJobStore
from jobs.app.alarms.arming import Alarms
from jobs.app.commands.callers import Caller, Enqueued
from jobs.app.commands.service import JobService
from jobs.app.execution.alarm_result import AlarmOutcome
from jobs.app.runtime import Runtime
from jobs.core.commands import EnqueueJob, UpdateJob
from jobs.core.errors import (
    Conflict,
    IdempotencyKeyReused,
    InvalidInput,
    InvalidSchedule,
    JobIdTaken,
    JobNameTaken,
    JobNotFound,
    PreconditionFailed,
    UnknownHandler,
)
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.handler_outcomes import Cancel, Discard, Retry, Snooze
from jobs.core.lifecycle.ids import AlarmName, new_id
from jobs.core.lifecycle.job import Job
from jobs.core.lifecycle.retry import RetryPolicy
from jobs.core.lifecycle.status import JobStatus
from jobs.core.queries import JobQuery
from jobs.testing import FrozenClock, MemoryScheduler
from tests.sizes import examples
from tests.support import Anything, handle_alarm, job, until

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MISSING = UUID(int=0)


class Item(BaseModel):
    name: str
    price: float = 1.0


class Order(BaseModel):
    to: str
    items: list[Item] = []


class Fussy(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def _look_up(cls, number: int) -> int:
        return {1: 1}[number]  # a KeyError, which pydantic does not take for a fault of the input


@pytest.fixture
def database_url(server: Any, emptied: Database) -> str:
    return server.url(emptied.engine.url.database)


@pytest.fixture
def database(emptied: Database) -> Database:
    return emptied


@pytest.fixture
def registry() -> HandlerRegistry:
    registry = HandlerRegistry()
    registry.add_handler("Noop", noop)
    registry.add_handler("Order", order, retry=RetryPolicy(max_retries=7), timeout=timedelta(seconds=30))
    registry.add_handler("Fussy", fussy)
    return registry


def noop(args: Anything) -> None: ...
def order(args: Order) -> None: ...
def fussy(args: Fussy) -> None: ...


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(NOON)


@pytest.fixture
def scheduler() -> MemoryScheduler:
    return MemoryScheduler()


@pytest.fixture
def store(database: Database) -> PostgresJobStore:
    return PostgresJobStore(database, "jobs")


@pytest.fixture
def service(
    store: PostgresJobStore, registry: HandlerRegistry, clock: FrozenClock, scheduler: MemoryScheduler
) -> Iterator[JobService]:
    alarms = Alarms(scheduler, store)
    yield JobService(store, alarms, registry, clock, Random(1))
    alarms.close()


Enqueue = Callable[..., Enqueued]


@pytest.fixture(params=["alone", "in a batch"])
def enqueue(request: pytest.FixtureRequest, service: JobService) -> Enqueue:
    """Enqueue by either call; what is said of one holds of the other, beside a neighbour that is fine."""

    def in_a_batch(command: EnqueueJob, **options: Any) -> Enqueued:
        [result] = service.enqueue_many([command], **options)
        if isinstance(result, Exception):
            raise result
        return result

    return service.enqueue if request.param == "alone" else in_a_batch


def sql(database: Database, text: str, **values: Any) -> list[Any]:
    with database.engine.begin() as connection:
        result = connection.execute(sa.text(text), values)
        return [tuple(row) for row in result] if result.returns_rows else []


def rows_written(database: Database) -> list[int]:
    tables = ("jobs", "job_attempts", "job_audit", "idempotency_keys")
    return [sql(database, f"select count(*) from jobs.{table}")[0][0] for table in tables]


def update(**fields: Any) -> UpdateJob:
    return UpdateJob(**fields)


def pointers(error: InvalidInput) -> set[str]:
    return {problem.pointer for problem in error.problems}


# --- enqueue: what is refused


def case_id(value: object) -> str:
    """Name a case by its pointer and its detail; what was sent may be too long to write."""
    return "" if isinstance(value, dict) else str(value)[:40]


nested = [[]]
for _ in range(64):
    nested = [nested]


@pytest.mark.parametrize(
    ("fields", "pointer", "detail"),
    [
        ({"handler_name": "Nope"}, "/handler_name", "registered are: Fussy, Noop, Order"),
        ({"handler_name": "a\x00b"}, "/handler_name", "no handler is registered"),
        ({"handler_name": "Order"}, "/payload/to", "the field 'to' is missing; it is required"),
        ({"handler_name": "Order", "payload": {"to": 1}}, "/payload/to", "valid string"),
        ({"handler_name": "Order", "payload": {"to": "", "items": [{}]}}, "/payload/items/0/name", "required"),
        ({"handler_name": "Order", "payload": []}, "/payload", "object"),
        ({"handler_name": "Order", "payload": None}, "/payload", "object"),
        ({"handler_name": "Fussy", "payload": {"number": 2}}, "/payload", "KeyError"),
        ({"payload": {"a": ["x", "b\x00c"]}}, "/payload/a/1", "cannot be stored"),
        ({"payload": {"a\x00": 1}}, "/payload", "cannot be stored"),
        ({"payload": {"a": ("\ud800",)}}, "/payload/a/0", "cannot be stored"),
        ({"payload": {"a": math.nan}}, "/payload", "not a JSON value"),
        ({"payload": [math.inf]}, "/payload", "not a JSON value"),
        ({"payload": {"when": NOON}}, "/payload/when", "not a JSON value: a datetime; write it as text"),
        ({"payload": 10**5_000}, "/payload", "not a JSON value"),
        ({"payload": nested}, "/payload", "nested deeper than 64 levels"),
        ({"metadata": {"a": "b\x00c"}}, "/metadata/a", "cannot be stored"),
        ({"metadata": {"a\x00": 1}}, "/metadata", "cannot be stored"),
        ({"metadata": {"a": {"b": [math.nan]}}}, "/metadata", "not a JSON value"),
        ({"job_name": "a\x00b"}, "/job_name", "cannot be stored"),
        ({"schedule": "61 * * * *"}, "/schedule", "the minute field '61' cannot be read"),
        ({"schedule": "* * * * * * *"}, "/schedule", "not 7"),
        ({"schedule": "0 0 30 2 *"}, "/schedule", "never matches"),
        ({"schedule": "R * * * *"}, "/schedule", "random"),
        ({"schedule": "@every 0.5s"}, "/schedule", "too short"),
        ({"schedule": "\x00"}, "/schedule", "printable ASCII"),
        ({"schedule": "\ud800"}, "/schedule", "printable ASCII"),
        ({"schedule": "@daily", "timezone": "Mars/Olympus"}, "/timezone", "no such IANA time zone"),
        ({"timezone": "\x00"}, "/timezone", "no such IANA time zone"),
        ({"schedule": "@once", "max_runs": 2}, "/max_runs", "only a recurring schedule"),
        ({"schedule": "@daily", "end_at": NOON}, "/schedule", "this never runs"),
    ],
    ids=case_id,
)
def test_what_cannot_be_run_or_kept_is_refused_at_its_place_and_nothing_is_written(
    enqueue, database, scheduler, fields, pointer, detail
):
    command = EnqueueJob(**({"handler_name": "Noop", "job_name": "job"} | fields))
    with pytest.raises(InvalidInput) as caught:
        enqueue(command)
    assert pointers(caught.value) == {pointer}
    assert detail in str(caught.value)
    assert rows_written(database) == [0, 0, 0, 0]
    assert scheduler.alarms == {}


@pytest.mark.parametrize("actor", ["a\x00b", "\ud800"])
def test_a_caller_whose_name_cannot_be_kept_is_refused_and_nothing_is_written(enqueue, database, actor):
    with pytest.raises(InvalidInput):
        enqueue(job(), caller=Caller(actor=actor))
    assert rows_written(database) == [0, 0, 0, 0]


def test_the_kinds_of_refusal_can_be_told_apart(service):
    with pytest.raises(UnknownHandler):
        service.enqueue(job(handler_name="Nope"))
    with pytest.raises(InvalidSchedule):
        service.enqueue(job(schedule="never"))


# --- enqueue: what is written


def test_an_enqueued_job_stands_committed_and_armed(enqueue, service, scheduler):
    enqueued = enqueue(
        job("a", schedule="PT1H", payload={"n": 1}, metadata={"OrderId": 7}), caller=Caller("me", "00-trace")
    )
    assert enqueued.created
    stands = until(lambda: (read := service.get(enqueued.id)).armed_at and read)
    assert (stands.status, stands.job_name, stands.payload, stands.metadata) == (
        "Scheduled",
        "a",
        {"n": 1},
        {"OrderId": 7},
    )
    assert (stands.next_run_at, stands.scheduled_for, stands.recurring) == (NOON + HOUR, NOON + HOUR, False)
    assert (stands.created_by, stands.trace_parent) == ("me", "00-trace")
    assert scheduler.alarms == {AlarmName(stands.id, 1): NOON + HOUR}


def test_retries_and_timeout_left_out_are_the_handlers_own(enqueue, service):
    theirs = service.get(enqueue(job("a", "Order", payload={"to": "x"})).id)
    assert (theirs.max_retries, theirs.timeout) == (7, timedelta(seconds=30))
    own = service.get(enqueue(job("b", "Order", payload={"to": "x"}, max_retries=0, timeout=5)).id)
    assert (own.max_retries, own.timeout) == (0, timedelta(seconds=5))


def test_the_caller_may_supply_the_id(enqueue, service):
    own = new_id()
    assert enqueue(job(id=own)).id == own
    assert service.get(own).job_name == "job"


def test_a_scheduler_that_is_away_costs_no_job(enqueue, service, scheduler):
    scheduler.available = False
    stands = service.get(enqueue(job()).id)
    assert (stands.status, stands.armed_at) == ("Scheduled", None)


plain_text = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=12)
commands = st.fixed_dictionaries(
    {
        "schedule": st.sampled_from(
            ["@once", "PT90S", "2027-01-01T00:00:00+03:00", "@daily", "*/7 * * * * *", "@every 90s"]
        )
    },
    optional={
        "handler_name": st.just("Noop"),
        "payload": st.recursive(
            st.none() | st.booleans() | st.integers() | plain_text,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain_text, inner, max_size=3),
            max_leaves=5,
        ).map(lambda value: {"value": value}),
        "metadata": st.dictionaries(plain_text, st.integers() | plain_text, max_size=3),
        "timezone": st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]),
        "max_retries": st.integers(0, 1_000),
        "timeout": st.timedeltas(timedelta(microseconds=1), timedelta(days=366)),
        "misfire": st.sampled_from(["run_once", "skip", {"policy": "catch_up", "max": 5, "grace": "PT1.5S"}]),
        "dst": st.sampled_from([{"gap": "skip"}, {"overlap": "twice"}]),
        "start_at": st.datetimes(NOON.replace(tzinfo=None), datetime(2030, 1, 1)).map(lambda d: d.replace(tzinfo=UTC)),
        "jitter": st.timedeltas(timedelta(microseconds=1), timedelta(hours=1)),
    },
)


@given(fields=commands, name=plain_text, seed=st.integers())
@settings(
    database=None,
    print_blob=True,
    deadline=None,
    max_examples=examples(30),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_the_job_that_is_answered_with_is_the_job_that_stands(store, registry, clock, database, fields, name, seed):
    """The answer is put together without reading the row again, so it must be what a read of it gives."""
    sql(database, "delete from jobs.jobs")
    alarms = Alarms(MemoryScheduler(), store)
    service = JobService(store, alarms, registry, clock, Random(seed))
    command = EnqueueJob(**({"handler_name": "Noop", "job_name": name} | fields))
    for enqueued in (
        service.enqueue(command),
        *service.enqueue_many([command.model_copy(update={"job_name": name + "2"})]),
    ):
        assert isinstance(enqueued, Enqueued)
        stands = until(lambda job_id=enqueued.id: (read := service.get(job_id)).armed_at and read)
        answered = enqueued.job.model_dump(mode="json")
        assert answered == stands.model_dump(mode="json") | {"armed_at": None}


# --- enqueue: conflicts


def test_a_name_that_is_held_is_refused_and_the_holder_named(enqueue, service, database):
    holder = service.enqueue(job("name"))
    with pytest.raises(JobNameTaken) as caught:
        enqueue(job("name"))
    assert (caught.value.job_name, caught.value.holder) == ("name", holder.id)
    assert str(holder.id) in str(caught.value)
    assert rows_written(database)[0] == 1


def test_a_name_is_free_once_its_job_has_ended(enqueue, service):
    service.cancel(service.enqueue(job("name")).id)
    assert enqueue(job("name")).created


def test_return_existing_gives_the_holder(enqueue, service, database):
    holder = service.enqueue(job("name", payload={"n": 1}))
    again = enqueue(job("name", payload={"n": 2}, on_conflict="return_existing"))
    assert (again.id, again.created, again.job.payload) == (holder.id, False, {"n": 1})
    assert rows_written(database)[0] == 1
    assert enqueue(job("other", on_conflict="return_existing")).created


def test_replace_cancels_the_holder_and_takes_its_name(enqueue, service, database, scheduler):
    holder = service.enqueue(job("name", schedule="PT1H"))
    replacing = enqueue(job("name", schedule="PT2H", on_conflict="replace"), caller=Caller("me"))
    assert (replacing.created, service.get(replacing.id).status) == (True, "Scheduled")
    old = service.get(holder.id)
    assert (old.status, old.next_run_at, old.handled_at is not None) == ("Cancelled", None, True)
    assert sql(database, "select job_id, actor, action from jobs.job_audit") == [(holder.id, "me", "replace")]
    assert scheduler.alarms == {AlarmName(replacing.id, 1): NOON + 2 * HOUR}


def test_a_running_holder_is_not_replaced(enqueue, service, database):
    holder = service.enqueue(job("name"))
    with pytest.raises(JobNameTaken, match=r"or send on_conflict return_existing or replace$"):
        enqueue(job("name"))
    _pretend_running(database, holder.id)
    for on_conflict in ("replace", "reject"):
        with pytest.raises(
            JobNameTaken, match="it is running, and only a waiting job can be replaced; cancel it"
        ) as it:
            enqueue(job("name", on_conflict=on_conflict))
        assert str(it.value).endswith("or send on_conflict return_existing")
    assert service.get(holder.id).status == "Running"
    assert enqueue(job("name", on_conflict="return_existing")).id == holder.id


def test_a_timeout_that_the_host_would_cut_short_is_refused_wherever_it_is_given(runtime, monkeypatch):
    for part in (runtime.service, runtime.service._new_jobs):
        monkeypatch.setattr(part, "_longest_run", timedelta(minutes=30))
    made = runtime.service.enqueue(job("short", schedule="PT1H", timeout="PT29M"))
    [refused] = runtime.service.enqueue_many([job("long", timeout="PT30M")])
    assert "PT30M is not below functionTimeout, PT30M" in str(refused)
    with pytest.raises(InvalidInput, match=r"PT2H is not below functionTimeout.*raise functionTimeout in host\.json"):
        runtime.service.enqueue(job("long", timeout="PT2H"))
    with pytest.raises(InvalidInput, match="PT2H is not below functionTimeout"):
        runtime.service.update(made.id, UpdateJob(timeout="PT2H"))
    assert runtime.service.get(made.id).timeout == timedelta(minutes=29)


@pytest.mark.parametrize("on_conflict", ["reject", "return_existing", "replace"])
def test_an_id_is_never_used_again(enqueue, service, database, on_conflict):
    own = new_id()
    service.cancel(service.enqueue(job("first", id=own)).id)
    with pytest.raises(JobIdTaken, match=f"a job with the id {own} already exists"):
        enqueue(job("second", id=own, on_conflict=on_conflict))
    assert rows_written(database)[0] == 1


def test_of_many_that_want_one_name_all_are_given_the_one_that_got_it(service):
    with ThreadPoolExecutor(12) as pool:
        results = list(pool.map(lambda _: service.enqueue(job("name", on_conflict="return_existing")), range(36)))
    assert len({result.id for result in results}) == 1
    assert sum(result.created for result in results) == 1


def test_of_many_that_replace_one_another_the_last_one_stands_alone(service, database):
    def replace(_: int) -> UUID | None:
        with suppress(Conflict):
            return service.enqueue(job("name", on_conflict="replace")).id
        return None

    with ThreadPoolExecutor(6) as pool:
        made = [job_id for job_id in pool.map(replace, range(24)) if job_id]
    standing = [job_id for job_id in made if service.get(job_id).status.active]
    assert len(standing) == 1
    assert sql(database, "select count(*) from jobs.jobs") == [(len(made),)]


# --- enqueue many


def test_each_of_many_has_a_result_of_its_own_in_the_order_given(service, database, scheduler):
    taken = service.enqueue(job("taken")).id
    replaced = service.enqueue(job("replaced")).id
    own = new_id()
    service.cancel(service.enqueue(job("gone", id=own)).id)
    results = service.enqueue_many(
        [
            job("fine"),
            job("x", handler_name="Nope"),
            job("x", handler_name="Order", payload={"to": 1}),
            job("taken"),
            job("taken", on_conflict="return_existing"),
            job("replaced", on_conflict="replace"),
            job("new id", id=own),
            job("x", schedule="nonsense"),
            job("x", payload={"a": "\x00"}),
            job("also fine", schedule="@daily"),
        ]
    )
    kinds = [type(result) for result in results]
    assert kinds == [
        *(Enqueued, UnknownHandler, InvalidInput, JobNameTaken, Enqueued, Enqueued, JobIdTaken, InvalidSchedule),
        *(InvalidInput, Enqueued),
    ]
    assert (results[4].id, results[4].created) == (taken, False)
    assert (service.get(replaced).status, service.get(results[5].id).status) == ("Cancelled", "Scheduled")
    assert {service.get(results[place].id).job_name for place in (0, 9)} == {"fine", "also fine"}
    assert rows_written(database)[0] == 6
    assert {name.job_id for name in scheduler.alarms} == {taken, *(results[place].id for place in (0, 5, 9))}


def test_a_name_that_comes_twice_in_one_batch_is_settled_as_if_one_had_come_after_the_other(service, database):
    first, second = service.enqueue_many([job("same"), job("same")])
    assert {type(first), type(second)} == {Enqueued, JobNameTaken}
    first, second = service.enqueue_many([job("name", on_conflict="return_existing")] * 2)
    assert first.id == second.id
    assert sorted((first.created, second.created)) == [False, True]
    first, second = service.enqueue_many([job("other", on_conflict="replace")] * 2)
    assert sorted(service.get(result.id).status for result in (first, second)) == ["Cancelled", "Scheduled"]
    assert rows_written(database)[0] == 4


def test_an_id_that_comes_twice_in_one_batch_is_used_once(service, database):
    own = new_id()
    results = service.enqueue_many([job("b", id=own), job("a", id=own)])
    assert sorted(type(result).__name__ for result in results) == ["Enqueued", "JobIdTaken"]
    assert rows_written(database)[0] == 1


def test_more_than_one_statement_holds_are_enqueued_with_faults_strewn_among_them(service, database):
    service.enqueue_many([job(f"job-{number}") for number in range(0, 1_200, 300)])
    batch = [job(f"job-{number}", "Nope" if number % 250 == 7 else "Noop") for number in range(1_200)]
    results = service.enqueue_many(batch)
    assert len(results) == 1_200
    for number, result in enumerate(results):
        if number % 250 == 7:
            assert isinstance(result, UnknownHandler), number
        elif number % 300 == 0:
            assert isinstance(result, JobNameTaken), number
        else:
            assert isinstance(result, Enqueued), number
            assert result.job.job_name == f"job-{number}"
    names = {name for (name,) in sql(database, "select job_name from jobs.jobs")}
    assert names == {command.job_name for number, command in enumerate(batch) if number % 250 != 7}


def test_nothing_to_enqueue_is_fine(service):
    assert service.enqueue_many([]) == []


# --- within a caller's transaction


@pytest.fixture
def app_engine(database: Database) -> Iterator[sa.Engine]:
    engine = sa.create_engine(database.engine.url)
    yield engine
    engine.dispose()


def test_a_job_enqueued_with_the_callers_data_commits_with_it_and_is_armed_after_that(
    enqueue, service, app_engine, scheduler
):
    with Session(app_engine) as session:
        enqueued = enqueue(job(), connection=session)
        assert enqueued.job.status is JobStatus.SCHEDULED
        with pytest.raises(JobNotFound):
            service.get(enqueued.id)
        assert scheduler.alarms == {}, "an alarm for a row that may never be committed is not set"
        session.commit()
    until(lambda: service.get(enqueued.id).armed_at)
    assert list(scheduler.alarms) == [enqueued.alarm.name]


def test_what_has_no_transaction_that_a_job_could_join_is_refused_with_what_to_give(enqueue, app_engine):
    with pytest.raises(TypeError, match=r"is a sqlalchemy\.engine\.base\.Engine.*with engine\.begin\(\) as connection"):
        enqueue(job(), connection=app_engine)
    other = sa.create_engine("sqlite://")
    with other.connect() as connection, Session(other) as session:
        for each in (connection, session):
            with pytest.raises(TypeError, match="connection is to sqlite, and jobs are kept in PostgreSQL"):
                enqueue(job(), connection=each)
    other.dispose()


@pytest.mark.parametrize(("name", "variable"), [("AsyncConnection", "conn"), ("AsyncSession", "session")])
def test_an_async_connection_is_refused_with_the_way_to_the_sync_one(enqueue, name, variable):
    connection = type(name, (), {"__module__": "sqlalchemy.ext.asyncio.engine"})()
    with pytest.raises(
        TypeError, match=rf"connection is an {name}.*await {variable}\.run_sync\(lambda sync: jobs\.enq"
    ):
        enqueue(job(), connection=connection)
    with pytest.raises(TypeError, match=r"run_sync"):
        enqueue(job(), connection=type("Mine", (type(connection),), {"__module__": "shop"})())


def test_a_scoped_session_is_refused_with_the_way_to_the_session_within(enqueue, service, app_engine):
    session = scoped_session(sessionmaker(app_engine))
    with pytest.raises(TypeError, match=r"connection is a scoped_session; .* connection=session\(\)"):
        enqueue(job(), connection=session)
    enqueued = enqueue(job(), connection=session())
    session.commit()
    session.remove()
    assert service.get(enqueued.id).status is JobStatus.SCHEDULED


def test_a_connection_that_commits_each_statement_is_refused_since_a_rollback_would_leave_the_job(
    enqueue, service, app_engine
):
    autocommit = app_engine.execution_options(isolation_level="AUTOCOMMIT")
    with autocommit.connect() as connection, Session(autocommit) as session:
        for each in (connection, session):
            with pytest.raises(TypeError, match=r"connection is in AUTOCOMMIT mode, .*with engine\.begin\(\)"):
                enqueue(job(), connection=each)
    assert service.find(JobQuery()).jobs == []
    with app_engine.begin() as connection:
        enqueue(job(), connection=connection)


def test_a_connection_that_is_set_to_stream_its_rows_is_joined_like_any_other(enqueue, service, app_engine):
    with app_engine.connect().execution_options(stream_results=True) as connection:
        enqueued = enqueue(job(), connection=connection)
        connection.commit()
    assert service.get(enqueued.id).status is JobStatus.SCHEDULED


@pytest.mark.parametrize("on_conflict", ["reject", "return_existing", "replace"])
def test_whatever_was_done_about_a_conflict_is_undone_with_the_callers_transaction(
    enqueue, service, app_engine, database, on_conflict
):
    holder = service.enqueue(job("name"))
    before = until(lambda: (read := service.get(holder.id)).armed_at and read)
    with app_engine.connect() as connection:
        with suppress(JobNameTaken):
            enqueue(job("name", on_conflict=on_conflict), connection=connection)
        enqueue(job("other"), connection=connection)
        connection.rollback()
    assert service.get(holder.id) == before
    assert rows_written(database) == [1, 0, 0, 0]


def test_replacing_within_a_callers_transaction_takes_effect_with_its_commit(enqueue, service, app_engine):
    holder = service.enqueue(job("name"))
    with app_engine.begin() as connection:
        replacing = enqueue(job("name", on_conflict="replace"), connection=connection)
        assert service.get(holder.id).status == "Scheduled"
    assert (service.get(holder.id).status, service.get(replacing.id).status) == ("Cancelled", "Scheduled")


# --- enqueue once


def enqueue_once(service: JobService, command: EnqueueJob, fingerprint: str = "body") -> str:
    return service.enqueue_once(
        command, key="key", fingerprint=fingerprint, render=lambda enqueued: str(enqueued.id)
    ).text


def test_a_request_repeated_under_its_key_gets_the_first_answer_and_enqueues_nothing(service, database, scheduler):
    answer = enqueue_once(service, job())
    service.cancel(UUID(answer))
    assert enqueue_once(service, job()) == answer
    assert rows_written(database)[0] == 1
    assert service.get(UUID(answer)).status == "Cancelled"


def test_a_job_enqueued_under_a_key_is_armed(service, scheduler):
    answer = enqueue_once(service, job(schedule="PT1H"))
    assert scheduler.alarms == {AlarmName(UUID(answer), 1): NOON + HOUR}


def test_a_key_used_again_for_another_request_is_refused(service, database):
    enqueue_once(service, job("a"))
    with pytest.raises(IdempotencyKeyReused, match="use a fresh key for a new request"):
        enqueue_once(service, job("b"), "other body")
    assert rows_written(database)[0] == 1


@pytest.mark.parametrize(
    ("command", "error"), [(job("held"), JobNameTaken), (job("x", "Nope"), UnknownHandler), (job("\x00"), InvalidInput)]
)
def test_a_request_that_is_refused_leaves_its_key_free(service, database, command, error):
    service.enqueue(job("held"))
    with pytest.raises(error):
        enqueue_once(service, command)
    assert rows_written(database) == [1, 0, 0, 0]
    assert enqueue_once(service, job("other"), "other body")


def test_of_requests_at_the_same_time_under_one_key_one_enqueues_and_all_get_its_answer(service, database):
    barrier = threading.Barrier(8)

    def request(number: int) -> str:
        barrier.wait()
        return enqueue_once(service, job(f"job-{number}"))

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(request, range(8)))
    assert len(answers) == 1
    assert rows_written(database)[0] == 1


# --- update


def test_a_new_schedule_of_a_waiting_job_takes_effect_at_once_under_a_new_generation(service, scheduler, database):
    before = service.enqueue(job(schedule="PT1H")).job
    after = service.update(before.id, update(schedule="0 15 * * *", timezone="Europe/Berlin"), caller=Caller("me"))
    assert (after.next_run_at, after.scheduled_for) == (NOON + HOUR, NOON + HOUR)
    assert (after.recurring, after.timezone, after.generation, after.revision) == (True, "Europe/Berlin", 2, 2)
    assert scheduler.alarms == {AlarmName(before.id, 2): NOON + HOUR}
    assert service.get(before.id) == after.model_copy(update={"armed_at": service.get(before.id).armed_at})
    assert sql(database, "select actor, action, revision from jobs.job_audit") == [("me", "update", 2)]


def test_every_counts_from_when_the_schedule_was_set_anew(service, clock):
    enqueued = service.enqueue(job(schedule="@every 1h"))
    clock.advance(timedelta(minutes=17))
    moved = service.update(enqueued.id, update(schedule="@every 10m"))
    assert (moved.anchor, moved.next_run_at) == (clock.now(), clock.now() + timedelta(minutes=10))


def test_an_update_changes_only_what_it_names(service):
    first = service.enqueue(
        job(schedule="@daily", payload={"n": 1}, metadata={"a": 1}, jitter="PT1S", misfire="skip")
    ).job
    second = service.update(first.id, update(payload={"n": 2}, max_retries=9, timeout=timedelta(seconds=5)))
    assert (second.payload, second.max_retries, second.timeout) == ({"n": 2}, 9, timedelta(seconds=5))
    kept = (
        "schedule",
        "metadata",
        "jitter",
        "misfire",
        "next_run_at",
        "scheduled_for",
        "anchor",
        "generation",
        "status",
    )
    assert [getattr(second, name) for name in kept] == [getattr(first, name) for name in kept]
    third = service.update(first.id, update(jitter=None, timeout=None, metadata={}))
    assert (third.jitter, third.timeout, third.metadata, third.misfire.policy) == (None, None, {}, "skip")
    assert [getattr(third, name) for name in kept[4:]] == [getattr(first, name) for name in kept[4:]]


def test_an_update_that_names_nothing_changes_nothing(service, database):
    enqueued = service.enqueue(job())
    assert service.update(enqueued.id, update()).revision == 1
    assert rows_written(database) == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"schedule": "nonsense"}, "/schedule"),
        ({"schedule": "0 0 30 2 *"}, "/schedule"),
        ({"schedule": None}, "/schedule"),
        ({"timezone": "Mars/Olympus"}, "/timezone"),
        ({"end_at": NOON}, "/end_at"),
        ({"schedule": "@weekly", "end_at": NOON + DAY}, "/schedule"),
        ({"schedule": "@once", "max_runs": 3}, "/max_runs"),
        ({"payload": {"to": 5}}, "/payload/to"),
        ({"payload": {"to": "x", "items": [{}]}}, "/payload/items/0/name"),
        ({"payload": {"to": "\x00"}}, "/payload/to"),
        ({"metadata": {"a": math.nan}}, "/metadata"),
        ({"metadata": None}, "/metadata"),
        ({"max_retries": None}, "/max_retries"),
    ],
    ids=str,
)
def test_a_wrong_update_is_refused_at_its_place_and_changes_nothing(service, database, fields, pointer):
    before = service.enqueue(job("a", "Order", payload={"to": "x"}, schedule="@daily")).job
    with pytest.raises(InvalidInput) as caught:
        service.update(before.id, update(**fields))
    assert pointers(caught.value) == {pointer}
    assert service.get(before.id).revision == 1
    assert rows_written(database) == [1, 0, 0, 0]


@pytest.mark.parametrize("change", [update(payload={}), update(schedule="PT1H"), update(max_retries=1)])
def test_a_job_that_has_ended_is_not_updated(service, change):
    enqueued = service.enqueue(job())
    ended = service.cancel(enqueued.id)
    with pytest.raises(Conflict, match="has ended as Cancelled; retry it, or enqueue a new one"):
        service.update(enqueued.id, change)
    assert service.get(enqueued.id) == ended


@pytest.mark.parametrize("change", [update(payload={}), update(schedule="PT1H"), update(max_retries=1)])
def test_a_one_time_job_that_is_running_is_not_updated(service, database, change):
    enqueued = service.enqueue(job())
    _pretend_running(database, enqueued.id)
    with pytest.raises(Conflict, match="is running and has no later run for a change to apply to"):
        service.update(enqueued.id, change)


def test_an_update_of_a_job_that_waits_for_a_retry_begins_it_anew(service, database):
    enqueued = service.enqueue(job(schedule="@daily"))
    sql(database, "update jobs.jobs set attempt = 2")
    assert service.update(enqueued.id, update(payload={"n": 1})).attempt == 2
    assert service.update(enqueued.id, update(schedule="@hourly")).attempt == 0


@pytest.mark.parametrize("command", ["update", "cancel", "pause", "resume", "run_now", "retry"])
def test_a_job_that_does_not_exist_is_not_found(service, command):
    arguments = [update(payload=1)] if command == "update" else []
    with pytest.raises(JobNotFound, match=f"no job has the id {MISSING}"):
        getattr(service, command)(MISSING, *arguments)
    with pytest.raises(JobNotFound):
        service.get(MISSING)
    with pytest.raises(JobNotFound):
        service.attempts(MISSING)


@pytest.mark.parametrize("command", ["update", "cancel", "pause", "resume", "run_now", "retry"])
def test_a_command_that_names_another_revision_is_refused(service, command):
    enqueued = service.enqueue(job())
    service.update(enqueued.id, update(max_retries=1))
    arguments = [update(payload=1)] if command == "update" else []
    with pytest.raises(PreconditionFailed) as caught:
        getattr(service, command)(enqueued.id, *arguments, revision=1)
    assert caught.value.found == 2
    assert service.get(enqueued.id).revision == 2


def test_a_command_that_names_the_revision_that_stands_is_done(service):
    enqueued = service.enqueue(job())
    assert service.pause(enqueued.id, revision=1).revision == 2


def test_of_updates_at_the_same_time_that_name_one_revision_one_is_done(service):
    enqueued = service.enqueue(job())

    def attempt(number: int) -> bool:
        try:
            service.update(enqueued.id, update(payload={"n": number}), revision=1)
        except PreconditionFailed:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(attempt, range(6))) == 1
    assert service.get(enqueued.id).revision == 2


def test_updates_at_the_same_time_that_name_no_revision_are_all_done(service):
    enqueued = service.enqueue(job())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: service.update(enqueued.id, update(payload={"n": n})), range(8)))
    assert service.get(enqueued.id).revision == 9


# --- delete


def test_a_waiting_job_is_cancelled_at_once_and_its_alarm_withdrawn(service, scheduler, database):
    enqueued = service.enqueue(job(schedule="PT1H"))
    ended = service.cancel(enqueued.id, caller=Caller("me"))
    assert (ended.status, ended.next_run_at, ended.handled_at is not None) == ("Cancelled", None, True)
    assert scheduler.alarms == {}
    assert sql(database, "select actor, action from jobs.job_audit") == [("me", "cancel")]


def test_deleting_what_has_ended_changes_nothing(service, database):
    enqueued = service.enqueue(job())
    ended = service.cancel(enqueued.id)
    assert service.cancel(enqueued.id) == ended
    assert rows_written(database)[2] == 1


def test_a_running_job_is_asked_to_end_once(service, database):
    enqueued = service.enqueue(job())
    _pretend_running(database, enqueued.id)
    asked = service.cancel(enqueued.id)
    assert (asked.status, asked.cancel_requested_at is not None) == ("Running", True)
    assert service.cancel(enqueued.id) == asked
    assert sql(database, "select action from jobs.job_audit") == [("request-cancel",)]


# --- pause and resume


def test_a_paused_job_stays_scheduled_and_keeps_its_time(service, scheduler):
    enqueued = service.enqueue(job(schedule="PT1H"))
    paused = service.pause(enqueued.id)
    assert (paused.status, paused.paused, paused.next_run_at) == ("Scheduled", True, NOON + HOUR)
    assert service.pause(enqueued.id).revision == paused.revision
    resumed = service.resume(enqueued.id)
    assert (resumed.paused, resumed.next_run_at) == (False, NOON + HOUR)
    assert service.resume(enqueued.id).revision == resumed.revision
    assert scheduler.alarms == {AlarmName(enqueued.id, resumed.generation): NOON + HOUR}


@pytest.mark.parametrize(
    ("misfire", "scheduled_for", "due_at"),
    [
        ("run_once", NOON + 6 * HOUR, None),
        ("skip", NOON + 7 * HOUR, NOON + 7 * HOUR),
        ({"policy": "catch_up", "max": 2}, NOON + 5 * HOUR, None),
        ({"policy": "catch_up", "max": 100}, NOON + HOUR, None),
    ],
    ids=str,
)
def test_what_fell_due_while_a_job_was_paused_is_settled_by_its_misfire_policy(
    service, clock, misfire, scheduled_for, due_at
):
    enqueued = service.enqueue(job(schedule="@hourly", misfire=misfire))
    service.pause(enqueued.id)
    clock.advance(6 * HOUR + timedelta(minutes=30))
    resumed = service.resume(enqueued.id)
    assert resumed.scheduled_for == scheduled_for
    assert resumed.next_run_at == due_at or (due_at is None and resumed.next_run_at <= clock.now())


def test_a_one_time_job_that_fell_due_while_it_was_paused_is_due_when_it_is_resumed(service, clock):
    enqueued = service.enqueue(job(schedule="PT1H", misfire="skip"))
    service.pause(enqueued.id)
    clock.advance(DAY)
    assert service.resume(enqueued.id).next_run_at == NOON + HOUR


def test_a_retry_that_fell_due_while_its_job_was_paused_is_still_that_runs_retry(service, clock, database):
    enqueued = service.enqueue(job(schedule="@hourly", misfire="skip"))
    sql(database, "update jobs.jobs set attempt = 1")
    service.pause(enqueued.id)
    clock.advance(DAY)
    assert service.resume(enqueued.id).scheduled_for == NOON + HOUR


def test_a_job_whose_schedule_ended_while_it_was_paused_is_completed(service, clock, scheduler):
    enqueued = service.enqueue(job(schedule="@hourly", misfire="skip", end_at=NOON + 2 * HOUR))
    service.pause(enqueued.id)
    clock.advance(DAY)
    ended = service.resume(enqueued.id)
    assert (ended.status, ended.next_run_at, ended.handled_at is not None) == ("Completed", None, True)
    assert scheduler.alarms == {}


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_job_that_has_ended_is_neither_paused_nor_resumed(service, command):
    enqueued = service.enqueue(job())
    service.cancel(enqueued.id)
    with pytest.raises(Conflict, match=f"has ended as Cancelled; it cannot be {command}d"):
        getattr(service, command)(enqueued.id)


def test_an_update_of_a_paused_job_leaves_it_paused_and_unarmed(service, scheduler):
    enqueued = service.enqueue(job(schedule="PT1H"))
    service.pause(enqueued.id)
    moved = service.update(enqueued.id, update(schedule="PT2H"))
    assert (moved.paused, moved.next_run_at) == (True, NOON + 2 * HOUR)
    assert scheduler.alarms == {}


# --- run now


def test_a_waiting_job_is_made_due_at_once(service, scheduler):
    enqueued = service.enqueue(job(schedule="@daily"))
    due = service.run_now(enqueued.id)
    assert due.next_run_at == due.scheduled_for == due.updated_at
    assert (due.status, due.schedule, due.generation) == ("Scheduled", "@daily", 2)
    assert set(scheduler.alarms) == {AlarmName(enqueued.id, 2)}


def test_a_job_that_is_paused_running_or_ended_is_not_run_now(service, database):
    paused, running, ended = (service.enqueue(job(name)).id for name in "abc")
    service.pause(paused)
    service.cancel(ended)
    _pretend_running(database, running)
    for job_id, why in ((paused, "is paused; resume it first"), (running, "is Running"), (ended, "is Cancelled")):
        with pytest.raises(Conflict, match=why):
            service.run_now(job_id)


# --- replay


def test_an_ended_job_runs_once_more_with_all_its_retries(service, database, scheduler):
    enqueued = service.enqueue(job())
    _pretend_ended(database, enqueued.id, "Failed")
    again = service.retry(enqueued.id, caller=Caller("me"))
    assert (again.status, again.attempt, again.handled_at, again.cancel_requested_at) == ("Scheduled", 0, None, None)
    assert again.next_run_at == again.scheduled_for == again.updated_at
    assert set(scheduler.alarms) == {AlarmName(enqueued.id, again.generation)}
    assert sql(database, "select actor, action from jobs.job_audit") == [("me", "retry")]


def test_a_job_that_was_cancelled_while_paused_is_not_paused_any_more(service):
    enqueued = service.enqueue(job())
    service.pause(enqueued.id)
    service.cancel(enqueued.id)
    assert not service.retry(enqueued.id).paused


def test_a_cancelled_recurring_job_goes_on_with_its_next_occurrence(service, clock):
    enqueued = service.enqueue(job(schedule="@hourly"))
    service.cancel(enqueued.id)
    clock.advance(10 * HOUR + timedelta(minutes=5))
    assert service.retry(enqueued.id).next_run_at == NOON + 11 * HOUR


def test_a_recurring_job_whose_schedule_is_over_is_not_replayed_to_never_run(service, clock):
    enqueued = service.enqueue(job(schedule="@hourly", end_at=NOON + 2 * HOUR))
    service.cancel(enqueued.id)
    clock.advance(DAY)
    with pytest.raises(InvalidSchedule, match="this never runs"):
        service.retry(enqueued.id)


def test_a_job_whose_name_is_in_use_again_is_not_replayed(service):
    ended = service.cancel(service.enqueue(job("name")).id)
    holder = service.enqueue(job("name"))
    with pytest.raises(JobNameTaken) as caught:
        service.retry(ended.id)
    assert caught.value.holder == holder.id
    assert service.get(ended.id) == ended
    service.cancel(holder.id)
    assert service.retry(ended.id).status is JobStatus.SCHEDULED


def test_a_job_that_has_not_ended_is_not_replayed(service, database):
    enqueued = service.enqueue(job())
    with pytest.raises(Conflict, match="is Scheduled; only a job that has ended can be retried"):
        service.retry(enqueued.id)
    _pretend_running(database, enqueued.id)
    with pytest.raises(Conflict, match="is Running; only a job that has ended can be retried"):
        service.retry(enqueued.id)


def test_of_replays_at_the_same_time_of_jobs_of_one_name_one_wins(service):
    ended = [service.cancel(service.enqueue(job("name")).id).id for _ in range(6)]

    def replay(job_id: UUID) -> bool:
        try:
            service.retry(job_id)
        except JobNameTaken:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(replay, ended)) == 1
    assert sum(service.get(job_id).status.active for job_id in ended) == 1


# --- commands to a job that is really running


During = Callable[[Job], None]


@pytest.fixture
def during(registry: HandlerRegistry, make_runtime, database) -> Callable[..., Job]:
    """Run a job, and something else while its handler is running; give the job as it then is."""
    steps: list[During] = []

    def steered(args: Anything) -> None:
        steps.pop()(runtime.service.find(JobQuery(status=("Running",))).jobs[0])

    registry.add_handler("Steered", steered)
    runtime: Runtime = make_runtime(registry)

    def run(command: EnqueueJob, step: During) -> Job:
        enqueued = runtime.service.enqueue(command)
        stands = runtime.service.run_now(enqueued.id)
        steps.append(lambda running: step(running, runtime.service))
        assert handle_alarm(runtime, AlarmName(stands.id, stands.generation)) is AlarmOutcome.RAN
        return runtime.service.get(enqueued.id)

    return run


def test_an_update_of_a_recurring_job_that_is_running_applies_from_the_next_run(during):
    seen = []

    def step(running: Job, service: JobService) -> None:
        seen.append(service.update(running.id, update(schedule="0 0 1 1 *", payload={"n": 2})))

    after = during(job("a", "Steered", schedule="@hourly"), step)
    assert (seen[0].status, seen[0].generation) == ("Running", 3)
    assert (after.status, after.schedule, after.payload, after.run_count) == ("Scheduled", "0 0 1 1 *", {"n": 2}, 1)
    assert (after.next_run_at.month, after.next_run_at.day) == (1, 1)
    assert after.next_run_at == after.scheduled_for


def test_a_recurring_job_made_one_time_while_it_runs_runs_that_once(during):
    after = during(
        job("a", "Steered", schedule="@hourly"),
        lambda running, service: service.update(running.id, update(schedule="2099-01-01T00:00:00Z")),
    )
    assert (after.status, after.recurring, after.next_run_at) == ("Scheduled", False, datetime(2099, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(("schedule", "status"), [("@once", "Completed"), ("@hourly", "Cancelled")])
def test_a_job_deleted_while_it_runs_does_not_run_again(during, schedule, status):
    after = during(job("a", "Steered", schedule=schedule), lambda running, service: service.cancel(running.id))
    assert (after.status, after.next_run_at, after.run_count) == (status, None, 1)


def test_a_job_paused_while_it_runs_ends_its_run_and_then_waits(during):
    after = during(job("a", "Steered", schedule="@hourly"), lambda running, service: service.pause(running.id))
    assert (after.status, after.paused, after.run_count) == ("Scheduled", True, 1)


def test_a_job_paused_and_resumed_while_it_runs_goes_on(during):
    def step(running: Job, service: JobService) -> None:
        service.pause(running.id)
        service.resume(running.id)

    after = during(job("a", "Steered", schedule="@hourly"), step)
    assert (after.status, after.paused, after.run_count) == ("Scheduled", False, 1)


def test_a_job_deleted_whose_handler_then_cancels_is_cancelled_once(during, runtime):
    def step(running: Job, service: JobService) -> None:
        service.cancel(running.id)
        raise Cancel

    after = during(job("a", "Steered", schedule="@hourly"), step)
    assert after.status is JobStatus.CANCELLED
    assert [attempt.outcome for attempt in runtime.service.attempts(after.id)] == ["Cancelled"]


# --- what may be asked, listed


def test_attempts_of_a_job_that_has_none_are_an_empty_list(service):
    assert service.attempts(service.enqueue(job()).id) == []


def test_jobs_are_found_through_the_service(service):
    service.enqueue(job("a", metadata={"OrderId": 1}))
    service.enqueue(job("b"))
    assert [found.job_name for found in service.find(JobQuery(metadata={"OrderId": (1,)})).jobs] == ["a"]


def test_a_job_is_answered_with_as_json_that_a_client_can_read(service):
    answer = json.loads(service.enqueue(job(schedule="PT1H", timeout=90)).job.model_dump_json())
    assert (answer["next_run_at"], answer["timeout"], answer["status"]) == (
        "2026-06-01T13:00:00Z",
        "PT1M30S",
        "Scheduled",
    )


# --- the lifecycle, against a model of it


@dataclass
class Expected:
    """What must be true of one job, told by simple rules beside the real one."""

    name: str
    schedule: str
    recurring: bool
    due: bool
    status: str = "Scheduled"
    paused: bool = False
    attempt: int = 0
    runs: int = 0
    failures: int = 0
    generation: int = 1
    revision: int = 1
    cancel_requested: bool = False
    claimed_as: str | None = None
    names: list[AlarmName] = field(default_factory=list)

    @property
    def active(self) -> bool:
        return self.status in ("Scheduled", "Running")

    def changed(self, *, new_generation: bool) -> None:
        self.revision += 1
        self.generation += new_generation


MAX_RETRIES = 1
SCHEDULES = {"@once": (False, True), "P1D": (False, False), "@yearly": (True, False)}  # recurring, due at once
ENDINGS: dict[str, Exception | None] = {
    "well": None,
    "badly": ValueError("x"),
    "retry": Retry(after=0),
    "snooze": Snooze(0),
    "discard": Discard("no use"),
    "cancel": Cancel(),
}


class Lifecycle(RuleBasedStateMachine):
    """Commands and alarms in any order. Commands reach a Running job from within its handler."""

    runtime: Runtime
    script: list[tuple[str, list[tuple[str, str]]]]

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[UUID, Expected] = {}

    # Commands, to a job in any state.

    def obey(self, job_id: UUID, command: str, schedule: str) -> None:
        """Give a command, and see that it is obeyed or refused as the model says."""
        known, service = self.jobs[job_id], self.runtime.service
        if not getattr(self, f"_may_{command}")(known):
            arguments = [update(schedule=schedule)] if command == "update" else []
            with pytest.raises(Conflict):
                getattr(service, command)(job_id, *arguments)
            return
        getattr(self, f"_{command}")(job_id, known, schedule)

    def _may_cancel(self, known: Expected) -> bool:
        return True

    def _cancel(self, job_id: UUID, known: Expected, schedule: str) -> None:
        self.runtime.service.cancel(job_id)
        if known.status == "Scheduled":
            known.status, known.due = "Cancelled", False
            known.changed(new_generation=True)
        elif known.status == "Running" and not known.cancel_requested:
            known.cancel_requested = True
            known.changed(new_generation=False)

    def _may_pause(self, known: Expected) -> bool:
        return known.active

    def _pause(self, job_id: UUID, known: Expected, schedule: str) -> None:
        self.runtime.service.pause(job_id)
        if not known.paused:
            known.paused = True
            known.changed(new_generation=False)

    def _may_resume(self, known: Expected) -> bool:
        return known.active

    def _resume(self, job_id: UUID, known: Expected, schedule: str) -> None:
        self.runtime.service.resume(job_id)
        if known.paused:
            known.paused = False
            known.changed(new_generation=known.status == "Scheduled")

    def _may_run_now(self, known: Expected) -> bool:
        return known.status == "Scheduled" and not known.paused

    def _run_now(self, job_id: UUID, known: Expected, schedule: str) -> None:
        self.runtime.service.run_now(job_id)
        known.due = True
        known.changed(new_generation=True)

    def _may_retry(self, known: Expected) -> bool:
        return not known.active and not any(other.active and other.name == known.name for other in self.jobs.values())

    def _retry(self, job_id: UUID, known: Expected, schedule: str) -> None:
        self.runtime.service.retry(job_id)
        known.due = not (known.recurring and known.status == "Cancelled")
        if known.status == "Failed" and not known.recurring:
            known.runs -= 1
        known.status, known.attempt, known.paused, known.cancel_requested = "Scheduled", 0, False, False
        known.changed(new_generation=True)

    def _may_update(self, known: Expected) -> bool:
        return known.active and (known.status == "Scheduled" or known.recurring)

    def _update(self, job_id: UUID, known: Expected, schedule: str) -> None:
        self.runtime.service.update(job_id, update(schedule=schedule))
        running, same = known.status == "Running", known.schedule == schedule
        known.changed(new_generation=running or not same)
        known.schedule, (known.recurring, due) = schedule, SCHEDULES[schedule]
        if not running and not same:
            known.due, known.attempt = due, 0

    # What happens.

    @rule(
        name=st.sampled_from("ab"),
        schedule=st.sampled_from(list(SCHEDULES)),
        on_conflict=st.sampled_from(["reject", "return_existing", "replace"]),
    )
    def enqueue(self, name: str, schedule: str, on_conflict: str) -> None:
        command = job(name, "Steered", schedule=schedule, on_conflict=on_conflict, max_retries=MAX_RETRIES)
        holder = next((job_id for job_id, known in self.jobs.items() if known.active and known.name == name), None)
        if holder is not None and on_conflict == "reject":
            with pytest.raises(JobNameTaken):
                self.runtime.service.enqueue(command)
            return
        enqueued = self.runtime.service.enqueue(command)
        if holder is not None and on_conflict == "return_existing":
            assert (enqueued.id, enqueued.created) == (holder, False)
            return
        if holder is not None:
            self.jobs[holder].status, self.jobs[holder].due = "Cancelled", False
            self.jobs[holder].changed(new_generation=True)
        recurring, due = SCHEDULES[schedule]
        self.jobs[enqueued.id] = Expected(name, schedule, recurring, due)

    @precondition(lambda self: self.jobs)
    @rule(
        data=st.data(),
        command=st.sampled_from(["cancel", "pause", "resume", "run_now", "retry", "update"]),
        schedule=st.sampled_from(list(SCHEDULES)),
    )
    def command(self, data: st.DataObject, command: str, schedule: str) -> None:
        self.obey(data.draw(st.sampled_from(list(self.jobs))), command, schedule)

    @precondition(lambda self: self.jobs)
    @rule(
        data=st.data(),
        ending=st.sampled_from(list(ENDINGS)),
        meanwhile=st.lists(
            st.tuples(
                st.sampled_from(["cancel", "pause", "resume", "run_now", "retry", "update"]),
                st.sampled_from(list(SCHEDULES)),
            ),
            max_size=3,
        ),
    )
    def ring(self, data: st.DataObject, ending: str, meanwhile: list[tuple[str, str]]) -> None:
        """Ring the current alarm of a job; its handler gives commands to its own job, and ends as it is told."""
        job_id = data.draw(st.sampled_from(list(self.jobs)))
        known = self.jobs[job_id]
        name = AlarmName(job_id, known.generation)
        if not (known.status == "Scheduled" and known.due and not known.paused):
            why = (
                AlarmOutcome.STALE
                if not known.active
                else AlarmOutcome.PAUSED
                if known.paused
                else AlarmOutcome.NOT_DUE
            )
            assert handle_alarm(self.runtime, name) is why
            return

        faults: list[BaseException] = []

        def within() -> None:
            known.status, known.attempt, known.claimed_as = "Running", known.attempt + 1, known.schedule
            known.changed(new_generation=False)
            try:
                self.check(job_id)
                for command, schedule in meanwhile:
                    self.obey(job_id, command, schedule)
                    self.check(job_id)
            except BaseException as error:
                faults.append(error)  # what a handler raises is the pipeline's to deal with
                raise
            if ENDINGS[ending] is not None:
                raise ENDINGS[ending]

        self.script.append(within)
        until(
            lambda: handle_alarm(self.runtime, name) is AlarmOutcome.RAN
        )  # our clock may be a moment ahead of the database's
        assert not self.script, "the handler was not called"
        if faults:
            raise faults[0]
        self.ended(known, ending)

    def ended(self, known: Expected, ending: str) -> None:
        """Say what becomes of a job whose attempt has ended."""
        rescheduled = known.schedule if known.schedule != known.claimed_as else None
        known.changed(new_generation=False)
        if ending == "cancel":
            known.status, known.due, known.attempt, known.runs = "Cancelled", False, 0, known.runs + 1
            return
        # A retry that would come no sooner than the new schedule's first run gives way to it.
        retried = ending in ("badly", "retry") and known.attempt <= MAX_RETRIES and rescheduled != "@once"
        if ending == "snooze" or retried:
            goes_on = True
            known.attempt -= ending == "snooze"
            known.due = ending != "badly"  # which waits for the policy's time
        else:
            known.runs += 1
            known.failures = 0 if ending == "well" else known.failures + 1
            goes_on = known.recurring or rescheduled is not None
            known.due = rescheduled is not None and SCHEDULES[rescheduled][1]
            known.attempt = 0
        known.generation += goes_on
        known.status = "Scheduled" if goes_on else "Completed" if ending == "well" else "Failed"
        if goes_on and known.cancel_requested:
            known.status = "Cancelled"
        known.due &= known.active

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), ago=st.integers(1, 3))
    def ring_a_past_alarm(self, data: st.DataObject, ago: int) -> None:
        job_id = data.draw(st.sampled_from(list(self.jobs)))
        name = AlarmName(job_id, self.jobs[job_id].generation - ago)
        assert handle_alarm(self.runtime, name) in {AlarmOutcome.STALE, AlarmOutcome.UNKNOWN}

    # What must hold.

    @invariant()
    def every_job_is_as_the_model_says(self) -> None:
        for job_id in self.jobs:
            self.check(job_id)

    @invariant()
    def a_name_has_one_active_job(self) -> None:
        active = [known.name for known in self.jobs.values() if known.active]
        assert len(active) == len(set(active))

    def check(self, job_id: UUID) -> None:
        known, found = self.jobs[job_id], self.runtime.service.get(job_id)
        assert found.status == known.status
        paused = known.paused and known.active
        assert (found.paused, found.recurring, found.generation) == (paused, known.recurring, known.generation)
        assert (found.run_count, found.consecutive_failures) == (known.runs, known.failures)
        assert (found.cancel_requested_at is not None) == known.cancel_requested
        assert (found.handled_at is None) == (found.next_run_at is not None) == known.active
        assert (found.lease_expires_at is not None) == (known.status == "Running")
        assert found.revision == known.revision
        if known.active:
            assert found.attempt == known.attempt
        if known.status == "Scheduled":
            assert (found.next_run_at <= self.runtime.clock.now() + timedelta(seconds=1)) == known.due


def test_whatever_is_commanded_and_however_attempts_end_every_job_is_where_the_rules_lead(
    registry, make_runtime, database
):
    script: list[Callable[[], None]] = []

    def steered(args: Anything) -> None:
        script.pop()()

    registry.add_handler("Steered", steered, retry=RetryPolicy(base=DAY, cap=DAY, jitter=False))
    runtime = make_runtime(registry)

    class Machine(Lifecycle):
        def __init__(self) -> None:
            super().__init__()
            self.runtime, self.script = runtime, script
            script.clear()
            sql(database, "truncate jobs.jobs, jobs.job_attempts, jobs.job_audit")

    run_state_machine_as_test(
        Machine,
        settings=settings(
            database=None, print_blob=True, deadline=None, max_examples=examples(15), stateful_step_count=20,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


def _pretend_running(database: Database, job_id: UUID) -> None:
    sql(
        database,
        "update jobs.jobs set status = 'Running', attempt = 1, lease_token = gen_random_uuid(), "
        "lease_expires_at = now() + interval '1 hour' where id = :id",
        id=job_id,
    )


def _pretend_ended(database: Database, job_id: UUID, status: str) -> None:
    sql(
        database,
        "update jobs.jobs set status = :status, attempt = 4, run_count = 1, handled_at = now(), next_run_at = null, "
        "cancel_requested_at = now() where id = :id",
        id=job_id,
        status=status,
    )
