"""Jobs as rows: what is inserted, found and changed, alone, within a caller's transaction, and many at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from jobs.adapters.postgres.connection.address import DatabaseOptions
from jobs.adapters.postgres.connection.database import Database
from jobs.adapters.postgres.stores.jobs import PostgresJobStore
from jobs.core.errors import IdempotencyKeyReused, InvalidInput, JobNameTaken, StoreUnavailable
from jobs.core.lifecycle.ids import AlarmName, new_id
from jobs.core.lifecycle.job import Job
from jobs.core.lifecycle.status import JobStatus
from jobs.core.ports.jobs import NOW, Change, Inserted
from jobs.core.queries import JobQuery
from jobs.core.strict_json import MalformedJson, parse_json, write_json
from tests.sizes import examples
from tests.support import new_job, until

DUE = datetime(2026, 6, 1, 12, 30, 15, 123456, tzinfo=UTC)
FUZZ = settings(
    database=None,
    print_blob=True,
    deadline=None,
    max_examples=examples(30),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def database(emptied: Database) -> Database:
    sql(emptied, "drop table if exists orders")
    return emptied


@pytest.fixture
def store(database: Database) -> PostgresJobStore:
    return PostgresJobStore(database, "jobs")


@pytest.fixture
def app_engine(database: Database) -> Iterator[sa.Engine]:
    """An application's own engine, made without any of our care, with a table of its own."""
    engine = sa.create_engine(database.engine.url)
    with engine.begin() as connection:
        connection.execute(sa.text("create table orders (id integer primary key)"))
    yield engine
    engine.dispose()


Put = Callable[..., list[Inserted | None]]


@pytest.fixture(params=["one by one", "many at once"])
def put(request: pytest.FixtureRequest, store: PostgresJobStore) -> Put:
    """Insert rows by either call; what is said of one holds of the other."""
    if request.param == "many at once":
        return store.insert_many
    return lambda jobs, connection=None: [store.insert(job, connection=connection) for job in jobs]


def added(store: PostgresJobStore, job_name: str = "job", **fields: Any) -> Job:
    new = new_job(job_name, **fields)
    assert store.insert(new) is not None
    found = store.get(new.id)
    assert found is not None
    return found


def sql(database: Database, text: str, **values: Any) -> list[Any]:
    with database.engine.begin() as connection:
        result = connection.execute(sa.text(text), values)
        return [tuple(row) for row in result] if result.returns_rows else []


def count(database: Database, table: str = "jobs") -> int:
    return sql(database, f"select count(*) from jobs.{table}")[0][0]


def names(store: PostgresJobStore, **query: Any) -> list[str]:
    return sorted(job.job_name for job in store.find(JobQuery(**query)).jobs)


def ascii_id(value: Any) -> str:
    return ascii(value)[:20] if isinstance(value, str | float) else type(value).__name__


CANCEL = Change("cancel", {"status": JobStatus.CANCELLED, "handled_at": NOW, "next_run_at": None}, new_generation=True)
REVIVE = Change("retry", {"status": JobStatus.SCHEDULED, "handled_at": None, "next_run_at": NOW}, new_generation=True)


# --- insert


def test_a_job_is_read_back_as_it_was_inserted(put, store):
    new = new_job(
        "naïve \U0001f600 \\ \" ' {} $1 :x %s \n",
        schedule="0 9 * * *",
        timezone="Europe/Berlin",
        options=json.dumps({"jitter": "PT5S", "misfire": {"policy": "skip"}, "max_runs": 3}),
        recurring=True,
        payload=write_json({"a": [1, 2.5, None, True, "ü"]}),
        metadata=write_json({"OrderId": 7}),
        due_at=DUE,
        scheduled_for=DUE - timedelta(seconds=1),
        anchor=DUE - timedelta(days=1),
        max_retries=7,
        timeout_seconds=1.5,
        created_by="somebody",
        trace_parent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    )
    [inserted] = put([new])
    job = store.get(new.id)
    for name in ("id", "handler_name", "job_name", "schedule", "timezone", "recurring", "max_retries", "created_by",
                 "trace_parent", "scheduled_for", "anchor"):  # fmt: skip
        assert getattr(job, name) == getattr(new, name), name
    assert (job.payload, job.metadata) == ({"a": [1, 2.5, None, True, "ü"]}, {"OrderId": 7})
    assert (job.next_run_at, job.timeout) == (DUE, timedelta(seconds=1.5))
    assert (job.jitter, job.misfire.policy, job.max_runs) == (timedelta(seconds=5), "skip", 3)
    assert (job.status, job.paused, job.generation, job.revision, job.attempt) == ("Scheduled", False, 1, 1, 0)
    assert (inserted.id, inserted.created_at, inserted.due_at) == (new.id, job.created_at, DUE)


