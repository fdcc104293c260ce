"""What any ``Transactions`` must do: what a transaction writes is its own until it commits, and gone if it does not."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from jobs.core.errors import JobNameTaken, JobsError, StoreUnavailable, UnitOfWorkError
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.job import Recorded
from jobs.core.lifecycle.status import JobStatus
from jobs.core.ports.jobs import NOW, Change
from jobs.core.transactions.unit_of_work import UnitsOfWork
from tests.contract.stores import DAY, LEASE, MINUTE, NOON, SECOND, Stores, lease_of
from tests.support import new_job

CANCEL = Change("cancel", {"status": JobStatus.CANCELLED, "handled_at": NOW, "next_run_at": None}, new_generation=True)
RAISE_RETRIES = Change("update", {"max_retries": 9})


@contextmanager
def transaction(stores: Stores, *, commit: bool = True) -> Iterator[Any]:
    """A transaction that commits in the end unless the block fails, or it is not to."""
    opened = stores.transactions.begin()
    try:
        yield opened.connection
        if commit:
            opened.commit()
    finally:
        opened.close()


# --- committed or not


def test_what_a_transaction_inserts_is_its_own_until_it_commits(stores: Stores):
    one, *many = new_job("one"), new_job("two"), new_job("three")
    with transaction(stores) as connection:
        assert stores.jobs.insert(one, connection=connection) is not None
        assert None not in stores.jobs.insert_many(many, connection=connection)
        assert stores.jobs.get(one.id) is None
        assert stores.names() == []
        assert stores.claim_due() == []
        assert stores.jobs.get(one.id, connection=connection).job_name == "one"
        assert stores.jobs.active_holder("two", connection=connection).id == many[0].id
    assert stores.names() == ["one", "three", "two"]
    assert stores.read(one.id).created_at == NOON


def test_what_is_not_committed_never_was(stores: Stores):
    job, run = stores.add("kept"), stores.running("running")
    with transaction(stores, commit=False) as connection:
        stores.jobs.insert(new_job("new"), connection=connection)
        assert stores.jobs.change(job, CANCEL, actor="me", connection=connection).status is JobStatus.CANCELLED
        assert stores.finish(run, connection=connection) != []
    assert stores.names() == ["kept", "running"]
    assert stores.read(job.id) == job
    assert (stores.jobs.attempts(run.job_id), stores.audit()) == ([], [])
    assert stores.finish(run) == [Recorded(run.token, JobStatus.COMPLETED, 1, None)]
    assert stores.jobs.change(job, CANCEL) is not None


def test_an_error_in_the_block_rolls_back(stores: Stores):
    def work() -> None:
        with transaction(stores) as connection:
            stores.jobs.insert(new_job("new"), connection=connection)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert stores.names() == []


def test_a_change_is_seen_by_others_once_it_is_committed(stores: Stores):
    job = stores.add()
    with transaction(stores) as connection:
        changed = stores.jobs.change(job, RAISE_RETRIES, actor="me", connection=connection)
        assert stores.jobs.get(job.id, connection=connection) == changed
        assert stores.read(job.id) == job
        assert stores.audit() == []
    assert stores.read(job.id) == changed
    assert stores.audit() == [(job.id, NOON, "me", "update", 2)]


def test_an_outcome_is_recorded_when_its_transaction_commits(stores: Stores):
    run = stores.running()
    with transaction(stores) as connection:
        assert stores.runs.reread(run, connection=connection) == run
        stores.again(run, MINUTE, connection=connection)
        assert stores.runs.reread(run, connection=connection) is None
        assert stores.runs.reread(run) == run
        assert stores.jobs.attempts(run.job_id) == []
        assert stores.read(run.job_id).status is JobStatus.RUNNING
    assert stores.runs.recorded(run) == Recorded(run.token, JobStatus.SCHEDULED, 2, NOON + MINUTE)
    assert len(stores.jobs.attempts(run.job_id)) == 1


def test_a_taken_name_or_id_leaves_the_transaction_usable(stores: Stores):
    taken = stores.add("taken")
    with transaction(stores) as connection:
        assert stores.jobs.insert(new_job("taken"), connection=connection) is None
        assert stores.jobs.insert(new_job("other", id=taken.id), connection=connection) is None
        assert stores.jobs.insert(new_job("new"), connection=connection) is not None
        assert stores.jobs.insert(new_job("new"), connection=connection) is None, "its own names count as well"
    assert stores.names() == ["new", "taken"]


def test_a_name_that_the_transaction_itself_has_freed_is_free_within_it(stores: Stores):
    job = stores.add("name")
    with transaction(stores) as connection:
        stores.jobs.change(job, CANCEL, connection=connection)
        assert stores.jobs.active_holder("name", connection=connection) is None
        assert stores.jobs.insert(new_job("name"), connection=connection) is not None
    assert stores.jobs.active_holder("name").id != job.id


def test_in_memory_too_a_transaction_has_one_present(memory: Stores):
    """As ``now()`` has it on PostgreSQL, other than the clock that these tests put in its place there."""
    with transaction(memory) as connection:
        memory.jobs.insert(new_job("a"), connection=connection)
        memory.pass_time(SECOND)
        memory.jobs.insert(new_job("b"), connection=connection)
    assert memory.jobs.active_holder("b").created_at == NOON
    assert memory.add("c").created_at == NOON + SECOND


def test_two_transactions_do_not_see_each_other(stores: Stores):
    with transaction(stores) as first, transaction(stores) as second:
        stores.jobs.insert(new_job("first"), connection=first)
        stores.jobs.insert(new_job("second"), connection=second)
        assert stores.jobs.active_holder("first", connection=second) is None
        assert stores.jobs.active_holder("second", connection=first) is None
    assert stores.names() == ["first", "second"]


# --- locks


def test_a_claim_passes_over_a_job_that_a_transaction_is_writing(stores: Stores):
    held, free = stores.add("held", due_at=NOON - DAY), stores.add("free")
    with transaction(stores) as connection:
        stores.jobs.change(held, RAISE_RETRIES, connection=connection)
        assert [run.job_id for run in stores.claim_due()] == [free.id]
    assert [run.job_id for run in stores.claim_due()] == [held.id]


def test_a_heartbeat_does_not_wait_for_a_transaction_that_is_ending_the_attempt(stores: Stores):
    run, other = stores.running("a"), stores.running("b")
    with transaction(stores) as connection:
        stores.finish(run, connection=connection)
        stores.pass_time(SECOND)
        assert stores.runs.extend([lease_of(run), lease_of(other)], LEASE).held == {run.token, other.token}
    assert stores.runs.extend([lease_of(run), lease_of(other)], LEASE).held == {other.token}
    assert stores.read(other.job_id).lease_expires_at == NOON + SECOND + LEASE


def test_a_lease_that_could_not_be_extended_so_is_held_and_stands_as_it_was(stores: Stores):
    run = stores.running()
    with transaction(stores, commit=False) as connection:
        stores.finish(run, connection=connection)
        stores.pass_time(SECOND)
        assert stores.runs.extend([lease_of(run)], LEASE).held == {run.token}
    assert stores.read(run.job_id).lease_expires_at == NOON + LEASE


def test_a_run_that_a_transaction_is_ending_is_neither_reaped_nor_pruned(stores: Stores):
    run = stores.running("running")
    ended = stores.jobs.change(stores.add("ended"), CANCEL)
    stores.pass_time(2 * DAY)
    with transaction(stores) as connection:
        stores.finish(run, connection=connection)
        replayed = {"status": JobStatus.SCHEDULED, "handled_at": None, "next_run_at": NOW}
        stores.jobs.change(ended, Change("retry", replayed, new_generation=True), connection=connection)
        assert stores.housekeeping.reap(10, max_lost=5) == []
        assert stores.housekeeping.prune(10, DAY, keep=20) == 0
    assert stores.read(run.job_id).status is JobStatus.COMPLETED


def test_who_would_write_what_a_transaction_has_written_gives_up_after_a_while_and_writes_nothing(stores: Stores):
    job, run = stores.add("job"), stores.running("running")
    others = stores.impatient or stores
    with transaction(stores, commit=False) as connection:
        stores.jobs.change(job, RAISE_RETRIES, connection=connection)
        stores.jobs.insert(new_job("name"), connection=connection)
        stores.finish(run, connection=connection)
        for write in (
            lambda: others.jobs.change(job, CANCEL),
            lambda: others.runs.claim(AlarmName(job.id, 1), worker="worker", lease=LEASE),
            lambda: others.jobs.insert(new_job("name")),
            lambda: others.finish(run),
            lambda: others.runs.recorded(run),
            lambda: others.runs.report_progress(lease_of(run), 0.5, None),
        ):
            with pytest.raises(StoreUnavailable):
                write()
    assert stores.read(job.id) == job
    assert stores.jobs.insert(new_job("name")) is not None


def beside(stores: Stores, work: Any) -> tuple[threading.Thread, list[Any]]:
    """Do ``work`` on another thread; gives the thread, and a list that its answer is put into."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(work()))
    thread.start()
    return thread, answers


