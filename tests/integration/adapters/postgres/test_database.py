"""Statements on a real server that goes wrong: what each fault means, and that no connection is ever out of step."""

from __future__ import annotations

import gc
import json
import logging
import shutil
import socket
import ssl
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pg8000.core import EXECUTE_MSG, SYNC_MSG
from pg8000.exceptions import DatabaseError as DriverError

from jobs.adapters.postgres.connection import engine as engine_module
from jobs.adapters.postgres.connection.address import DatabaseOptions
from jobs.adapters.postgres.connection.clock import DatabaseClock
from jobs.adapters.postgres.connection.database import Database
from jobs.adapters.postgres.connection.driver.encoding import Statement
from jobs.adapters.postgres.connection.driver.faults import OutcomeUnknown, UniqueViolation
from jobs.adapters.postgres.connection.engine import make_engine
from jobs.adapters.postgres.statements.jobs import quoted
from jobs.adapters.postgres.stores.jobs import PostgresJobStore
from jobs.adapters.postgres.stores.runs import PostgresRunStore
from jobs.adapters.postgres.stores.upkeep.housekeeping import PostgresHousekeeping
from jobs.core.errors import ConfigurationError, InvalidInput, NotMigrated, StoreUnavailable
from jobs.core.lifecycle.ids import AlarmName, new_id
from jobs.core.lifecycle.job import ClaimedRun, RecordedOutcome, RunResult
from jobs.core.lifecycle.retry import RetryPolicy
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.core.lifecycle.transitions import next_state
from jobs.core.ports.jobs import Change, NewJob
from tests.support import ROOT, new_job, until

pytestmark = pytest.mark.direct

FUZZ = settings(
    database=None, print_blob=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
Open = Callable[..., Database]


@pytest.fixture
def open_database(database_url: str) -> Iterator[Open]:
    """Open the test's database with options of one's own; each is closed after the test."""
    opened: list[Database] = []

    def make(url: str = database_url, **options: Any) -> Database:
        opened.append(Database(DatabaseOptions(url, **options)))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def statement(text: str) -> Statement:
    return Statement.of(sa.text(text))


def run(database: Database, text: str, **values: Any) -> list[tuple[Any, ...]]:
    return database.run(statement(text), values)


def in_step(database: Database) -> bool:
    """Whether every answer is the answer to its own question."""
    return all(run(database, "select cast(:n as integer)", n=n) == [(n,)] for n in (17, 4, 42))


def backend(database: Database) -> int:
    return run(database, "select pg_backend_pid()")[0][0]


def all_backends(database: Database, number: int) -> set[int]:
    """The backends of ``number`` connections that are in use at the same time."""
    barrier = threading.Barrier(number)

    def hold(_: int) -> int:
        with database.engine.connect() as connection:
            pid: int = connection.scalar(sa.text("select pg_backend_pid()"))
            barrier.wait(60)
            return pid

    with ThreadPoolExecutor(number) as pool:
        return set(pool.map(hold, range(number)))


@contextmanager
def held(database: Database, text: str) -> Iterator[sa.Connection]:
    """Keep a transaction open that has run ``text``."""
    with database.engine.connect() as connection:
        connection.execute(sa.text(text))
        yield connection


@pytest.fixture
def table(database: Database) -> Database:
    run(database, "create table numbers (id integer primary key, n integer not null default 0)")
    run(database, "insert into numbers select generate_series(1, 10)")
    return database


BUMP = statement("update numbers set n = n + 1 where id = cast(:id as integer) returning n")


# --- what the server's answers mean


def test_a_value_that_a_unique_index_has_already_is_told_as_such_and_the_connection_kept(table, open_database):
    one = open_database(pool_size=1)
    before = backend(one)
    with pytest.raises(UniqueViolation, match=r"duplicate key .* \(SQLSTATE 23505\)"):
        run(one, "insert into numbers values (1)")
    assert backend(one) == before
    assert in_step(one)


def test_statements_that_deadlock_are_tried_again_until_both_are_done(table, database_url, open_database, caplog):
    caplog.set_level(logging.INFO)
    name = database_url.split("/")[3].split("?")[0]
    run(table, f"alter database {name} set deadlock_timeout = '10ms'")
    run(table, "create sequence begun")
    run(table, "create sequence met")
    run(  # the first two calls wait for each other, so that they do meet; the one that is tried again does not
        table,
        "create function bump_both(one integer, other integer) returns void language plpgsql as $$ "
        "declare number bigint := nextval('begun'); begin "
        "update numbers set n = n + 1 where id = one; perform nextval('met'); "
        "while number <= 2 and (select last_value from met) < 2 loop perform pg_sleep(0.001); end loop; "
        "update numbers set n = n + 1 where id = other; end $$",
    )
    one = open_database()
    both = statement("select bump_both(cast(:one as integer), cast(:other as integer))")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda pair: one.run(both, dict(zip(("one", "other"), pair, strict=True))), [(1, 2), (2, 1)]))
    assert run(table, "select n from numbers where id < 3") == [(2,), (2,)]
    assert "SQLSTATE 40P01" in caplog.text


def test_a_serialization_failure_is_tried_again(table, database_url, open_database, caplog):
    caplog.set_level(logging.INFO)
    name = database_url.split("/")[3].split("?")[0]
    run(table, f"alter database {name} set default_transaction_isolation = 'serializable'")
    strict = open_database()
    with ThreadPoolExecutor(1) as pool, held(strict, "update numbers set n = 10 where id = 1") as connection:
        waiting = pool.submit(strict.run, BUMP, {"id": 1})
        until(lambda: blocked(table))
        connection.commit()
        assert waiting.result(60) == [(11,)]
    assert "SQLSTATE 40001" in caplog.text


def test_a_lock_that_is_not_given_in_time_is_waited_for_a_few_times_and_then_given_up(table, open_database):
    impatient = open_database(lock_timeout_seconds=0.02)
    with held(table, "update numbers set n = 10 where id = 1"), pytest.raises(StoreUnavailable, match="SQLSTATE 55P03"):
        impatient.run(BUMP, {"id": 1})
    assert impatient.run(BUMP, {"id": 1}) == [(1,)]