def test_a_job_that_is_due_now_is_due_by_the_databases_clock(store, database):
    [(before,)] = sql(database, "select now()")
    job = added(store)
    [(after,)] = sql(database, "select now()")
    assert before <= job.next_run_at <= after
    assert job.next_run_at == job.scheduled_for == job.anchor == job.created_at


def test_many_jobs_are_inserted_in_one_statement_and_answered_in_the_order_given(put, store):
    drafts = [new_job(f"job-{number % 7}-{number}") for number in range(500)]
    assert [row.id for row in put(drafts)] == [new.id for new in drafts]
    assert {job.job_name for job in store.find(JobQuery(limit=500)).jobs} == {new.job_name for new in drafts}


def test_nothing_to_insert_is_fine(put, store, database):
    assert put([]) == []
    assert count(database) == 0


def test_a_name_that_an_active_job_holds_is_not_inserted_and_the_others_are(put, store, database):
    added(store, "taken")
    assert [row is None for row in put([new_job("a"), new_job("taken"), new_job("b")])] == [False, True, False]
    assert count(database) == 3


def test_a_name_that_stands_twice_in_one_batch_is_inserted_once(put, store, database):
    rows = put([new_job("same"), new_job("other"), new_job("same")])
    assert sorted(row is None for row in rows) == [False, False, True]
    assert count(database) == 2
    assert all(store.get(row.id) for row in rows if row)


def test_names_are_compared_whole_and_by_every_character(put, store):
    """A prefix, a wildcard or a letter's case must not hit a neighbour."""
    for name in ("a", "a-1", "A", "a ", "%", "_", "%_", "\u00e1", "a\u0301"):
        assert put([new_job(name)]) != [None], name


def test_an_id_that_exists_is_not_inserted_whatever_became_of_its_job(put, store, database):
    first = added(store, "first")
    assert put([new_job("second", id=first.id)]) == [None]
    store.change(first, CANCEL)
    assert put([new_job("third", id=first.id)]) == [None]
    assert count(database) == 1


def test_an_id_that_stands_twice_in_one_batch_is_inserted_once_and_only_one_is_said_to_be(put, store, database):
    same = new_id()
    rows = put([new_job("b", id=same), new_job("a", id=same)])
    assert count(database) == 1
    assert sorted(row is None for row in rows) == [False, True]


@pytest.mark.parametrize("status", ["Completed", "Failed", "Cancelled"])
def test_a_name_is_free_again_once_its_job_has_ended(put, store, status):
    job = added(store, "name")
    ended = Change("test", {"status": status, "handled_at": NOW, "next_run_at": None})
    assert store.change(job, ended) is not None
    assert store.active_holder("name") is None
    assert put([new_job("name")]) != [None]


def test_the_active_job_of_a_name_is_found(store):
    job = added(store, "name")
    assert store.active_holder("name") == job
    assert store.active_holder("nam") is None
    assert store.active_holder("name%") is None


def test_text_that_cannot_be_stored_is_invalid_input_and_leaves_the_connection_in_step(put, store, database):
    for broken in ("half \ud800 a pair", "\udfff"):
        with pytest.raises(InvalidInput):
            put([new_job(broken)])
        with pytest.raises(InvalidInput):
            store.active_holder(broken)
    with pytest.raises(InvalidInput):
        store.active_holder("a\x00b")
    assert count(database) == 0


