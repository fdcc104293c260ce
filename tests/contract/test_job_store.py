"""What any ``JobStore`` must do: each test is a rule, and each store is held to it."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta, timezone
from uuid import UUID

import pytest

from jobs.core.errors import IdempotencyKeyReused, InvalidInput, JobNameTaken, StoreUnavailable
from jobs.core.lifecycle.ids import AlarmName, new_id
from jobs.core.lifecycle.status import JobStatus
from jobs.core.ports.jobs import NOW, Change, Inserted
from jobs.core.queries import HistoryQuery, JobQuery
from tests.contract.stores import DAY, LEASE, MINUTE, NOON, SECOND, Stores
from tests.support import new_job

CANCEL = Change("cancel", {"status": JobStatus.CANCELLED, "handled_at": NOW, "next_run_at": None}, new_generation=True)
REPLAY = Change(
    "retry",
    {"status": JobStatus.SCHEDULED, "handled_at": None, "next_run_at": NOW, "scheduled_for": NOW, "attempt": 0},
    new_generation=True,
)


# --- insert


def test_a_new_job_is_read_as_it_was_inserted(stores: Stores):
    new = new_job(
        "naïve \U0001f600 \\ \" ' {}",
        schedule="0 9 * * *",
        timezone="Europe/Berlin",
        options=json.dumps({"jitter": "PT5S", "misfire": {"policy": "skip"}, "max_runs": 3}),
        recurring=True,
        payload='{"b":[1,2.5,null,true,"ü"],"a":1e2}',
        metadata='{"OrderId":7}',
        due_at=NOON + SECOND,
        scheduled_for=NOON,
        anchor=NOON - DAY,
        max_retries=7,
        timeout_seconds=1.5,
        created_by="somebody",
        trace_parent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
        payload_version=2,
        limited=True,
        concurrency_key="k",
        retry='{"factor": 3.0}',
        parent_id=UUID(int=7),
    )
    assert stores.jobs.insert(new) == Inserted(new.id, NOON, NOON + SECOND, NOON)
    job = stores.read(new.id)
    assert job.model_dump(mode="json") == {
        "id": str(new.id),
        "handler_name": "Noop",
        "job_name": new.job_name,
        "schedule": "0 9 * * *",
        "timezone": "Europe/Berlin",
        "dst": {"gap": "shift", "overlap": "once"},
        "day_match": "any",
        "misfire": {"policy": "skip", "max": None, "grace": "PT1M"},
        "start_at": None,
        "end_at": None,
        "max_runs": 3,
        "jitter": "PT5S",
        "status": "Scheduled",
        "paused": False,
        "payload": {"a": 100, "b": [1, 2.5, None, True, "ü"]},
        "metadata": {"OrderId": 7},
        "recurring": True,
        "next_run_at": "2026-06-01T12:00:01Z",
        "scheduled_for": "2026-06-01T12:00:00Z",
        "anchor": "2026-05-31T12:00:00Z",
        "generation": 1,
        "armed_at": None,
        "attempt": 0,
        "max_retries": 7,
        "retry": {"base": None, "factor": 3.0, "cap": None, "jitter": None},
        "waiting_for": None,
        "waiting_for_detail": None,
        "timeout": "PT1.5S",
        "payload_version": 2,
        "limited": True,
        "concurrency_key": "k",
        "progress": None,
        "progress_message": None,
        "result": None,
        "run_count": 0,
        "consecutive_failures": 0,
        "lost_count": 0,
        "last_run_at": None,
        "last_error": None,
        "failure": None,
        "handled_at": None,
        "cancel_requested_at": None,
        "started_at": None,
        "lease_expires_at": None,
        "worker": None,
        "revision": 1,
        "created_by": "somebody",
        "parent_id": "00000000-0000-0000-0000-000000000007",
        "trace_parent": new.trace_parent,
        "created_at": "2026-06-01T12:00:00Z",
        "updated_at": "2026-06-01T12:00:00Z",
    }


def test_what_a_row_leaves_open_is_now_by_the_stores_clock(stores: Stores):
    new = new_job()
    stores.pass_time(SECOND)
    assert stores.jobs.insert(new) == Inserted(new.id, NOON + SECOND, NOON + SECOND, NOON + SECOND)
    job = stores.read(new.id)
    assert job.next_run_at == job.scheduled_for == job.anchor == job.created_at == NOON + SECOND


def test_an_instant_of_any_offset_is_the_same_instant_in_utc(stores: Stores):
    due_at = (NOON + DAY).astimezone(timezone(timedelta(hours=3)))
    job = stores.add(due_at=due_at, scheduled_for=due_at, anchor=due_at)
    assert [moment.isoformat() for moment in (job.next_run_at, job.scheduled_for, job.anchor)] == [
        "2026-06-02T12:00:00+00:00"
    ] * 3


def test_a_job_that_does_not_exist_is_none(stores: Stores):
    stores.add()
    assert stores.jobs.get(new_id()) is None
    assert stores.jobs.active_holder("another") is None
    assert stores.jobs.attempts(new_id()) == []


def test_a_name_that_an_active_job_holds_is_not_inserted(stores: Stores):
    job = stores.add("taken")
    assert stores.jobs.insert(new_job("taken")) is None
    stores.claim(job)
    assert stores.jobs.insert(new_job("taken")) is None, "of a running one as well"
    assert stores.jobs.active_holder("taken") == stores.read(job.id)


def test_a_name_is_compared_whole_and_by_every_character(stores: Stores):
    for name in ("a", "A", "a ", "%", "_", "á", "a\u0301"):
        assert stores.jobs.insert(new_job(name)) is not None, name
    assert stores.jobs.active_holder("_").job_name == "_"


@pytest.mark.parametrize("status", [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED])
def test_a_name_is_free_again_once_its_job_has_ended(stores: Stores, status: JobStatus):
    stores.finish(stores.running("name"), status=status)
    assert stores.jobs.active_holder("name") is None
    assert stores.jobs.insert(new_job("name")) is not None


def test_an_id_is_never_used_twice_whatever_became_of_its_job(stores: Stores):
    first = stores.add("first")
    assert stores.jobs.insert(new_job("second", id=first.id)) is None
    stores.jobs.change(first, CANCEL)
    assert stores.jobs.insert(new_job("third", id=first.id)) is None
    assert stores.names() == ["first"]


def test_of_many_rows_each_is_inserted_on_its_own_merit_and_answered_in_order(stores: Stores):
    taken = stores.add("taken")
    new = [
        new_job("b"),
        new_job("taken"),
        new_job("a"),
        new_job("b"),
        new_job("c", id=taken.id),
        new_job("d", due_at=NOON + DAY),
    ]
    assert stores.jobs.insert_many(iter(new)) == [
        Inserted(new[0].id, NOON, NOON, NOON),
        None,
        Inserted(new[2].id, NOON, NOON, NOON),
        None,
        None,
        Inserted(new[5].id, NOON, NOON + DAY, NOON),
    ]
    assert stores.names() == ["a", "b", "d", "taken"]
    assert stores.jobs.insert_many([]) == []


def test_of_an_id_that_stands_twice_in_a_batch_the_first_is_inserted_and_said_to_be(stores: Stores):
    same = new_id()
    rows = stores.jobs.insert_many([new_job("b", id=same), new_job("a", id=same), new_job("c"), new_job("d", id=same)])
    assert stores.names() == ["b", "c"]
    assert [row is not None for row in rows] == [True, False, True, False]


def test_an_id_that_stands_twice_is_tried_once_even_if_its_first_name_is_taken(stores: Stores):
    stores.add("taken")
    same = new_id()
    assert stores.jobs.insert_many([new_job("taken", id=same), new_job("free", id=same)]) == [None, None]
    assert stores.names() == ["taken"]


@pytest.mark.parametrize("broken", ["half \ud800 a pair", "\udfff"])
def test_text_that_cannot_be_kept_is_invalid_input_and_nothing_is_written(stores: Stores, broken: str):
    job = stores.add("other")
    for call in (
        lambda: stores.jobs.insert(new_job(broken)),
        lambda: stores.jobs.insert_many([new_job("fine"), new_job(broken)]),
        lambda: stores.jobs.active_holder(broken),
        lambda: stores.jobs.change(job, Change("update", {"max_retries": 1}), actor=broken),
    ):
        with pytest.raises(InvalidInput):
            call()
    assert stores.jobs.find(JobQuery()).jobs == [job]


def test_of_many_inserts_of_one_name_at_once_exactly_one_stands(stores: Stores):
    barrier = threading.Barrier(8)

    def insert(_: int) -> int:
        barrier.wait()
        return sum(stores.jobs.insert(new_job("wanted")) is not None for _ in range(5))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(insert, range(8))) == 1


# --- find


@pytest.fixture
def shelf(stores: Stores) -> Stores:
    """A few jobs that differ in what can be asked for."""
    stores.add("mail-1", handler_name="Mail", metadata='{"OrderId": 1, "Domain": "Shop"}', due_at=NOON)
    stores.add("mail-2", handler_name="Mail", metadata='{"OrderId": "1"}', due_at=NOON + MINUTE)
    stores.add("mail", metadata='{"OrderId": 11, "tags": ["a", [1, 2.50]], "on": true}', due_at=NOON + DAY)
    stores.jobs.change(stores.add("ended", metadata='{"OrderId": null, "a/b": {"c": true, "d": {}}}'), CANCEL)
    stores.add("plain")
    return stores


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "ended mail mail-1 mail-2 plain"),
        ({"status": ["Cancelled"]}, "ended"),
        ({"status": ["Cancelled", "Scheduled"], "handler_name": "Noop"}, "ended mail plain"),
        ({"status": ["Running"]}, ""),
        ({"handler_name": "Mail"}, "mail-1 mail-2"),
        ({"handler_name": "mail"}, ""),
        ({"job_name": "mail"}, "mail"),
        ({"job_name": "mail%"}, ""),
        ({"job_name": ["mail", "plain"]}, "mail plain"),
        ({"job_name_prefix": ["mail-"]}, "mail-1 mail-2"),
        ({"job_name_prefix": ["mail-", "pl"], "job_name": "mail"}, "mail mail-1 mail-2 plain"),
        ({"job_name_prefix": ["mail%", "_"]}, ""),
        ({"handler_name": ["Mail", "Noop"], "job_name": "mail-1"}, "mail-1"),
        ({"overdue": True}, ""),
        ({"overdue": False, "status": ["Cancelled"]}, "ended"),
        ({"paused": True}, ""),
        ({"recurring": False}, "ended mail mail-1 mail-2 plain"),
        ({"parent_id": [UUID(int=1)]}, ""),
        ({"created_after": NOON, "ended_before": NOON + SECOND}, "ended"),
        ({"created_before": NOON}, ""),
        ({"ended_after": NOON + SECOND}, ""),
        ({"due_after": NOON + MINUTE}, "mail mail-2"),
        ({"due_after": NOON, "due_before": NOON + MINUTE}, "mail-1 plain"),
        ({"due_before": NOON}, ""),
        ({"due_before": NOON + timedelta(microseconds=1)}, "mail-1 plain"),
        ({"due_before": NOON + 2 * DAY}, "mail mail-1 mail-2 plain"),
        ({"metadata": {"OrderId": ["1"]}}, "mail-2"),
        ({"metadata": {"OrderId": [1]}}, "mail-1"),
        ({"metadata": {"OrderId": ["1", 1.0]}}, "mail-1 mail-2"),
        ({"metadata": {"OrderId": [1], "Domain": ["Shop"]}}, "mail-1"),
        ({"metadata": {"OrderId": [1], "Domain": ["Other"]}}, ""),
        ({"metadata": {"OrderId": ["null", None]}}, "ended"),
        ({"metadata": {"OrderId": [float("nan"), 1]}}, "mail-1"),
        ({"metadata": {"OrderId": []}}, ""),
        ({"metadata": {"on": [1]}}, ""),
        ({"metadata": {"on": [True]}}, "mail"),
        ({"metadata": {"tags": ["a"]}}, ""),
        ({"metadata": {"tags": [["a"]]}}, "mail"),
        ({"metadata": {"tags": [[]]}}, "mail"),
        ({"metadata": {"tags": [[[2.5]]]}}, "mail"),
        ({"metadata": {"tags": [[2.5]]}}, ""),
        ({"metadata": {"tags": [{}]}}, ""),
        ({"metadata": {"a/b": [{"c": True}]}}, "ended"),
        ({"metadata": {"a/b": [{}]}}, "ended"),
        ({"metadata": {"a/b": [{"d": {"e": 1}}]}}, ""),
        ({"metadata": {"OrderId": ["1", 1]}, "status": ["Scheduled"], "job_name": "mail-2"}, "mail-2"),
    ],
    ids=str,
)
def test_a_query_finds_the_jobs_for_which_every_condition_holds(shelf: Stores, query, expected: str):
    assert shelf.names(**query) == expected.split()


def test_a_job_that_ended_while_it_was_paused_is_paused_no_more(stores: Stores):
    pause = Change("pause", {"paused": True})
    stores.jobs.change(stores.add("waiting"), pause)
    ended = stores.jobs.change(stores.jobs.change(stores.add("ended"), pause), CANCEL)
    assert not stores.read(ended.id).paused
    assert stores.names(paused=True) == ["waiting"]
    assert stores.names(paused=False) == ["ended"]


def test_pages_follow_one_another_newest_first_without_gap_or_repeat(stores: Stores):
    stores.jobs.insert_many([new_job(f"job-{number}") for number in range(11)])  # all of one instant
    for number in range(6):
        stores.pass_time(SECOND)
        stores.add(f"later-{number}")
    seen = []
    page = stores.jobs.find(JobQuery(limit=5))
    while True:
        seen += page.jobs
        stores.pass_time(SECOND)
        stores.add(f"meanwhile-{len(seen)}")
        if page.cursor is None:
            break
        page = stores.jobs.find(JobQuery(limit=5, cursor=page.cursor))
    assert len(seen) == 17
    assert seen == sorted(seen, key=lambda job: (job.created_at, job.id), reverse=True)
    assert not any(job.job_name.startswith("meanwhile") for job in seen)


def test_a_page_that_is_just_full_has_no_cursor(stores: Stores):
    stores.jobs.insert_many([new_job(f"job-{number}") for number in range(4)])
    assert stores.jobs.find(JobQuery(limit=4)).cursor is None
    page = stores.jobs.find(JobQuery(limit=2))
    assert stores.jobs.find(JobQuery(limit=2, cursor=page.cursor)).cursor is None


@pytest.mark.parametrize("cursor", ["", "x", "!!!!", "ü", "AAAA", "MjAyNi0wNi0wMVQxMjowMDowMFogeA", "\x00", "\ud800"])
def test_a_cursor_that_nobody_gave_is_invalid_input(stores: Stores, cursor: str):
    with pytest.raises(InvalidInput, match="/cursor: not a cursor that this API gave"):
        stores.jobs.find(JobQuery(cursor=cursor))


# --- change


def test_a_change_is_written_and_noted_with_who_did_it(stores: Stores):
    job = stores.add()
    stores.pass_time(SECOND)
    changed = stores.jobs.change(job, Change("update", {"payload": '{"n":2}', "max_retries": 9}), actor="somebody")
    assert changed == stores.read(job.id)
    assert changed == job.model_copy(
        update={"payload": {"n": 2}, "max_retries": 9, "revision": 2, "updated_at": NOON + SECOND}
    )
    assert stores.audit() == [(job.id, NOON + SECOND, "somebody", "update", 2)]


def test_every_column_that_a_command_may_change_is_written_as_it_was_given(stores: Stores):
    columns = {
        "schedule": "0 9 * * *",
        "timezone": "Europe/Berlin",
        "options": '{"jitter": "PT5S"}',
        "recurring": True,
        "payload": "null",
        "metadata": '{"a": 1}',
        "retry": '{"factor": 2.5}',
        "paused": True,
        "next_run_at": NOON + DAY,
        "scheduled_for": NOON + DAY,
        "attempt": 2,
        "max_retries": 0,
        "run_count": 4,
        "payload_version": 3,
        "timeout": timedelta(seconds=90, microseconds=500),
        "cancel_requested_at": NOW,
        "anchor": NOON - DAY,
    }
    stores.pass_time(SECOND)
    changed = stores.jobs.change(stores.add(), Change("test", columns))
    assert (changed.payload, changed.metadata, changed.jitter) == (None, {"a": 1}, timedelta(seconds=5))
    assert (changed.retry.factor, changed.cancel_requested_at) == (2.5, NOON + SECOND)
    for name in columns.keys() - {"payload", "metadata", "options", "retry", "cancel_requested_at"}:
        assert getattr(changed, name) == columns[name], name
    bare = stores.jobs.change(changed, Change("test", {"timeout": None, "options": None, "retry": None}))
    assert (bare.timeout, bare.jitter, bare.retry) == (None, None, None)


def test_a_new_generation_is_not_armed_yet(stores: Stores):
    job = stores.add()
    stores.jobs.mark_armed([AlarmName(job.id, 1)])
    moved = stores.jobs.change(stores.read(job.id), Change("run-now", {"next_run_at": NOW}, new_generation=True))
    assert (moved.generation, moved.armed_at) == (2, None)


def test_a_change_decided_on_an_old_revision_is_not_written(stores: Stores):
    job = stores.add()
    assert stores.jobs.change(job, Change("update", {"max_retries": 1})) is not None
    assert stores.jobs.change(job, Change("update", {"max_retries": 2}), actor="late") is None
    assert stores.read(job.id).max_retries == 1
    assert [line[2] for line in stores.audit()] == [None]


def test_a_change_to_a_job_that_is_gone_is_not_written(stores: Stores):
    job = stores.jobs.change(stores.add(), CANCEL)
    stores.pass_time(2 * DAY)
    assert stores.housekeeping.prune(10, DAY, keep=20) == 1
    assert stores.jobs.change(job, REPLAY) is None
    assert stores.audit() == []


def test_of_changes_at_the_same_time_one_is_written(stores: Stores):
    job = stores.add()
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda n: stores.jobs.change(job, Change("update", {"max_retries": n})), range(8)))
    [winner] = [result for result in results if result is not None]
    assert stores.read(job.id) == winner
    assert (winner.revision, len(stores.audit())) == (2, 1)


def test_a_change_that_would_take_a_held_name_names_the_holder_and_changes_nothing(stores: Stores):
    ended = stores.jobs.change(stores.add("name"), CANCEL)
    holder = stores.add("name")
    with pytest.raises(JobNameTaken) as caught:
        stores.jobs.change(ended, REPLAY)
    assert (caught.value.job_name, caught.value.holder) == ("name", holder.id)
    assert stores.read(ended.id) == ended
    assert len(stores.audit()) == 1


def test_no_change_leaves_a_job_between_two_states(stores: Stores):
    job = stores.add()
    for columns in ({"status": "Completed"}, {"status": "Running"}, {"next_run_at": None}, {"handled_at": NOW}):
        with pytest.raises(Exception, match="jobs_state_is_whole"):
            stores.jobs.change(job, Change("test", columns))
    with pytest.raises(Exception, match="jobs_counts_are_sane"):
        stores.jobs.change(job, Change("test", {"attempt": -1}))
    assert stores.read(job.id) == job


@pytest.mark.parametrize("timeout", [-SECOND, timedelta(), timedelta(days=367)])
def test_no_change_writes_a_timeout_that_could_not_be_read(stores: Stores, timeout: timedelta):
    job = stores.add()
    with pytest.raises(Exception, match="jobs_values_can_be_read"):
        stores.jobs.change(job, Change("test", {"timeout": timeout}))
    assert stores.read(job.id) == job


# --- alarms


def test_only_the_current_alarm_of_a_waiting_job_is_noted_as_armed(stores: Stores):
    current, past, ended, running = (stores.add(name) for name in ("current", "past", "ended", "running"))
    stores.jobs.change(ended, CANCEL)
    stores.jobs.change(past, Change("run-now", {"next_run_at": NOW}, new_generation=True))
    stores.claim(running)
    stores.pass_time(SECOND)
    stores.jobs.mark_armed([AlarmName(job.id, 1) for job in (current, past, ended, running)] + [AlarmName(new_id(), 1)])
    armed = [stores.read(job.id).armed_at for job in (current, past, ended, running)]
    assert armed == [NOON + SECOND, None, None, None]
    assert stores.read(current.id).revision == 1, "what somebody read to change it still stands"
    stores.jobs.mark_armed([])


def test_a_note_is_taken_back_from_the_current_alarm_only(stores: Stores):
    job = stores.add()
    stores.jobs.mark_armed([AlarmName(job.id, 1)])
    stores.jobs.forget_armed(AlarmName(job.id, 2))
    assert stores.read(job.id).armed_at == NOON
    stores.jobs.forget_armed(AlarmName(job.id, 1))
    assert stores.read(job.id).armed_at is None
    stores.jobs.forget_armed(AlarmName(new_id(), 1))


def test_the_alarms_that_jobs_wait_for_are_those_that_nobody_has_accepted(stores: Stores):
    waiting, armed, paused, ended = (stores.add(name, due_at=NOON + DAY) for name in ("a", "b", "c", "d"))
    stores.jobs.mark_armed([AlarmName(armed.id, 1)])
    stores.jobs.change(paused, Change("pause", {"paused": True}))
    stores.jobs.change(ended, CANCEL)
    asked = [job.id for job in (waiting, armed, paused, ended)] + [new_id(), waiting.id]
    assert stores.jobs.waiting_alarms(asked) == [(AlarmName(waiting.id, 1), NOON + DAY)]
    assert stores.jobs.waiting_alarms([]) == []


# --- idempotency keys


def test_the_first_answer_under_a_key_is_given_again(stores: Stores):
    with stores.jobs.once("key", "body-1") as entry:
        assert entry.response is None
        assert stores.jobs.insert(new_job("job"), connection=entry.connection) is not None
        entry.keep('{"id": "ü"}')
        assert stores.names() == []
    for _ in range(2):
        with stores.jobs.once("key", "body-1") as entry:
            assert entry.response == '{"id": "ü"}'
    assert stores.names() == ["job"]


def test_work_under_a_key_stands_though_no_answer_was_kept(stores: Stores):
    with stores.jobs.once("key", "body") as entry:
        stores.jobs.insert(new_job("job"), connection=entry.connection)
    with stores.jobs.once("key", "body") as entry:
        assert entry.response is None
        entry.keep("answer")
    with stores.jobs.once("key", "body") as entry:
        assert entry.response == "answer"
    assert stores.names() == ["job"]


def test_a_key_used_for_another_request_is_refused(stores: Stores):
    with stores.jobs.once("key", "body-1") as entry:
        entry.keep("answer")
    with pytest.raises(IdempotencyKeyReused), stores.jobs.once("key", "body-2"):
        pytest.fail("the block must not run")


def test_another_key_is_another_request(stores: Stores):
    for key in ("a", "A", "a ", "%"):
        with stores.jobs.once(key, "body") as entry:
            assert entry.response is None
            entry.keep("answer")


def test_what_fails_under_a_key_leaves_neither_job_nor_key(stores: Stores):
    with suppress(ZeroDivisionError), stores.jobs.once("key", "body-1") as entry:
        stores.jobs.insert(new_job("job"), connection=entry.connection)
        entry.keep("never")
        raise ZeroDivisionError
    assert stores.names() == []
    with stores.jobs.once("key", "body-2") as entry:
        assert entry.response is None


def test_of_many_requests_under_one_key_exactly_one_does_the_work(stores: Stores):
    barrier = threading.Barrier(6)

    def request(number: int) -> str:
        barrier.wait()
        with stores.jobs.once("key", "body") as entry:
            if entry.response is not None:
                return entry.response
            stores.jobs.insert(new_job(f"job-{number}"), connection=entry.connection)
            entry.keep(f"job-{number}")
            return f"job-{number}"

    with ThreadPoolExecutor(6) as pool:
        answers = set(pool.map(request, range(6)))
    assert answers == set(stores.names())
    assert len(answers) == 1


def test_a_key_that_stays_in_use_is_given_up_on_and_nothing_is_written(stores: Stores):
    with stores.jobs.once("key", "body") as entry:
        with pytest.raises(StoreUnavailable), (stores.impatient or stores).jobs.once("key", "body"):
            pytest.fail("the block must not run")
        entry.keep("answer")
    with stores.jobs.once("key", "body") as entry:
        assert entry.response == "answer"


def test_a_line_of_the_history_says_how_often_its_job_had_been_retried(stores: Stores):
    job = stores.add()
    for _ in range(3):
        stores.pass_time(SECOND)
        stores.finish(stores.claim(stores.read(job.id)), status=JobStatus.FAILED, last_error="it failed")
        stores.pass_time(SECOND)
        stores.jobs.change(stores.read(job.id), REPLAY)
    stores.jobs.change(stores.read(job.id), Change("pause", {"paused": True}))
    assert [line.retried for line in stores.jobs.attempts(job.id)] == [2, 1, 0]
    assert [line.retried for line in stores.jobs.find_attempts(job.id, HistoryQuery(limit=1)).attempts] == [2]


def test_a_history_is_read_newest_first(stores: Stores):
    job = stores.add(max_retries=5)
    for _ in range(3):
        [run] = stores.runs.claim_due(1, worker="worker", lease=LEASE)
        stores.again(run, SECOND, attempt=run.attempt)
        stores.pass_time(SECOND)
    assert [attempt.attempt for attempt in stores.jobs.attempts(job.id)] == [3, 2, 1]


# --- replace


def test_a_replaced_job_is_cancelled_and_its_name_is_the_new_ones_in_one_step(stores: Stores):
    holder = stores.add("name", due_at=NOON + DAY)
    stores.pass_time(SECOND)
    new = new_job("name", payload='{"a":1}', due_at=NOON + MINUTE)
    assert stores.jobs.replace(holder, new, actor="me") == Inserted(new.id, NOON + SECOND, NOON + MINUTE, NOON + SECOND)
    old = stores.read(holder.id)
    assert (old.status, old.handled_at, old.next_run_at) == ("Cancelled", NOON + SECOND, None)
    assert (old.generation, old.revision, old.armed_at) == (2, 2, None)
    assert stores.jobs.active_holder("name").id == new.id
    assert stores.audit() == [(holder.id, NOON + SECOND, "me", "replace", 2)]


def test_a_holder_that_has_changed_or_runs_or_has_another_name_is_not_replaced(stores: Stores):
    read = stores.add("name", due_at=NOON)
    assert stores.jobs.replace(read, new_job("another name")) is None
    paused = stores.jobs.change(read, Change("pause", {"paused": True}))
    assert stores.jobs.replace(read, new_job("name")) is None, "of another revision"
    resumed = stores.jobs.change(paused, Change("resume", {"paused": False}))
    stores.claim(resumed)
    assert stores.jobs.replace(stores.read(read.id), new_job("name")) is None, "it runs"
    assert stores.read(read.id).status == "Running"
    assert stores.names() == ["name"]


def test_a_replacement_whose_id_is_taken_leaves_the_holder_alone(stores: Stores):
    taken, holder = stores.add("taken"), stores.add("name")
    assert stores.jobs.replace(holder, new_job("name", id=taken.id)) is None
    assert (stores.read(holder.id), stores.audit()) == (holder, [])


def test_a_replacement_within_a_transaction_ends_with_it(stores: Stores):
    holder, new = stores.add("name"), new_job("name")
    transaction = stores.transactions.begin()
    assert stores.jobs.replace(holder, new, connection=transaction.connection) is not None
    assert stores.jobs.active_holder("name", connection=transaction.connection).id == new.id
    assert stores.jobs.active_holder("name").id == holder.id
    transaction.close()
    assert stores.jobs.active_holder("name") == holder
    assert stores.jobs.get(new.id) is None


def test_jobs_that_are_active_are_told_from_those_that_have_ended_or_never_were(stores):
    waiting, running, paused = stores.add("waiting"), stores.running("running"), stores.add("paused")
    stores.jobs.change(paused, Change("pause", {"paused": True}))
    ended = stores.running("ended")
    stores.finish(ended)
    ids = [waiting.id, running.job_id, paused.id, ended.job_id, new_id()]
    assert stores.jobs.active_among(ids) == {waiting.id, running.job_id, paused.id}
    assert stores.jobs.active_among([]) == set()