def test_a_lock_that_is_given_at_the_second_try_is_enough(table, open_database, caplog):
    caplog.set_level(logging.INFO)
    impatient = open_database(lock_timeout_seconds=2)
    with ThreadPoolExecutor(1) as pool, held(table, "update numbers set n = 10 where id = 1") as connection:
        waiting = pool.submit(impatient.run, BUMP, {"id": 1})
        until(lambda: "SQLSTATE 55P03" in caplog.text)
        connection.rollback()
        assert waiting.result(60) == [(1,)]


def test_a_statement_that_takes_too_long_is_stopped_and_the_connection_kept(open_database):
    impatient = open_database(pool_size=1, statement_timeout_seconds=1)
    before = backend(impatient)
    with pytest.raises(StoreUnavailable, match="SQLSTATE 57014") as caught:
        run(impatient, "select pg_sleep(120)")
    assert not isinstance(caught.value, OutcomeUnknown), "the server says that nothing was written"
    assert backend(impatient) == before
    assert in_step(impatient)


def test_a_connection_that_the_server_ended_while_it_was_idle_costs_one_statement_at_most(database, open_database):
    one = open_database(pool_size=1)
    run(database, "select pg_terminate_backend(cast(:pid as integer), 60000)", pid=backend(one))
    with pytest.raises(StoreUnavailable):
        in_step(one)
    assert in_step(one)


def test_a_connection_that_the_server_ended_during_a_statement_is_thrown_away(database, open_database):
    one = open_database(pool_size=1)
    before = backend(one)
    with ThreadPoolExecutor(1) as pool:
        sleeping = pool.submit(run, one, "select pg_sleep(120)")
        until(
            lambda: run(database, "select 1 from pg_stat_activity where query like '%pg_sleep%' and pid = :p", p=before)
        )
        run(database, "select pg_terminate_backend(cast(:pid as integer), 60000)", pid=before)
        with pytest.raises(StoreUnavailable):
            sleeping.result(60)
    assert in_step(one)
    assert backend(one) != before


def test_a_server_that_became_read_only_is_left_for_a_new_connection(table, database_url, open_database):
    """After a failover the old primary's connections live on; only a new one leads to the new primary."""
    name = database_url.split("/")[3].split("?")[0]
    run(table, f"alter database {name} set default_transaction_read_only = on")
    one = open_database(pool_size=1)
    with pytest.raises(StoreUnavailable, match="SQLSTATE 25006"):
        one.run(BUMP, {"id": 1})
    with table.engine.begin() as connection:
        connection.execute(sa.text("set transaction read write"))
        connection.execute(sa.text(f"alter database {name} reset default_transaction_read_only"))
    assert one.run(BUMP, {"id": 1}) == [(1,)]


def test_a_right_that_is_missing_is_the_databases_matter_and_not_a_fault_of_the_statement(
    table, database_url, open_database
):
    """Rights may be granted meanwhile; it is no reason to fail a job."""
    role = f"nobody_{new_id().hex[-8:]}"
    run(table, f"create role {role} login")
    try:
        with pytest.raises(StoreUnavailable, match="SQLSTATE 42501"):
            run(open_database(database_url.replace("postgres:@", f"{role}@")), "select * from numbers")
    finally:
        run(table, f"drop role {role}")


def test_too_many_connections_are_told_as_the_database_being_away(table, database_url, open_database):
    role = f"small_{new_id().hex[-8:]}"
    run(table, f"create role {role} login connection limit 1")
    try:
        one, other = (open_database(database_url.replace("postgres:@", f"{role}@"), pool_size=1) for _ in "12")
        assert in_step(one)
        with pytest.raises(StoreUnavailable, match="SQLSTATE 53300"):
            in_step(other)
        one.close()
        until(lambda: not run(table, "select 1 from pg_stat_activity where usename = :role", role=role))
        assert in_step(other)
        other.close()
        until(lambda: not run(table, "select 1 from pg_stat_activity where usename = :role", role=role))
    finally:
        run(table, f"drop role {role}")
    gc.collect()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("select * from no_such_table", "42P01"),
        ("select no_such_column from numbers", "42703"),
        ("select * from no_such_schema.numbers", "42P01"),
    ],
)
def test_tables_that_are_missing_are_told_with_the_mend_and_cost_the_connection(table, open_database, text, code):
    one = open_database(pool_size=1)
    for _ in range(2):
        before = backend(one)
        with pytest.raises(NotMigrated, match=rf"{code}.*python -m jobs db upgrade` in the folder of the app"):
            run(one, text)
        assert in_step(one)
        assert backend(one) != before, "a search path may be the cause, so the connection is not used again"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("select 1 / 0", "22012"),
        ("select cast(:v as integer)", "22P02"),
        ("insert into numbers values (99, null)", "23502"),
    ],
)
def test_our_own_mistakes_are_raised_as_they_are_and_leave_the_connection_usable(table, open_database, text, code):
    one = open_database(pool_size=1)
    before = backend(one)
    for _ in range(2):
        with pytest.raises(DriverError) as caught:
            run(one, text, v="x")
        assert caught.value.args[0]["C"] == code
    assert in_step(one)
    assert backend(one) == before


@pytest.mark.parametrize(
    "text", ["cast(:v as json)", "cast(:v as jsonb)", "* from json_to_recordset(cast(:v as json)) as r(a int)"]
)
def test_an_error_does_not_show_the_payload_to_whoever_reads_the_log(database, text):
    with pytest.raises(DriverError) as caught:
        run(database, f"select {text}", v='[{"a": 1, "b": hunter2 }]')
    assert "hunter2" not in str(caught.value)


def test_a_unique_violation_does_not_show_the_value(table):
    run(table, "create table secrets (value text unique)")
    run(table, "insert into secrets values (:v)", v="hunter2")
    with pytest.raises(UniqueViolation) as caught:
        run(table, "insert into secrets values (:v)", v="hunter2")
    assert "hunter2" not in repr(caught.value) + repr(caught.value.__cause__)


# --- a session that somebody else has left in another state


SPOILT = [
    ("set role {role}", "42501"),
    ("set session authorization {role}", "42501"),
    ("set default_transaction_read_only = on", "25006"),
    ("set search_path = nowhere", "42P01"),
]