# --- JSON as it is stored


def same(ours: Any, theirs: Any) -> bool:
    """Compare as JSON does: jsonb writes 1e22 out in full, so that a float may come back as the integer it equals."""
    if isinstance(ours, float) or isinstance(theirs, float):
        return not isinstance(ours, bool) and not isinstance(theirs, bool) and float(ours) == float(theirs)
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(value, theirs[key]) for key, value in ours.items())
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return type(ours) is type(theirs) and ours == theirs


def as_metadata(value: Any) -> str:
    try:
        return write_json({"v": value})
    except InvalidInput:  # one level too deep now
        return "{}"


json_texts = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=[]), max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=[]), max_size=6), inner, max_size=4)
    ),
    max_leaves=15,
).flatmap(lambda value: st.sampled_from([json.dumps(value), json.dumps(value, ensure_ascii=False)]))


@given(texts=st.lists(json_texts, min_size=1, max_size=10))
@example(texts=["1.7976931348623157e308", "5e-324", "-0.0", "1e22", "1E+2", "123456789012345678901234567890"])
@example(texts=["9" * 4_000, "-" + "9" * 4_000, "[" * 64 + "]" * 64, '{"a":' * 64 + "1" + "}" * 64])
@example(texts=['"' + "".join(chr(point) for point in range(0x20, 0x300) if chr(point) not in '"\\') + '"'])
@example(texts=['{"":{"":""}}', '"\\\\u0000"', '"\\ud83d\\ude00"', '"\uffff\ufffe"', "[1e-400]"])
@FUZZ
def test_whatever_the_parser_accepts_is_stored_as_jsonb_and_read_back_the_same(store, texts):
    accepted = []
    for text in texts:
        try:
            accepted.append(parse_json(text))
        except (MalformedJson, InvalidInput):
            continue
    drafts = [new_job(str(new_id()), payload=write_json(value), metadata=as_metadata(value)) for value in accepted]
    store.insert_many(drafts)
    for new, value in zip(drafts, accepted, strict=True):
        job = store.get(new.id)
        assert same(job.payload, value), (job.payload, value)
        assert same(job.metadata, {"v": value} if new.metadata != "{}" else {})


def test_a_number_of_5000_digits_put_in_by_hand_is_readable_and_shifts_no_answer(store, database):
    big = "9" * 5_000
    job = added(store)
    other = added(store, "other", payload='"other"')
    for _ in range(3):
        sql(database, "update jobs.jobs set payload = cast(:json as jsonb) where id = :id", id=job.id, json=f"[{big}]")
        assert store.get(job.id).payload == f"[{big}]"
        assert store.get(other.id).payload == "other"
        sql(
            database,
            "update jobs.jobs set metadata = cast(:json as jsonb), payload = '1' where id = :id",
            id=job.id,
            json=f'{{"n": {big}}}',
        )
        read = store.get(job.id)
        assert (read.payload, read.metadata) == (1, {"unreadable": f'{{"n": {big}}}'})
        assert {found.job_name for found in store.find(JobQuery()).jobs} == {"job", "other"}


@pytest.mark.parametrize("depth", [65, 200, 1_000, 6_000])
def test_json_nested_as_deep_as_postgres_goes_is_readable_and_can_be_answered_with(store, database, depth):
    job = added(store)
    deep = "[" * depth + "]" * depth
    sql(database, "update jobs.jobs set payload = cast(:json as jsonb) where id = :id", id=job.id, json=deep)
    assert deep in store.get(job.id).model_dump_json()
    assert store.get(job.id).job_name == "job"


# --- within a caller's transaction