@pytest.mark.parametrize("commit", [True, False])
def test_an_insert_of_a_name_that_a_transaction_holds_waits_for_its_end(stores: Stores, commit: bool):
    with transaction(stores, commit=commit) as connection:
        stores.jobs.insert(new_job("name"), connection=connection)
        thread, answers = beside(stores, lambda: stores.jobs.insert(new_job("name")))
        time.sleep(0.02)
        assert answers == []
    thread.join(60)
    assert [answer is None for answer in answers] == [commit]


def test_what_became_of_an_attempt_is_told_once_the_transaction_that_records_it_has_ended(stores: Stores):
    run = stores.running()
    with transaction(stores) as connection:
        stores.finish(run, connection=connection)
        thread, answers = beside(stores, lambda: stores.runs.recorded(run))
        time.sleep(0.02)
        assert answers == []
    thread.join(60)
    assert answers == [Recorded(run.token, JobStatus.COMPLETED, 1, None)]


# --- on commit


def test_who_waits_for_the_commit_is_called_once_before_others_see_it(stores: Stores):
    seen: list[Any] = []
    with transaction(stores) as connection:
        stores.jobs.insert(new_job("new"), connection=connection)
        stores.jobs.on_commit(connection, lambda: seen.append(stores.names()))
        stores.jobs.on_commit(connection, lambda: seen.append("second"))
        assert seen == []
    assert seen == [[], "second"]
    assert stores.names() == ["new"]