@pytest.mark.parametrize(("spoil", "code"), SPOILT)
def test_a_statement_of_ours_that_fails_as_none_should_costs_its_connection_and_the_next_one_works(
    table, database, open_database, spoil, code
):
    """However the session came to be so. It made 35 of 40 requests fail for half an hour."""
    role = f"nobody_{new_id().hex[-8:]}"
    run(table, f"create role {role}")
    try:
        one = open_database(pool_size=1)
        run(one, spoil.format(role=role))
        with pytest.raises((StoreUnavailable, NotMigrated), match=code):
            one.run(BUMP, {"id": 1})
        assert one.run(BUMP, {"id": 1}) == [(1,)]
    finally:
        run(table, f"drop role {role}")


@pytest.mark.parametrize(("spoil", "code"), SPOILT[:3])
def test_a_request_under_a_key_that_fails_so_costs_its_connection_too(table, database, open_database, spoil, code):
    role = f"nobody_{new_id().hex[-8:]}"
    run(table, f"create role {role}")
    try:
        one = open_database(pool_size=1)
        store = PostgresJobStore(one, "jobs")
        run(one, spoil.format(role=role))
        with pytest.raises(StoreUnavailable, match=code), store.once("key", "body"):
            pass
        with store.once("key", "body") as entry:
            entry.keep("answer")
    finally:
        run(table, f"drop role {role}")


# --- the same on a caller's own connection


@pytest.fixture
def app_connection(table: Database) -> Iterator[sa.Connection]:
    engine = sa.create_engine(table.engine.url)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_faults_within_a_callers_transaction_mean_the_same_and_are_not_tried_again(table, app_connection):
    with pytest.raises(UniqueViolation):
        table.run(statement("insert into numbers values (1)"), {}, app_connection)
    with pytest.raises(StoreUnavailable, match=r"roll it back, or .* savepoint .*SQLSTATE 25P02"):
        table.run(statement("select 1"), {}, app_connection)
    app_connection.rollback()
    app_connection.execute(sa.text("set local statement_timeout = 20"))
    with pytest.raises(StoreUnavailable, match="SQLSTATE 57014"):
        table.run(statement("select pg_sleep(5)"), {}, app_connection)
    app_connection.rollback()
    app_connection.execute(sa.text("set local lock_timeout = 20"))
    with held(table, "update numbers set n = 10 where id = 1"), pytest.raises(StoreUnavailable, match="SQLSTATE 55P03"):
        table.run(BUMP, {"id": 1}, app_connection)
    app_connection.rollback()
    assert table.run(BUMP, {"id": 1}, app_connection) == [(1,)]


def test_a_connection_of_the_callers_that_breaks_leaves_the_outcome_unknown(table, database):
    with database.engine.connect() as connection:
        pid = connection.scalar(sa.text("select pg_backend_pid()"))
        run(table, "select pg_terminate_backend(cast(:pid as integer), 60000)", pid=pid)
        with pytest.raises(OutcomeUnknown):
            table.run(BUMP, {"id": 1}, connection)
    assert in_step(database)


# --- a connection that is cut


CUT, UNANSWERED, SWALLOWED, LATE = (
    "is cut before it arrives",
    "is answered, but the answer is cut",
    "is swallowed",
    "is cut, but arrives late",
)
LOST = [CUT, UNANSWERED, SWALLOWED]


class Proxy:
    """Stands between a pool and the server, and loses one request, or its answer, when it is told to."""

    def __init__(self, server_socket: str) -> None:
        self.directory = tempfile.mkdtemp(prefix="px")
        self.requests: list[bytes] = []
        self._fault: str | None = None
        self._after: bytes | None = None
        self._held: tuple[socket.socket, bytes] | None = None
        self._before_it_arrives = 0
        self._arrived = threading.Event()
        self._server_socket = server_socket
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._muted: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{self.directory}/.s.PGSQL.5432")
        self._listener.listen(32)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def lose(self, fault: str, *, after: bytes | None = None) -> None:
        """Do this to the next request that executes something, or to the first one once ``after`` was seen.

        What arrives late arrives between the two requests that follow it.
        """
        self._fault, self._after = fault, after

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server_socket)
                self._pairs.append((client, server))
                self._threads += [
                    threading.Thread(target=self._forward, args=(client, server), daemon=True),
                    threading.Thread(target=self._answer, args=(server, client), daemon=True),
                ]
                for thread in self._threads[-2:]:
                    thread.start()

    def _fault_for(self, request: bytes) -> str | None:
        self.requests.append(request)
        if self._after is not None and self._after in request:
            self._after = None
        if self._fault is None or self._after is not None or EXECUTE_MSG not in request:
            return None
        fault, self._fault = self._fault, None
        return fault

    def _let_late_ones_arrive(self) -> None:
        self._before_it_arrives -= 1
        if self._held is not None and self._before_it_arrives < 0:
            (server, request), self._held = self._held, None
            server.sendall(request)
            self._arrived.wait(60)

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while request := client.recv(1 << 20):
                fault = self._fault_for(request)
                if fault == CUT:
                    break
                if fault == LATE:
                    while not request.endswith(SYNC_MSG) and (rest := client.recv(1 << 20)):
                        request += rest
                    self._muted.add(server)
                    self._held, self._before_it_arrives = (server, request), 1
                    self._end(client)
                    return
                if fault is None and EXECUTE_MSG in request:
                    self._let_late_ones_arrive()
                if fault == UNANSWERED:
                    self._muted.add(server)
                if fault == SWALLOWED:
                    while client.recv(1 << 20):
                        pass  # a connection loses what comes last, never something in between
                    break
                server.sendall(request)
        self._end(client, server)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while (answer := server.recv(1 << 20)) and server not in self._muted:
                client.sendall(answer)
        if server in self._muted:
            self._arrived.set()
        self._end(client, server)

    @staticmethod
    def _end(*sockets: socket.socket) -> None:
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def cut_all(self) -> None:
        for pair in self._pairs:
            self._end(*pair)

    def close(self) -> None:
        self._arrived.set()
        self._end(self._listener)
        self._listener.close()
        self.cut_all()
        for thread in self._threads:
            thread.join(60)
        for pair in self._pairs:
            for one in pair:
                one.close()
        shutil.rmtree(self.directory)