def test_a_job_inserted_on_a_callers_connection_commits_with_the_callers_data(put, store, database, app_engine):
    with app_engine.begin() as connection:
        connection.execute(sa.text("insert into orders values (1)"))
        [row] = put([new_job("order-1", payload='{"n":1}')], connection=connection)
        assert store.get(row.id) is None, "not committed yet"
        assert store.get(row.id, connection=connection).payload == {"n": 1}
    assert store.get(row.id).job_name == "order-1"
    assert (row.created_at.utcoffset(), row.due_at) == (timedelta(), store.get(row.id).next_run_at)
    assert sql(database, "select id from orders") == [(1,)]


def test_a_job_inserted_on_a_callers_connection_is_gone_when_the_caller_rolls_back(put, store, database, app_engine):
    with app_engine.connect() as connection:
        connection.execute(sa.text("insert into orders values (1)"))
        assert put([new_job("order-1")], connection=connection) != [None]
        connection.rollback()
    assert count(database) == 0
    assert sql(database, "select id from orders") == []


@pytest.mark.parametrize("ending", ["commit", "rollback", "error"])
def test_a_job_inserted_in_a_callers_session_shares_its_fate(put, store, database, app_engine, ending):
    failing = pytest.raises(ZeroDivisionError) if ending == "error" else nullcontext()
    with failing, Session(app_engine) as session:
        session.execute(sa.text("insert into orders values (1)"))
        put([new_job("order-1"), new_job("order-2")], connection=session)
        if ending == "error":
            raise ZeroDivisionError
        getattr(session, ending)()
    assert count(database) == (2 if ending == "commit" else 0)


def test_a_savepoint_of_the_caller_takes_the_job_back_too(put, store, database, app_engine):
    with app_engine.begin() as connection:
        put([new_job("kept")], connection=connection)
        savepoint = connection.begin_nested()
        put([new_job("dropped")], connection=connection)
        savepoint.rollback()
    assert names(store) == ["kept"]


def test_a_taken_name_leaves_the_callers_transaction_usable(put, store, database, app_engine):
    added(store, "taken")
    with app_engine.begin() as connection:
        assert put([new_job("taken")], connection=connection) == [None]
        connection.execute(sa.text("insert into orders values (1)"))
        assert store.active_holder("taken", connection=connection) is not None
    assert sql(database, "select id from orders") == [(1,)]


def test_text_that_cannot_be_stored_leaves_the_callers_transaction_usable(put, store, database, app_engine):
    with app_engine.begin() as connection:
        with pytest.raises(InvalidInput):
            put([new_job("half \ud800")], connection=connection)
        with pytest.raises(InvalidInput):
            store.active_holder("a\x00b", connection=connection)
        connection.execute(sa.text("insert into orders values (1)"))
        assert connection.scalar(sa.text("select 42")) == 42
    assert sql(database, "select id from orders") == [(1,)]


def test_a_change_on_a_callers_connection_shares_its_fate(store, database, app_engine):
    job = added(store)
    with app_engine.connect() as connection:
        changed = store.change(job, CANCEL, actor="me", connection=connection)
        assert changed.status is JobStatus.CANCELLED
        connection.rollback()
    assert store.get(job.id) == job
    assert count(database, "job_audit") == 0


def test_a_callers_session_in_another_time_zone_gives_the_same_instants(put, store, app_engine):
    with app_engine.begin() as connection:
        connection.execute(sa.text("set local timezone to 'Asia/Kolkata'"))
        [row] = put([new_job("job", due_at=DUE)], connection=connection)
        inside = store.get(row.id, connection=connection)
    assert row.due_at == DUE
    assert inside == store.get(row.id)


# --- find