def test_nobody_is_called_for_what_is_rolled_back(stores: Stores):
    seen: list[Any] = []
    with transaction(stores, commit=False) as connection:
        stores.jobs.insert(new_job("new"), connection=connection)
        stores.jobs.on_commit(connection, lambda: seen.append("called"))
    assert seen == []


# --- used wrongly


def test_a_statement_that_failed_leaves_a_transaction_that_cannot_commit(stores: Stores):
    ended = stores.jobs.change(stores.add("name"), CANCEL)
    stores.add("name")
    replay = Change("retry", {"status": JobStatus.SCHEDULED, "handled_at": None, "next_run_at": NOW})
    opened = stores.transactions.begin()
    stores.jobs.insert(new_job("new"), connection=opened.connection)
    with pytest.raises(JobNameTaken):
        stores.jobs.change(ended, replay, connection=opened.connection)
    with pytest.raises(UnitOfWorkError, match="a statement of this unit of work failed and its error was caught"):
        opened.commit()
    opened.close()
    assert stores.names() == ["name", "name"]


def test_a_name_that_the_transaction_itself_has_taken_is_told_with_its_holder(stores: Stores):
    ended = stores.jobs.change(stores.add("name"), CANCEL)
    replay = Change("retry", {"status": JobStatus.SCHEDULED, "handled_at": None, "next_run_at": NOW})
    holder = new_job("name")
    with transaction(stores, commit=False) as connection:
        stores.jobs.insert(holder, connection=connection)
        with pytest.raises(JobNameTaken, match=str(holder.id)):
            stores.jobs.change(ended, replay, connection=connection)


def test_closing_twice_or_after_the_commit_is_harmless(stores: Stores):
    opened = stores.transactions.begin()
    stores.jobs.insert(new_job("new"), connection=opened.connection)
    opened.commit()
    opened.close()
    other = stores.transactions.begin()
    other.close()
    assert stores.names() == ["new"]


def test_a_connection_is_of_no_use_once_its_transaction_has_ended(stores: Stores):
    with transaction(stores, commit=False) as connection:
        pass
    with pytest.raises(Exception, match=r"ended|closed") as caught:
        stores.jobs.insert(new_job("new"), connection=connection)
    assert not isinstance(caught.value, StoreUnavailable)
    assert stores.names() == []


# --- units of work on top


def test_a_unit_of_work_joins_and_votes_the_same_on_every_store(stores: Stores):
    units = UnitsOfWork(stores.transactions)
    with units.begin() as outer:
        stores.jobs.insert(new_job("a"), connection=outer.connection)
        with units.begin() as inner:
            assert inner.connection is outer.connection
            stores.jobs.insert(new_job("b"), connection=inner.connection)
            inner.commit()
        with units.begin(requires_new=True) as own:
            stores.jobs.insert(new_job("c"), connection=own.connection)
            own.commit()
        assert stores.names() == ["c"]
        outer.commit()
    with units.begin() as declined:
        stores.jobs.insert(new_job("d"), connection=declined.connection)
        declined.rollback()
    assert stores.names() == ["a", "b", "c"]


def test_a_unit_of_work_that_ran_statements_and_ends_without_a_vote_raises_and_keeps_nothing(stores: Stores):
    units = UnitsOfWork(stores.transactions)

    def work(*, nested: bool) -> None:
        with units.begin() as outer:
            if not nested:
                stores.jobs.insert(new_job("a"), connection=outer.connection)
                return
            with suppress(JobsError), units.begin() as inner:
                stores.jobs.insert(new_job("b"), connection=inner.connection)
            outer.commit()

    with pytest.raises(
        UnitOfWorkError, match=r"ran a statement and ended without commit\(\), complete\(\) or rollback"
    ):
        work(nested=False)
    with pytest.raises(UnitOfWorkError, match=r"an inner one ended without commit\(\)"):
        work(nested=True)
    with units.begin() as unused:
        assert unused.connection is not None
    assert stores.names() == []


def test_an_inner_block_without_a_vote_keeps_the_outer_one_from_committing(stores: Stores):
    units = UnitsOfWork(stores.transactions)

    def work() -> None:
        with units.begin() as outer:
            stores.jobs.insert(new_job("a"), connection=outer.connection)
            with units.begin():
                pass
            outer.commit()

    with pytest.raises(JobsError, match=r"an inner one ended without commit\(\)"):
        work()
    assert stores.names() == []