@pytest.fixture
def proxy(database_url: str) -> Iterator[Proxy]:
    directory = database_url.partition("host=")[2]
    proxy = Proxy(f"{directory}/.s.PGSQL.5432")
    yield proxy
    proxy.close()


@pytest.fixture
def behind(proxy: Proxy, database_url: str, open_database: Open) -> Database:
    """A pool that reaches the test's database through the proxy, with its first connection made."""
    behind = open_database(f"{database_url.partition('host=')[0]}host={proxy.directory}", socket_timeout_seconds=2)
    assert in_step(behind)
    return behind


def names(database: Database) -> list[str]:
    return [name for (name,) in run(database, "select job_name from jobs.jobs order by job_name")]


def claimed(runs: PostgresRunStore, lease: timedelta = timedelta(minutes=1)) -> ClaimedRun:
    [taken] = runs.claim_due(1, worker="w", lease=lease)
    return taken


def success(taken: ClaimedRun) -> RecordedOutcome:
    now = datetime.now(UTC)
    return next_state(
        taken, RunResult(AttemptOutcome.SUCCEEDED), RetryPolicy(), Random(1), started_at=now, finished_at=now
    )


@pytest.mark.parametrize("fault", [*LOST, LATE])
def test_an_insert_whose_request_or_answer_is_lost_inserts_one_row_and_says_so(proxy, behind, database, fault):
    store, new = PostgresJobStore(behind, "jobs"), new_job()
    proxy.lose(fault)
    inserted = store.insert(new)
    assert inserted.id == new.id
    assert names(database) == ["job"]
    job = store.get(new.id)
    assert (job.created_at, job.next_run_at) == (inserted.created_at, inserted.due_at)


@pytest.mark.parametrize("fault", [*LOST, LATE])
def test_many_inserts_whose_requests_or_answers_are_lost_insert_every_row_once_and_say_so(
    proxy, behind, database, fault
):
    store = PostgresJobStore(behind, "jobs")
    store.insert(new_job("job-0007"))
    drafts = [new_job(f"job-{number:04}") for number in range(600)]
    made = []

    def lazily() -> Iterator[NewJob]:
        """Lose a request while the rows are still being made."""
        for number, new in enumerate(drafts):
            if number == 300:
                proxy.lose(fault)
            made.append(new)
            yield new

    rows = store.insert_many(lazily())
    assert [row and row.id for row in rows] == [new.id if new.job_name != "job-0007" else None for new in drafts]
    assert names(database) == [new.job_name for new in drafts]
    assert made == drafts


def test_after_a_doubt_a_row_that_was_there_before_is_not_taken_for_the_new_one(proxy, behind, database):
    """A caller may supply an id that is taken; its job is another, however young it is."""
    store = PostgresJobStore(behind, "jobs")
    other = new_job("other", payload='"other"')
    store.insert(other)
    proxy.lose(CUT)
    assert store.insert(new_job("mine", id=other.id, payload='"mine"')) is None
    assert names(database) == ["other"]


def test_a_name_that_was_taken_while_the_answer_was_lost_is_told_as_taken(proxy, behind, database):
    PostgresJobStore(database, "jobs").insert(new_job("name"))
    proxy.lose(UNANSWERED)
    assert PostgresJobStore(behind, "jobs").insert(new_job("name")) is None


@pytest.mark.parametrize("fault", [*LOST, LATE])
def test_an_outcome_whose_request_or_answer_is_lost_is_recorded_once_and_said_to_stand(proxy, behind, database, fault):
    store, runs = PostgresJobStore(behind, "jobs"), PostgresRunStore(behind, "jobs")
    new = new_job()
    store.insert(new)
    taken = claimed(runs)
    proxy.lose(fault)
    [stands] = runs.record([success(taken)])
    assert (stands.token, stands.status) == (taken.token, JobStatus.COMPLETED)
    job = store.get(new.id)
    assert (job.status, job.run_count) == (JobStatus.COMPLETED, 1)
    assert [attempt.outcome for attempt in store.attempts(new.id)] == ["Succeeded"]


def test_after_a_doubt_an_outcome_that_was_fenced_off_is_not_said_to_stand(proxy, behind, database):
    store, runs = PostgresJobStore(behind, "jobs"), PostgresRunStore(behind, "jobs")
    store.insert(new_job())
    mine = claimed(runs, timedelta())
    PostgresHousekeeping(database, "jobs").reap(10, max_lost=5)
    theirs = claimed(PostgresRunStore(database, "jobs"))
    for fault in (CUT, UNANSWERED):
        proxy.lose(fault)
        assert runs.record([success(mine)]) == []
    assert [stands.token for stands in runs.record([success(theirs)])] == [theirs.token]


@pytest.mark.parametrize("fault", LOST)
def test_a_claim_whose_request_or_answer_is_lost_is_taken_up_again_once_its_lease_is_over(
    proxy, behind, database, fault
):
    store, runs = PostgresJobStore(behind, "jobs"), PostgresRunStore(behind, "jobs")
    new = new_job()
    store.insert(new)
    proxy.lose(fault)
    with pytest.raises(StoreUnavailable):
        runs.claim(AlarmName(new.id, 1), worker="w", lease=timedelta())
    PostgresHousekeeping(database, "jobs").reap(10, max_lost=5)
    again = claimed(runs)
    assert (again.job_id, again.attempt) == (new.id, 1), "a lost worker costs no attempt"


@pytest.mark.parametrize("fault", LOST)
def test_a_change_whose_answer_is_lost_is_not_made_twice(proxy, behind, database, fault):
    store, new = PostgresJobStore(behind, "jobs"), new_job()
    store.insert(new)
    job = store.get(new.id)
    proxy.lose(fault)
    with pytest.raises(StoreUnavailable):
        store.change(job, Change("update", {"max_retries": 9}))
    assert store.get(new.id).revision in (1, 2)
    assert len(run(database, "select 1 from jobs.job_audit")) == store.get(new.id).revision - 1