@pytest.fixture
def shelf(store: PostgresJobStore) -> PostgresJobStore:
    """A few jobs that differ in what can be asked for."""
    added(store, "mail-1", handler_name="Mail", metadata='{"OrderId": 1, "Domain": "Shop"}', due_at=DUE)
    added(store, "mail-2", handler_name="Mail", metadata='{"OrderId": "1"}', due_at=DUE + timedelta(hours=1))
    added(store, "mail", metadata='{"OrderId": 11, "tags": ["a"]}', due_at=DUE + timedelta(hours=2))
    store.change(added(store, "ended", metadata='{"OrderId": null, "a/b": {"c": true}}'), CANCEL)
    return store


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["ended", "mail", "mail-1", "mail-2"]),
        ({"status": ["Cancelled"]}, ["ended"]),
        ({"status": ["Cancelled", "Scheduled"], "handler_name": "Noop"}, ["ended", "mail"]),
        ({"status": ["Running"]}, []),
        ({"handler_name": "Mail"}, ["mail-1", "mail-2"]),
        ({"handler_name": "mail"}, []),
        ({"job_name": "mail"}, ["mail"]),
        ({"job_name": "mail%"}, []),
        ({"job_name": "x' or '1'='1"}, []),
        ({"due_before": DUE}, []),
        ({"due_before": DUE + timedelta(microseconds=1)}, ["mail-1"]),
        ({"due_before": DUE + timedelta(days=1)}, ["mail", "mail-1", "mail-2"]),
        ({"metadata": {"OrderId": ["1"]}}, ["mail-2"]),
        ({"metadata": {"OrderId": [1]}}, ["mail-1"]),
        ({"metadata": {"OrderId": ["1", 1]}}, ["mail-1", "mail-2"]),
        ({"metadata": {"OrderId": ["1", 1.0]}}, ["mail-1", "mail-2"]),
        ({"metadata": {"OrderId": ["1", 1], "Domain": ["Shop"]}}, ["mail-1"]),
        ({"metadata": {"OrderId": [1], "Domain": ["Other"]}}, []),
        ({"metadata": {"OrderId": ["null", None]}}, ["ended"]),
        ({"metadata": {"tags": ["a"]}}, []),
        ({"metadata": {"tags": [["a"]]}}, ["mail"]),
        ({"metadata": {"a/b": [{"c": True}]}}, ["ended"]),
        ({"metadata": {"'; drop table jobs.jobs; --": ["x"]}}, []),
        ({"metadata": {"OrderId": ["1", 1]}, "status": ["Scheduled"], "job_name": "mail-2"}, ["mail-2"]),
    ],
    ids=str,
)  # fmt: skip
def test_a_query_finds_the_jobs_for_which_every_condition_holds(shelf, query, expected):
    assert names(shelf, **query) == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "a\x00b", "\ud800", 10**5_000], ids=ascii_id)
def test_a_metadata_value_that_cannot_be_stored_is_found_nowhere_and_breaks_nothing(shelf, value):
    """``?metadata.OrderId=NaN`` is read as the text and, by Python's parser, as a number that JSON does not have."""
    assert names(shelf, metadata={"OrderId": [value]}) == []
    assert names(shelf, metadata={"OrderId": [value, 1]}) == ["mail-1"]


@pytest.mark.parametrize("key", ["a\x00b", "\ud800"])
def test_a_metadata_key_that_cannot_be_stored_is_found_nowhere_and_breaks_nothing(shelf, key):
    assert names(shelf, metadata={key: ["x"]}) == []


def test_asking_for_many_metadata_keys_at_once_costs_no_more_than_their_number(shelf):
    """Each has two readings; to try every combination of them would be two to the fortieth conditions."""
    many = {f"key-{number}": ["1", 1] for number in range(40)}
    assert names(shelf, metadata=many) == []
    added(shelf, "all", metadata=write_json({key: number % 2 or "1" for number, key in enumerate(many)}))
    assert names(shelf, metadata=many) == ["all"]


def test_pages_follow_one_another_newest_first_without_gap_or_repeat(store, database):
    store.insert_many([new_job(f"job-{number}") for number in range(23)])  # one statement: all of one instant
    for number in range(10):
        added(store, f"later-{number}")
    seen: list[Job] = []
    page = store.find(JobQuery(limit=7))
    while True:
        seen += page.jobs
        added(store, f"meanwhile-{len(seen)}")
        if page.cursor is None:
            break
        page = store.find(JobQuery(limit=7, cursor=page.cursor))
    assert len(seen) == 33
    assert len({job.id for job in seen}) == 33
    assert not any(job.job_name.startswith("meanwhile") for job in seen)
    assert seen == sorted(seen, key=lambda job: (job.created_at, job.id), reverse=True)


