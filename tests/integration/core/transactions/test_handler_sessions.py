"""Whatever a handler does to its session and its connection, the next one to have the connection finds none of it."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa

from jobs.adapters.postgres.connection import handler_connections
from jobs.app.runtime import Runtime
from jobs.core.errors import JobsError, UnitOfWorkError
from jobs.core.handlers.context import JobContext
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.status import JobStatus
from jobs.core.transactions.unit_of_work import UnitOfWork
from tests.support import Anything, handle_alarm, job, note

pytestmark = pytest.mark.direct  # to PgBouncer, too, but to one of its own

# What one session may have that another must not find, each in one line of text.
STATE = """
select unnest(array[
  current_user, session_user, current_setting('role'), current_setting('search_path'),
  current_setting('statement_timeout'), current_setting('lock_timeout'), current_setting('work_mem'),
  current_setting('default_transaction_read_only'), current_setting('default_transaction_isolation'),
  current_setting('datestyle'), current_setting('timezone'), current_setting('application_name'),
  current_setting('client_encoding'), coalesce(current_setting('app.tenant', true), ''),
  (select count(*)::text from pg_cursors where is_holdable),
  (select count(*)::text from pg_prepared_statements where from_sql),
  (select count(*)::text from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()),
  (select count(*)::text from pg_listening_channels()),
  (select count(*)::text from pg_class where relpersistence = 't' and relnamespace = pg_my_temp_schema())
])
"""

ATTACKS = [
    "set role nobody_much",
    "set session authorization nobody_much",
    "set search_path = pg_temp, nowhere",
    "set statement_timeout = '60ms'",
    "set lock_timeout = '1ms'",
    "set default_transaction_read_only = on",
    "set default_transaction_isolation = 'serializable'",
    "set session characteristics as transaction read only",
    "set datestyle = 'German'",
    "set timezone = 'Asia/Kathmandu'",
    "set client_encoding = 'latin1'",
    "set application_name = 'mine'",
    "set app.tenant = 'a'",
    "select set_config('work_mem', '64kB', false)",
    "create temp table jobs (id integer)",
    "declare kept cursor with hold for select 1",
    "prepare mine as select 1",
    "select pg_advisory_lock(42)",
    "listen channel",
]
ENDS = ["commit", "rollback", "error", "undecided"]


@pytest.fixture(params=[pytest.param(False, id="direct"), pytest.param(True, id="through PgBouncer")])
def runtime(request: pytest.FixtureRequest, make_runtime) -> Runtime:
    """One with a single connection for handlers, so that the next one has the one that was tampered with."""
    if not request.param:
        return make_runtime(database_pool_size=4)
    folder = request.getfixturevalue("one_server_connection")
    name = sa.make_url(request.getfixturevalue("database_url")).database
    address = f"postgresql://postgres@/{name}?host={folder}"
    return make_runtime(database_pool_size=4, database_url=address, database_pgbouncer=True)


@pytest.fixture(scope="module")
def one_server_connection(server) -> Iterator[Any]:
    """PgBouncer with one connection to the server, which all of its clients share."""
    from tests.pgbouncer import MISSING, find_pgbouncer, pgbouncer

    if find_pgbouncer() is None:
        pytest.skip(MISSING)
    with pgbouncer(server.socket_folder, pool_size=1) as folder:
        yield folder


@pytest.fixture(autouse=True)
def role(sql) -> Iterator[None]:
    sql("create role nobody_much")
    yield
    sql("drop role nobody_much")


def state(runtime: Runtime) -> list[str]:
    with runtime.units.begin(requires_new=True) as uow:
        found = [value for (value,) in uow.connection.exec_driver_sql(STATE)]
        uow.rollback()
    return found


def backend(runtime: Runtime) -> int:
    with runtime.units.begin() as uow:
        pid: int = uow.connection.exec_driver_sql("select pg_backend_pid()").scalar()
        uow.rollback()
    return pid


def tamper(runtime: Runtime, work: Callable[[UnitOfWork], Any], end: str) -> None:
    """Do ``work`` in a unit of work that ends in one of four ways."""
    with suppress(JobsError, ZeroDivisionError), runtime.units.begin() as uow:
        work(uow)
        if end == "error":
            _ = 1 / 0
        if end != "undecided":
            getattr(uow, end)()


def test_nothing_of_a_session_reaches_the_next_user_of_its_connection(runtime: Runtime):
    before, pid, leaks = state(runtime), backend(runtime), []
    for statement in ATTACKS:
        for end in ENDS:
            tamper(runtime, lambda uow, statement=statement: uow.connection.exec_driver_sql(statement), end)
            leaks += [(statement, end, found) for found in [state(runtime)] if found != before]
    assert leaks == []
    assert backend(runtime) == pid, "the connection is reset, which costs no round trip, and not made anew"


def test_the_api_goes_on_as_ever_while_and_after_a_handler_does_that(runtime: Runtime):
    for number, statement in enumerate(ATTACKS):
        with runtime.units.begin() as uow:
            uow.connection.exec_driver_sql(statement)
            if not runtime.service._store._database.options.pgbouncer:  # there, another connection would be waited for
                assert runtime.service.enqueue(job(f"during-{number}", schedule="PT1H")).id
            uow.commit()
        enqueued = runtime.service.enqueue(job(f"after-{number}"))
        runtime.housekeeping.ping()
        assert handle_alarm(runtime, AlarmName(enqueued.id, 1)) is not None
        assert runtime.service.get(enqueued.id).status is JobStatus.COMPLETED, statement


def test_a_handlers_session_leaves_later_jobs_alone(make_runtime, registry, notes, sql):
    """Twenty handlers tamper, each otherwise; twenty in between find a session as new, and complete."""

    def tampering(args: Anything, ctx: JobContext) -> None:
        with ctx.unit_of_work() as uow:
            uow.connection.exec_driver_sql(ATTACKS[int(ctx.job_name) % len(ATTACKS)])
            uow.commit()

    def honest(args: Anything, ctx: JobContext) -> None:
        with ctx.unit_of_work() as uow:
            note(uow, ctx.job_name)
            uow.complete()

    registry.add_handler("Tamper", tampering)
    registry.add_handler("Work", honest)
    runtime = make_runtime(database_pool_size=4, concurrency=2)
    for number in range(20):
        runtime.service.enqueue(job(f"{number}", "Tamper", max_retries=0))
        runtime.service.enqueue(job(f"honest-{number}", "Work", max_retries=0))
    runtime.worker.drain(60)
    assert sorted(notes()) == sorted(f"honest-{number}" for number in range(20))
    assert sql("select status, count(*) from jobs.jobs group by 1") == [("Completed", 40)]


# --- the driver's connection and SQLAlchemy's


def driver_of(uow: UnitOfWork) -> Any:
    return uow.connection.connection.driver_connection


def autocommit(uow: UnitOfWork) -> None:
    driver_of(uow).autocommit = True


def adapters(uow: UnitOfWork) -> None:
    driver_of(uow).register_in_adapter(25, lambda text: f"spoilt {text}")
    driver_of(uow).register_out_adapter(str, lambda text: "spoilt")
    driver_of(uow).message_types.pop(b"N")


def raw_statements(uow: UnitOfWork) -> None:
    driver_of(uow).run("set statement_timeout = '60ms'")


def raw_autocommitted(uow: UnitOfWork) -> None:
    autocommit(uow)
    driver_of(uow).run("select pg_advisory_lock(1)")
    with suppress(Exception):
        driver_of(uow).run("select pg_advisory_lock(2), 1 / 0")


def session_closed(uow: UnitOfWork) -> None:
    uow.session.execute(sa.text("set search_path = nowhere"))
    uow.session.close()


def invalidated(uow: UnitOfWork) -> None:
    uow.connection.exec_driver_sql("set role nobody_much")
    uow.connection.invalidate()


def detached(uow: UnitOfWork) -> None:
    uow.connection.exec_driver_sql("set role nobody_much")
    uow.connection.detach()


def fetching(uow: UnitOfWork) -> None:
    rows = uow.connection.execution_options(stream_results=True).exec_driver_sql("select generate_series(1, 9999)")
    next(iter(rows))


def info(uow: UnitOfWork) -> None:
    uow.connection.info["tenant"] = "a"
    uow.connection.exec_driver_sql("select 1")


@pytest.mark.parametrize(
    "work",
    [autocommit, adapters, raw_statements, raw_autocommitted, session_closed, invalidated, detached, fetching, info],
)
def test_nothing_of_a_connection_object_reaches_the_next_user_of_the_pool(runtime: Runtime, work):
    before = state(runtime)
    for end in ENDS:
        tamper(runtime, work, end)
        gc.collect()
        assert state(runtime) == before, end
        with runtime.units.begin() as uow:
            assert not driver_of(uow).autocommit
            assert uow.connection.execute(sa.text("select cast(:v as text)"), {"v": "a"}).scalar() == "a"
            assert not [key for key in uow.connection.info if not key.startswith("jobs_")]
            uow.rollback()


def test_what_a_handler_keeps_beyond_its_unit_of_work_is_dead(runtime: Runtime, notes):
    with runtime.units.begin() as uow:
        connection, session, driver = uow.connection, uow.session, driver_of(uow)
        pooled, cursor = connection.connection, connection.connection.cursor()
        note(uow, "a")
        uow.commit()
    with runtime.units.begin() as other:
        note(other, "b")
        for use in (
            lambda: connection.exec_driver_sql("set role nobody_much"),
            lambda: session.execute(sa.text("set role nobody_much")),
            lambda: pooled.cursor().execute("set role nobody_much"),
            lambda: cursor.execute("set role nobody_much"),
            lambda: driver.run("set role nobody_much"),
            driver.rollback,
        ):
            with suppress(Exception):
                use()
        assert other.connection.exec_driver_sql("select current_setting('role')").scalar() == "none"
        other.commit()
    assert notes() == ["a", "b"]


# --- the transaction


def test_a_statement_that_would_end_the_transaction_is_refused_before_it_does(runtime: Runtime, notes):
    endings = (
        "commit",
        "COMMIT AND CHAIN",
        " end;",
        "rollback",
        "abort",
        "-- why\nROLLBACK",
        "/**/ prepare transaction '1'",
    )
    with runtime.units.begin() as uow:
        note(uow, "a")
        for statement in endings:
            with pytest.raises(UnitOfWorkError, match="would end the unit of work's transaction behind its back"):
                uow.connection.exec_driver_sql(statement)
        assert notes() == []
        note(uow, "b")
        uow.commit()
    assert notes() == ["a", "b"]


@pytest.mark.parametrize("statement", ["select 1; commit", "select 1; rollback", "select 1; commit; begin"])
def test_a_transaction_that_was_ended_within_a_statement_is_told_at_once(runtime: Runtime, notes, statement):
    def work() -> None:
        with runtime.units.begin() as uow:
            note(uow, "a")
            uow.connection.exec_driver_sql(statement)

    with pytest.raises(UnitOfWorkError, match="transaction was ended within a statement"):
        work()
    with runtime.units.begin() as uow:
        note(uow, "b")
        uow.commit()
    assert "b" in notes()


@pytest.mark.parametrize("text", ["commit", "rollback"])
def test_a_transaction_that_was_ended_on_the_drivers_connection_is_told_at_the_end(runtime: Runtime, notes, text):
    def work() -> None:
        with runtime.units.begin() as uow:
            note(uow, "a")
            driver_of(uow).execute_simple(text)
            uow.commit()

    with pytest.raises(UnitOfWorkError, match="transaction was ended within a statement"):
        work()


def test_autocommit_on_the_drivers_connection_is_told_with_the_first_statement(runtime: Runtime, notes):
    def work() -> None:
        with runtime.units.begin() as uow:
            autocommit(uow)
            uow.connection.exec_driver_sql("insert into effects (note) values ('a')")

    with pytest.raises(UnitOfWorkError, match="autocommit was set on the driver's connection"):
        work()


def test_savepoints_are_the_handlers_own(runtime: Runtime, notes):
    with runtime.units.begin() as uow:
        note(uow, "a")
        uow.connection.exec_driver_sql("savepoint mine")
        note(uow, "b")
        uow.connection.exec_driver_sql("rollback to mine")
        uow.connection.exec_driver_sql("ROLLBACK WORK TO SAVEPOINT mine")
        with pytest.raises(sa.exc.IntegrityError), uow.connection.begin_nested():
            note(uow, "a")
        note(uow, "c")
        uow.commit()
    assert notes() == ["a", "c"]


def test_what_is_about_the_session_is_said_once_and_without_its_values(runtime: Runtime, caplog, monkeypatch):
    monkeypatch.setattr(handler_connections, "_warned", set())
    caplog.set_level(logging.WARNING, "jobs.store")
    for _ in range(2):
        for statement in ["set app.tenant = 'hunter2'", "select pg_advisory_lock(1)", "set local work_mem = '64kB'"]:
            tamper(runtime, lambda uow, statement=statement: uow.connection.exec_driver_sql(statement), "commit")
    said = [record.getMessage() for record in caplog.records if record.name == "jobs.store"]
    assert [text.partition(",")[0] for text in said] == [
        "a unit of work ran SET APP",
        "a unit of work ran PG_ADVISORY_LOCK",
    ]
    assert all("use SET LOCAL, pg_advisory_xact_lock or ON COMMIT DROP" in text for text in said)


def test_a_session_that_cannot_be_reset_costs_its_connection_and_not_what_was_committed(runtime, notes, monkeypatch):
    pid = backend(runtime)
    monkeypatch.setattr(handler_connections, "_RESET", ("select 1 / 0", "select 1"))
    monkeypatch.setattr(handler_connections, "_RESET_IN_ONE", "select 1 / 0")
    with runtime.units.begin() as uow:
        note(uow, "a")
        uow.commit()
    monkeypatch.undo()
    assert notes() == ["a"]
    if not runtime.service._store._database.options.pgbouncer:
        assert backend(runtime) != pid


def test_a_commit_of_a_failed_transaction_leaves_the_connection_in_step(runtime: Runtime):
    """Somebody may send it on the connection itself; PostgreSQL answers with ROLLBACK."""
    with suppress(JobsError, sa.exc.SQLAlchemyError), runtime.units.begin() as uow:
        with suppress(sa.exc.SQLAlchemyError):
            uow.connection.exec_driver_sql("select 1 / 0")
        uow.connection.commit()
    for number in range(5):
        with runtime.units.begin() as uow:
            assert uow.connection.exec_driver_sql(f"select {number}").scalar() == number
            uow.rollback()


def test_a_commit_that_fails_leaves_a_session_as_new(runtime: Runtime, sql, notes):
    sql("alter table effects add unique (note) deferrable initially deferred")
    sql("alter table effects drop constraint effects_note_key")
    before = state(runtime)

    def work() -> None:
        with runtime.units.begin() as uow:
            uow.connection.exec_driver_sql("set statement_timeout = '10s'")
            uow.connection.exec_driver_sql("prepare mine as select 1")
            note(uow, "a")
            note(uow, "a")
            uow.commit()

    with pytest.raises(sa.exc.DatabaseError, match="duplicate key"):
        work()
    assert state(runtime) == before


def test_a_unit_of_work_that_runs_nothing_sends_nothing(runtime: Runtime, monkeypatch):
    backend(runtime)
    sent: list[str] = []
    send = handler_connections.HandlerConnection.send_QUERY
    monkeypatch.setattr(
        handler_connections.HandlerConnection, "send_QUERY", lambda self, text: (sent.append(text), send(self, text))
    )
    with runtime.units.begin() as uow:
        uow.commit()
    with runtime.units.begin():
        pass
    assert sent == []
    with runtime.units.begin() as uow:
        uow.connection.exec_driver_sql("select 1")
        uow.commit()
    assert [text.split()[0].strip(";") for text in sent[:3]] == ["begin", "select", "commit"]


def test_a_session_is_reset_in_the_round_trip_of_the_commit(runtime: Runtime, monkeypatch):
    flushed: list[int] = []
    flush = handler_connections._flush
    with runtime.units.begin() as uow:
        uow.connection.exec_driver_sql("set work_mem = '64kB'")
        monkeypatch.setattr(handler_connections, "_flush", lambda channel: (flushed.append(1), flush(channel)))
        uow.commit()
    assert flushed == [1]