@pytest.mark.parametrize("fault", LOST)
def test_a_request_under_a_key_whose_commit_is_lost_can_be_repeated_and_stands_once(proxy, behind, database, fault):
    store = PostgresJobStore(behind, "jobs")

    def request(*, lose: bool) -> str:
        with store.once("key", "body") as entry:
            if entry.response is None:
                new = new_job(f"job-{new_id()}")
                store.insert(new, connection=entry.connection)
                entry.keep(str(new.id))
            answer = entry.response or str(new.id)
            if lose:
                proxy.lose(fault, after=b"commit")
        return answer

    with pytest.raises(StoreUnavailable):
        request(lose=True)
    answer = request(lose=False)
    assert [str(job_id) for (job_id,) in run(database, "select id from jobs.jobs")] == [answer]
    assert request(lose=False) == answer


def test_an_answer_that_never_comes_is_waited_for_no_longer_than_the_socket_timeout(proxy, behind):
    proxy.lose(SWALLOWED)
    with pytest.raises(OutcomeUnknown, match=r"[Tt]ime"):
        in_step(behind)
    assert in_step(behind)


def test_when_every_connection_is_cut_one_statement_fails_and_the_pool_recovers(proxy, behind):
    assert len(all_backends(behind, 4)) == 4
    proxy.cut_all()
    with pytest.raises(StoreUnavailable):
        in_step(behind)
    assert len(all_backends(behind, 4)) == 4
    assert in_step(behind)


def test_a_server_that_cannot_be_reached_is_told_as_such_and_found_again(open_database, database_url):
    away = open_database(f"{database_url.partition('host=')[0]}host=/nowhere")
    with pytest.raises(StoreUnavailable, match="the database cannot be reached"):
        in_step(away)
    missing = open_database(database_url.replace("/test_", "/no_such_"))
    with pytest.raises(StoreUnavailable, match="SQLSTATE 3D000"):
        in_step(missing)
    gc.collect()


def test_a_pool_whose_connections_are_all_in_use_is_told_as_the_database_being_away(open_database):
    one = open_database(pool_size=1, pool_timeout_seconds=0.05)
    with one.engine.connect(), pytest.raises(StoreUnavailable, match="the database cannot be reached"):
        in_step(one)
    assert in_step(one)


# --- connections stay in step


odd_texts = st.text(st.characters(exclude_categories=[]), max_size=20)
odd_values = (
    st.none()
    | st.booleans()
    | odd_texts
    | st.integers()
    | st.just(10**5_000)
    | st.floats()
    | st.timedeltas()
    | st.datetimes(timezones=st.just(UTC))
    | st.uuids()
    | st.binary(max_size=5)
    | st.lists(odd_texts | st.none() | st.integers() | st.floats(), max_size=5)
    | st.dictionaries(odd_texts, odd_texts, max_size=2)
)
SHOWN = [
    statement("select cast(:v as text)"),
    statement("select cast(:v as text[])"),
    statement("select cast(:v as jsonb)"),
    statement("select cast(:v as integer)"),
    statement("select cast(:v as double precision)"),
    statement("select cast(:v as timestamptz)"),
    statement("select cast(:v as interval)"),
    statement("select cast(:v as uuid)"),
]


@pytest.mark.parametrize("pgbouncer", [False, True], ids=["prepared", "unnamed"])
def test_no_value_however_odd_puts_a_connection_out_of_step(open_database, pgbouncer):
    one = open_database(pool_size=1, pgbouncer=pgbouncer)

    @given(values=st.lists(st.tuples(st.sampled_from(SHOWN), odd_values), min_size=1, max_size=6), n=st.integers(0, 99))
    @FUZZ
    def check(values: list[tuple[Statement, Any]], n: int) -> None:
        for shown, value in values:
            with suppress(InvalidInput, StoreUnavailable, DriverError, TypeError, ValueError):
                one.run(shown, {"v": value})
        assert run(one, "select cast(:n as integer)", n=n) == [(n,)]

    check()


@given(
    texts=st.lists(
        st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20), max_size=8
    )
)
@FUZZ
def test_texts_and_lists_of_texts_arrive_as_they_were_sent(database, texts):
    [(listed,)] = run(database, "select cast(array_to_json(cast(:v as text[])) as text)", v=texts)
    assert json.loads(listed) == texts
    for text in texts:
        assert run(database, "select cast(:v as text), length(:v)", v=text) == [(text, len(text))]


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "x\udfff"])
def test_a_text_that_cannot_be_sent_is_invalid_input_before_anything_is_sent(open_database, text):
    one = open_database(pool_size=1)
    before = backend(one)
    for value in (text, [text], ["ok", text]):
        with pytest.raises(InvalidInput):
            run(one, "select cast(:v as text)", v=value)
        with pytest.raises(InvalidInput):
            one.run_all(SHOWN[0], [{"v": value}])
    assert backend(one) == before


@pytest.mark.parametrize(
    "text",
    [
        "select 'infinity'::timestamptz",
        "select '0044-03-15 12:00:00 BC'::timestamptz",
        "select '12345-01-01'::timestamptz",
        "select 1, '-infinity'::timestamptz from generate_series(1, 5000)",
    ],
)
def test_an_answer_that_cannot_be_read_costs_its_connection_and_shifts_no_later_answer(open_database, text):
    one = open_database(pool_size=1)
    before = backend(one)
    with pytest.raises(StoreUnavailable):
        run(one, text)
    assert in_step(one)
    assert backend(one) != before


def test_long_answers_and_many_rows_are_read_whole(database):
    assert run(database, "select repeat('ü', 2000000)") == [("ü" * 2_000_000,)]
    rows = run(database, "select i, repeat('x', i % 100) from generate_series(1, 20000) i")
    assert rows == [(i, "x" * (i % 100)) for i in range(1, 20_001)]
    assert in_step(database)