def test_a_page_that_is_just_full_has_no_cursor(store):
    store.insert_many([new_job(f"job-{number}") for number in range(6)])
    page = store.find(JobQuery(limit=6))
    assert (len(page.jobs), page.cursor) == (6, None)
    page = store.find(JobQuery(limit=3))
    assert store.find(JobQuery(limit=3, cursor=page.cursor)).cursor is None


def test_pages_stay_in_place_while_jobs_before_them_end_and_go(store, database):
    store.insert_many([new_job(f"job-{number}") for number in range(10)])
    first = store.find(JobQuery(limit=5))
    sql(database, "delete from jobs.jobs where id = :id", id=first.jobs[-1].id)
    second = store.find(JobQuery(limit=5, cursor=first.cursor))
    assert len({job.id for job in first.jobs + second.jobs}) == 10


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "!!!!", "ü", "a" * 10_000, "AAAA", "MjAyNi0wNi0wMVQxMjowMDowMFogeA", "Ig==", "\x00", "\ud800"],
    ids=ascii_id,
)
def test_a_cursor_that_this_api_did_not_give_is_invalid_input(store, cursor):
    with pytest.raises(InvalidInput, match="/cursor: not a cursor that this API gave"):
        store.find(JobQuery(cursor=cursor))


@given(cursor=st.text(alphabet="ABCDEFabcdef0123456789-_=", max_size=90))
@FUZZ
def test_whatever_a_cursor_says_it_is_a_page_or_invalid_input(store, cursor):
    try:
        store.find(JobQuery(cursor=cursor))
    except InvalidInput as error:
        assert [problem.pointer for problem in error.problems] == ["/cursor"]  # noqa: PT017


# --- change


def test_a_change_is_written_and_noted_with_who_did_it(store, database):
    job = added(store)
    changed = store.change(job, Change("update", {"payload": '{"n":2}', "max_retries": 9}), actor="somebody")
    assert (changed.payload, changed.max_retries, changed.revision, changed.generation) == ({"n": 2}, 9, 2, 1)
    assert changed == store.get(job.id)
    assert changed.updated_at >= job.updated_at
    assert sql(database, "select job_id, actor, action, revision from jobs.job_audit") == [
        (job.id, "somebody", "update", 2)
    ]


def test_a_new_generation_is_not_armed_yet(store):
    job = added(store)
    store.mark_armed([AlarmName(job.id, 1)])
    assert store.get(job.id).armed_at is not None
    moved = store.change(store.get(job.id), Change("run-now", {"next_run_at": NOW}, new_generation=True))
    assert (moved.generation, moved.armed_at) == (2, None)


def test_a_change_decided_on_an_old_revision_is_not_written(store, database):
    job = added(store)
    assert store.change(job, Change("update", {"max_retries": 1})) is not None
    assert store.change(job, Change("update", {"max_retries": 2}), actor="late") is None
    assert store.get(job.id).max_retries == 1
    assert sql(database, "select actor from jobs.job_audit") == [(None,)]


def test_a_change_to_a_job_that_is_gone_is_not_written(store, database):
    job = added(store)
    sql(database, "delete from jobs.jobs")
    assert store.change(job, CANCEL) is None


def test_of_changes_at_the_same_time_one_is_written(store, database):
    job = added(store)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: store.change(job, Change("update", {"max_retries": n})), range(8)))
    [winner] = [result for result in results if result is not None]
    assert store.get(job.id) == winner
    assert (winner.revision, count(database, "job_audit")) == (2, 1)