def test_values_come_back_as_what_they_are(database):
    [row] = run(
        database,
        "select true, false, 1::int2, -2::int4, 3::int8, 1.5::float4, 'NaN'::float8, null::int4, '', "
        "'2026-06-01 12:00:00.123456+02'::timestamptz, 1.50::numeric, array[1,2]",
    )
    assert row[:6] == (True, False, 1, -2, 3, 1.5)
    assert row[6] != row[6]
    assert row[7:9] == (None, "")
    assert row[9] == datetime(2026, 6, 1, 10, 0, 0, 123456, tzinfo=UTC)
    assert row[10:] == ("1.50", "{1,2}")


def test_notices_settings_and_notifications_between_answers_are_passed_over(open_database):
    one = open_database(pool_size=1)
    run(one, "listen channel")
    for _ in range(3):
        run(one, "do $$ begin raise notice 'a notice'; perform pg_notify('channel', 'hello'); end $$")
        run(one, "set application_name = 'renamed'")
        assert in_step(one)


def test_a_session_in_another_time_zone_gives_the_same_instants(database_url, database, open_database):
    name = database_url.split("/")[3].split("?")[0]
    run(database, f"alter database {name} set timezone = 'Asia/Kathmandu'")
    elsewhere, moment = open_database(), datetime(2026, 6, 1, 12, 30, tzinfo=UTC)
    [(read,)] = run(elsewhere, "select cast(:v as timestamptz)", v=moment)
    assert read == moment
    store = PostgresJobStore(elsewhere, "jobs")
    new = new_job(due_at=moment)
    store.insert(new)
    assert store.get(new.id).next_run_at == moment
    assert store.get(new.id) == PostgresJobStore(database, "jobs").get(new.id)


@pytest.mark.parametrize("pgbouncer", [False, True])
def test_a_database_that_writes_dates_in_another_style_is_read_all_the_same(
    database_url, database, open_database, pgbouncer
):
    name = database_url.split("/")[3].split("?")[0]
    run(database, f"alter database {name} set datestyle = 'German'")
    elsewhere, moment = open_database(pgbouncer=pgbouncer), datetime(2026, 6, 1, 12, 30, tzinfo=UTC)
    assert run(elsewhere, "select cast(:v as timestamptz)", v=moment) == [(moment,)]


# --- prepared statements


def test_a_statement_is_parsed_once_a_connection_and_behind_a_pooler_each_time(open_database):
    counted = "select count(*) from pg_prepared_statements where name like 'jobs_%'"
    one = open_database(pool_size=1)
    for _ in range(5):
        assert in_step(one)
    assert run(one, counted) == [(2,)], "the one for in_step, and this one"
    pooled = open_database(pool_size=1, pgbouncer=True)
    assert in_step(pooled)
    assert run(pooled, counted) == [(0,)]


@pytest.mark.parametrize(
    "what", ["alter table numbers add column extra text default 'x'", "alter table numbers alter column n type bigint"]
)
def test_a_statement_that_a_migration_has_outdated_is_parsed_anew(table, open_database, what):
    one = open_database(pool_size=1)
    everything = statement("select * from numbers where id = 1")
    assert len(one.run(everything, {})) == 1
    run(table, what)
    assert len(one.run(everything, {})) == 1
    assert in_step(one)


def test_statements_that_somebody_deallocated_are_parsed_anew(open_database):
    one = open_database(pool_size=1)
    assert in_step(one)
    run(one, "deallocate all")
    assert in_step(one)


def test_a_statement_that_could_not_be_parsed_is_parsed_at_the_next_try(table, open_database):
    one = open_database(pool_size=1)
    later = statement("select * from not_yet")
    with pytest.raises(NotMigrated):
        one.run(later, {})
    run(table, "create table not_yet (id integer)")
    assert one.run(later, {}) == []


# --- many statements without waiting


def test_statements_sent_together_give_all_their_rows_in_order(open_database):
    one = open_database(pool_size=1, socket_timeout_seconds=5)
    doubled = statement("select cast(:n as integer) * 2")
    for number in (0, 1, 2, 100, 2_000):
        assert one.run_all(doubled, ({"n": n} for n in range(number))) == [(n * 2,) for n in range(number)]
        assert in_step(one)


def test_behind_a_pooler_statements_sent_together_are_parsed_once_since_they_share_a_transaction(
    proxy, database_url, open_database
):
    url = f"{database_url.partition('host=')[0]}host={proxy.directory}"
    pooled = open_database(url, pgbouncer=True)
    tripled = statement("select cast(:n as integer) * 3")
    for _ in range(2):
        assert pooled.run_all(tripled, ({"n": n} for n in range(4))) == [(0,), (3,), (6,), (9,)]
    assert b"".join(proxy.requests).count(b"select cast($1 as integer) * 3") == 2


def test_statements_sent_together_are_written_all_or_none(table):
    before = run(table, "select id, n from numbers order by id")
    inverse = statement("update numbers set n = 100 / (id - cast(:id as integer)) where id = cast(:at as integer)")
    with pytest.raises(DriverError):
        table.run_all(inverse, [{"at": 1, "id": 0}, {"at": 2, "id": 2}, {"at": 3, "id": 1}])
    assert run(table, "select id, n from numbers order by id") == before
    assert in_step(table)


def test_long_requests_sent_together_do_not_wait_for_their_answers(open_database):
    one = open_database(socket_timeout_seconds=5)
    length = statement("select length(:v)")
    assert one.run_all(length, ({"v": "y" * 40_000} for _ in range(150))) == [(40_000,)] * 150


def test_a_fault_in_making_a_later_statement_leaves_the_pool_in_step(open_database):
    one = open_database(pool_size=1)

    def values() -> Iterator[dict[str, Any]]:
        yield {"n": 1}
        raise KeyError("made up")

    with pytest.raises((KeyError, StoreUnavailable)):
        one.run_all(statement("select cast(:n as integer)"), values())
    with pytest.raises(InvalidInput):
        one.run_all(SHOWN[0], [{"v": "fine"}, {"v": "a\x00b"}])
    assert in_step(one)


# --- the pool


def test_a_connection_that_was_idle_for_long_is_asked_before_it_is_used(database, open_database, monkeypatch):
    """Firewalls forget connections that are idle; the first statement after lunch must not be the one to find out."""
    passed = 0.0
    real = time.monotonic
    monkeypatch.setattr(engine_module.time, "monotonic", lambda: real() + passed)
    one = open_database(pool_size=1)
    run(database, "select pg_terminate_backend(cast(:pid as integer), 60000)", pid=backend(one))
    passed += 31
    assert in_step(one)


def test_a_connection_in_regular_use_is_not_asked(proxy, behind):
    before = len(proxy.requests)
    assert in_step(behind)
    assert len(proxy.requests) - before == 3, "one request a statement"


def test_when_one_connection_broke_the_others_are_asked_before_they_are_used(database, open_database):
    one = open_database(pool_size=3)
    pids = all_backends(one, 3)
    for pid in pids:
        run(database, "select pg_terminate_backend(cast(:pid as integer), 60000)", pid=pid)
    with pytest.raises(StoreUnavailable):
        in_step(one)
    assert not all_backends(one, 3) & pids


def test_the_servers_time_outs_are_set_for_every_session(open_database):
    one = open_database(statement_timeout_seconds=1.5, lock_timeout_seconds=2.25, idle_in_transaction_seconds=7)
    shown = {name: run(one, f"show {name}")[0][0] for name in SESSION_SETTINGS}
    assert shown == {
        "statement_timeout": "1500ms",
        "lock_timeout": "2250ms",
        "idle_in_transaction_session_timeout": "7s",
        "application_name": "jobs",
    }


SESSION_SETTINGS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "application_name")


def test_behind_a_pooler_no_session_setting_is_sent(open_database):
    one = open_database(pgbouncer=True, statement_timeout_seconds=1.5)
    assert [run(one, f"show {name}")[0][0] for name in SESSION_SETTINGS[:3]] == ["0", "0", "0"]


def test_a_transaction_left_idle_is_ended_by_the_server(open_database, database):
    one = open_database(pool_size=1, idle_in_transaction_seconds=1)
    with one.engine.connect() as connection:
        pid = connection.scalar(sa.text("select pg_backend_pid()"))
        until(lambda: not run(database, "select 1 from pg_stat_activity where pid = :pid", pid=pid))
        with pytest.raises(StoreUnavailable):
            one.run(statement("select 1"), {}, connection)
    assert in_step(one)


def test_the_pool_never_opens_more_connections_than_it_may(open_database, database):
    one = open_database(pool_size=3, pool_timeout_seconds=5)
    with ThreadPoolExecutor(12) as pool:
        pids = set(pool.map(lambda _: run(one, "select pg_backend_pid(), pg_sleep(0.01)")[0][0], range(60)))
    assert len(pids) <= 3


def test_a_password_is_asked_for_each_new_connection(open_database, database):
    asked = []
    one = open_database(pool_size=1, password=lambda: asked.append(1) or "token")
    assert asked == []
    assert in_step(one)
    run(database, "select pg_terminate_backend(cast(:pid as integer), 60000)", pid=backend(one))
    with suppress(StoreUnavailable):
        in_step(one)
    assert in_step(one)
    assert asked == [1, 1]


# --- addresses and encryption


def connect_arguments(url: str, **options: Any) -> dict[str, Any]:
    return engine_module._connect_arguments(DatabaseOptions(url, **options))


def test_a_connection_over_tcp_is_encrypted_and_verified():
    context = connect_arguments("postgresql://u:p@db.example.com/app")["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_encryption_can_be_left_out_on_ones_own_machine():
    assert "ssl_context" not in connect_arguments("postgresql://u@localhost/app", tls=False)


def test_over_a_unix_socket_encryption_is_neither_asked_for_nor_prepared(database_url, open_database, monkeypatch):
    prepared = []
    monkeypatch.setattr(ssl, "create_default_context", lambda *given, **named: prepared.append((given, named)))
    assert connect_arguments("postgresql://u@/app?host=/run/postgresql")["ssl_context"] is False
    open_database().engine.connect().close()
    assert prepared == []


def test_a_server_that_refuses_encryption_is_told_nothing(open_database):
    """A password must never leave in clear text because somebody on the way answered "no" to the offer."""
    heard = b""
    listener = socket.create_server(("127.0.0.1", 0))

    def refuse() -> None:
        nonlocal heard
        client, _ = listener.accept()
        with client:
            client.settimeout(2)
            heard += client.recv(8)
            client.sendall(b"N")
            with suppress(OSError):
                heard += client.recv(100)

    refusing = threading.Thread(target=refuse)
    refusing.start()
    port = listener.getsockname()[1]
    with pytest.raises(StoreUnavailable, match="the database cannot be reached"):
        in_step(open_database(f"postgresql://u:hunter2@127.0.0.1:{port}/app"))
    refusing.join(60)
    listener.close()
    assert len(heard) == 8, "the offer of encryption and nothing else"


def test_a_ca_file_that_cannot_be_read_is_told_by_its_setting(tmp_path):
    unreadable = tmp_path / "ca.pem"
    unreadable.write_text("no certificate")
    for path in ("/no/such/file.pem", str(unreadable)):
        with pytest.raises(ConfigurationError, match="JOBS_DATABASE_CA_FILE"):
            make_engine(DatabaseOptions("postgresql://u@db.example.com/app", ca_file=path))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@h:5433/app", "postgresql+pg8000://u:***@h:5433/app"),
        ("postgresql+psycopg://u@h/app", "postgresql+pg8000://u@h/app"),
        ("postgresql://u:p%40ss@h/app", "postgresql+pg8000://u:***@h/app"),
        ("postgresql://u@/app?host=/run/pg", "postgresql+pg8000://u@/app?unix_sock=/run/pg/.s.PGSQL.5432"),
        ("postgresql://u@:6432/app?host=/run/pg", "postgresql+pg8000://u@:6432/app?unix_sock=/run/pg/.s.PGSQL.6432"),
    ],
)
def test_the_forms_of_an_address_are_understood(url, expected):
    rendered = make_engine(DatabaseOptions(url)).url.render_as_string(hide_password=True)
    assert rendered.replace("%2F", "/") == expected


@pytest.mark.parametrize("url", ["mysql://u:hunter2@h/app", "sqlite:///x", "https://h/app"])
def test_an_address_of_another_kind_is_refused(url):
    with pytest.raises(
        ConfigurationError, match=r"JOBS_DATABASE_URL names .*; only postgresql:// is supported"
    ) as caught:
        make_engine(DatabaseOptions(url))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "nonsense", "postgresql://u:hunter2@h:port/app", "//u:hunter2@h"])