def test_every_column_that_a_command_may_change_is_written_as_it_was_given(store):
    job = added(store)
    columns = {
        "schedule": "0 9 * * *",
        "timezone": "Europe/Berlin",
        "options": '{"jitter": "PT5S"}',
        "recurring": True,
        "payload": "null",
        "metadata": '{"a": 1}',
        "paused": True,
        "next_run_at": DUE,
        "scheduled_for": DUE,
        "attempt": 2,
        "max_retries": 0,
        "timeout": timedelta(seconds=90, microseconds=500),
        "cancel_requested_at": DUE,
        "anchor": DUE,
    }
    changed = store.change(job, Change("test", columns))
    assert (changed.payload, changed.metadata, changed.jitter) == (None, {"a": 1}, timedelta(seconds=5))
    for name in columns.keys() - {"payload", "metadata", "options"}:
        assert getattr(changed, name) == columns[name], name
    assert store.change(changed, Change("test", {"timeout": None, "options": None})).timeout is None


def test_a_change_that_would_take_a_held_name_names_the_holder(store, database):
    ended = store.change(added(store, "name"), CANCEL)
    holder = added(store, "name")
    with pytest.raises(JobNameTaken) as caught:
        store.change(ended, REVIVE)
    assert (caught.value.job_name, caught.value.holder) == ("name", holder.id)
    assert store.get(ended.id) == ended
    assert count(database, "job_audit") == 1


def test_a_text_that_cannot_be_stored_is_refused_in_a_change_too(store):
    job = added(store)
    with pytest.raises(InvalidInput):
        store.change(job, Change("update", {"max_retries": 1}), actor="a\x00b")
    assert store.get(job.id) == job


# --- armed


def test_only_the_current_alarm_of_a_waiting_job_is_noted_as_armed(store):
    jobs = [added(store, name) for name in ("current", "past", "ended")]
    store.change(jobs[2], Change("cancel", {"status": "Cancelled", "handled_at": NOW, "next_run_at": None}))
    moved = store.change(jobs[1], Change("run-now", {"next_run_at": NOW}, new_generation=True))
    store.mark_armed([AlarmName(job.id, 1) for job in jobs] + [AlarmName(new_id(), 1)])
    assert [store.get(job.id).armed_at is not None for job in jobs] == [True, False, False]
    assert store.get(moved.id).revision == moved.revision
    store.mark_armed([])


# --- idempotency keys


def test_the_first_answer_under_a_key_is_given_again(store):
    with store.once("key", "body-1") as entry:
        assert entry.response is None
        store.insert_many([new_job("job")], connection=entry.connection)
        entry.keep('{"id": "ü"}')
    for _ in range(2):
        with store.once("key", "body-1") as entry:
            assert entry.response == '{"id": "ü"}'
    assert names(store) == ["job"]


def test_a_key_used_for_another_request_is_refused(store):
    with store.once("key", "body-1") as entry:
        entry.keep("answer")
    with pytest.raises(IdempotencyKeyReused), store.once("key", "body-2"):
        pytest.fail("the block must not run")


def test_another_key_is_another_request(store):
    for key in ("a", "A", "a ", "%"):
        with store.once(key, "body") as entry:
            assert entry.response is None
            entry.keep("answer")


def test_what_fails_under_a_key_leaves_neither_job_nor_key(store, database):
    with suppress(ZeroDivisionError), store.once("key", "body-1") as entry:
        store.insert_many([new_job("job")], connection=entry.connection)
        entry.keep("never")
        raise ZeroDivisionError
    assert (count(database), count(database, "idempotency_keys")) == (0, 0)
    with store.once("key", "body-2") as entry:
        assert entry.response is None


def test_a_request_under_a_key_that_is_in_use_waits_for_the_first_and_gets_its_answer(store, database):
    answers = []

    def second() -> None:
        with store.once("key", "body") as entry:
            answers.append(entry.response)

    with store.once("key", "body") as entry:
        other = threading.Thread(target=second)
        other.start()
        until(lambda: sql(database, "select 1 from pg_locks where not granted") != [])
        assert answers == []
        entry.keep("the first's")
    other.join(60)
    assert answers == ["the first's"]