def test_an_address_that_cannot_be_read_is_refused_without_being_shown(url):
    with pytest.raises(
        ConfigurationError, match="JOBS_DATABASE_URL cannot be read; it looks like postgresql://"
    ) as caught:
        make_engine(DatabaseOptions(url))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hun@ter2@h/app",
        "postgresql://u:@hunter2@h:5432/app",
        "postgresql://u:hun@ter2@h/app?connect_timeout=3",
        "postgresql://u:hun@te/r2@h/app",
        "postgresql://u:hun@te?r2@h/app",
        "postgresql://u:hun@/ter2@/app?host=/run/pg",
        "postgresql://u:hun@ter2@[::1]:5432/app",
        "postgresql://u:hun@ter2:5432@h/app",
    ],
)
def test_a_password_with_a_raw_at_is_refused_and_never_shown(url, caplog, capfd):
    with pytest.raises(ConfigurationError, match="JOBS_DATABASE_URL") as caught:
        Database(DatabaseOptions(url))
    told = "".join(traceback.format_exception(caught.value)) + caplog.text + "".join(capfd.readouterr())
    told = told.replace(url, "").replace(str(ROOT), "")
    assert not any(part in told for part in ("hun", "ter2", "te/", "r2"))


def test_an_at_that_is_escaped_or_is_in_the_users_name_is_understood():
    for url, host in (
        ("postgresql://u:p%40ss@h/app", "h"),
        ("postgresql://user@server:pw@h.example.com:5432/app", "h.example.com"),
        ("postgresql://u:p@[::1]/app", "::1"),
        ("postgresql://u@/app?host=/run/pg", None),
    ):
        assert make_engine(DatabaseOptions(url)).url.host == host


@pytest.mark.parametrize(
    "schema", ["", "Jobs", "jobs;", 'jobs"', "1jobs", "jobs-x", "ü", "j" * 64, "jobs\n", "pg jobs"]
)
def test_a_schema_name_that_would_need_care_is_refused(database, schema):
    for use in (quoted, lambda name: PostgresJobStore(database, name), lambda name: PostgresRunStore(database, name)):
        with pytest.raises(ConfigurationError, match="JOBS_DATABASE_SCHEMA is"):
            use(schema)
    assert quoted("_jobs_2") == '"_jobs_2"'


# --- the database's clock


class Monotonic:
    """A local monotonic clock that stands at some odd place and goes when it is told to."""

    def __init__(self) -> None:
        self.now = 123_456_789.0

    def __call__(self) -> float:
        return self.now


class Counting:
    """A database that counts what it is asked, and is away when told to be."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.asked = 0
        self.away = False

    def run(self, *arguments: Any) -> list[tuple[Any, ...]]:
        self.asked += 1
        if self.away:
            raise StoreUnavailable("away")
        return self._database.run(*arguments)


@pytest.fixture
def counting(database: Database) -> Counting:
    return Counting(database)


def test_the_time_is_the_databases_whatever_the_local_clocks_say(database, counting, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 0.0)
    clock = DatabaseClock(counting, monotonic=Monotonic())
    [(before,)] = run(database, "select clock_timestamp()")
    now = clock.now()
    [(after,)] = run(database, "select clock_timestamp()")
    assert before <= now <= after
    assert now.tzinfo is UTC


def test_the_database_is_asked_every_five_minutes_and_no_more_often(counting):
    local = Monotonic()
    clock = DatabaseClock(counting, monotonic=local)
    first = clock.now()
    for _ in range(29):
        local.now += 10
        clock.now()
    assert counting.asked == 1
    assert clock.now() - first == timedelta(seconds=290)
    local.now += 11
    assert timedelta() < clock.now() - first < timedelta(seconds=30), "set anew: the local clock had run ahead"
    assert counting.asked == 2


def test_while_the_database_is_away_the_clock_goes_on_from_its_last_setting(counting):
    local = Monotonic()
    clock = DatabaseClock(counting, monotonic=local)
    first = clock.now()
    counting.away = True
    for _ in range(20):
        local.now += 100
        clock.now()
    assert clock.now() - first == timedelta(seconds=2_000)
    assert counting.asked < 10, "not at every call"


def test_without_an_earlier_setting_there_is_no_time_to_tell(counting):
    counting.away = True
    clock = DatabaseClock(counting, monotonic=Monotonic())
    with pytest.raises(StoreUnavailable):
        clock.now()
    counting.away = False
    assert clock.now().tzinfo is UTC


def test_many_threads_that_ask_at_once_set_the_clock_once(counting):
    clock, barrier = DatabaseClock(counting), threading.Barrier(8)

    def ask(_: int) -> datetime:
        barrier.wait()
        return clock.now()

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(ask, range(8)))
    assert counting.asked == 1
    assert max(told) - min(told) < timedelta(seconds=1)


@pytest.mark.parametrize("off_by", [timedelta(minutes=-5), timedelta(milliseconds=-300), timedelta(milliseconds=300),
                                    timedelta(minutes=5)], ids=str)  # fmt: skip
def test_a_clock_that_has_gone_wrong_is_set_right_by_the_next_claim(database, off_by):
    store, clock = PostgresJobStore(database, "jobs"), DatabaseClock(database)
    runs = PostgresRunStore(database, "jobs", clock)
    right, local = clock._adjust(None)
    clock._set = (right + off_by, local)
    store.insert(new_job())
    [run_] = runs.claim_due(1, worker="worker", lease=timedelta(minutes=1))
    told = clock.now()
    [(after,)] = run(database, "select clock_timestamp()")
    assert run_.claimed_at <= told <= after


def test_a_clock_that_may_be_right_is_left_as_it_is(database):
    clock = DatabaseClock(database)
    told = clock.now()
    before = clock._set
    clock.correct(clock.mark() - 10, told - timedelta(seconds=5))
    assert clock._set == before


def blocked(database: Database) -> bool:
    return bool(run(database, "select 1 from pg_locks where not granted"))