def test_a_request_under_a_key_whose_first_user_fails_does_the_work_itself(store, database):
    answers = []

    def second() -> None:
        with store.once("key", "other body") as entry:
            answers.append(entry.response)
            entry.keep("the second's")

    with suppress(ZeroDivisionError), store.once("key", "body"):
        other = threading.Thread(target=second)
        other.start()
        until(lambda: sql(database, "select 1 from pg_locks where not granted") != [])
        raise ZeroDivisionError
    other.join(60)
    assert answers == [None]
    with store.once("key", "other body") as entry:
        assert entry.response == "the second's"


def test_of_many_requests_under_one_key_exactly_one_does_the_work(store, database):
    barrier = threading.Barrier(8)

    def request(number: int) -> str:
        barrier.wait()
        with store.once("key", "body") as entry:
            if entry.response is None:
                store.insert_many([new_job(f"job-{number}")], connection=entry.connection)
                entry.keep(f"job-{number}")
                return f"job-{number}"
            return entry.response

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(request, range(8)))
    assert answers == set(names(store))
    assert len(answers) == 1


def test_a_key_that_stays_in_use_is_given_up_on_and_nothing_is_written(store, database, server):
    name = database.engine.url.database
    # Directly: behind PgBouncer the lock time-out is the role's, not ours to set.
    impatient = Database(DatabaseOptions(server.direct_url(name), lock_timeout_seconds=0.05))
    with store.once("key", "body") as entry:
        with pytest.raises(StoreUnavailable), PostgresJobStore(impatient, "jobs").once("key", "body"):
            pytest.fail("the block must not run")
        entry.keep("answer")
    impatient.close()
    assert count(database, "idempotency_keys") == 1


# --- many at once


def test_of_a_hundred_inserts_of_one_name_exactly_one_stands(store, database):
    barrier = threading.Barrier(20)

    def insert(_: int) -> list[UUID]:
        barrier.wait()
        return [row.id for _ in range(5) for row in store.insert_many([new_job("wanted")]) if row]

    with ThreadPoolExecutor(20) as pool:
        stand = [job_id for ids in pool.map(insert, range(20)) for job_id in ids]
    assert len(stand) == 1
    assert store.active_holder("wanted").id == stand[0]
    assert count(database) == 1


def test_batches_of_the_same_names_in_any_order_never_deadlock(store, database, caplog):
    """A deadlock would be tried again, and so be told in the log only."""
    orders = list(permutations(range(0, 60, 10)))[::60]
    barrier = threading.Barrier(len(orders))

    def insert(order: tuple[int, ...]) -> int:
        inserted = 0
        for lap in range(6):
            barrier.wait()
            batch = [new_job(f"{lap}-{tens + units}") for tens in order for units in range(10)]
            inserted += sum(row is not None for row in store.insert_many(batch))
        return inserted

    with ThreadPoolExecutor(len(orders)) as pool:
        assert sum(pool.map(insert, orders)) == 6 * 60
    assert count(database) == 6 * 60
    assert "trying again" not in caplog.text


def test_batches_with_the_same_ids_under_other_names_all_end_and_each_id_is_inserted_once(store, database):
    ids = [new_id() for _ in range(30)]
    barrier = threading.Barrier(6)

    def insert(worker: int) -> int:
        order = ids if worker % 2 else ids[::-1]
        batch = [new_job(f"{worker}-{place:03}", id=job_id) for place, job_id in enumerate(order)]
        barrier.wait()
        return sum(row is not None for row in store.insert_many(batch))

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(insert, range(6))) == 30
    assert count(database) == 30


def test_alarms_noted_in_any_order_never_deadlock(store, database, caplog):
    rows = store.insert_many([new_job(f"job-{number}") for number in range(60)])
    alarms = [AlarmName(row.id, 1) for row in rows]
    barrier = threading.Barrier(4)

    def note(worker: int) -> None:
        order = alarms if worker % 2 else alarms[::-1]
        for _ in range(5):
            barrier.wait()
            store.mark_armed(order)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(note, range(4)))
    assert sql(database, "select count(*) from jobs.jobs where armed_at is null") == [(0,)]
    assert "trying again" not in caplog.text
