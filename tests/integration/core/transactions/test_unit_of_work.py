"""Units of work on a real database: what is committed, what is not, and what joins."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from jobs.app.runtime import Runtime
from jobs.core.errors import StoreUnavailable, UnitOfWorkError
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.transactions.unit_of_work import UnitOfWork, current_unit_of_work
from jobs.testing import MemoryScheduler
from tests.support import job, note, until


class Base(DeclarativeBase):
    pass


class Effect(Base):
    __tablename__ = "effects"
    id: Mapped[int] = mapped_column(primary_key=True)
    note: Mapped[str]


@pytest.fixture
def scheduler(monkeypatch) -> MemoryScheduler:
    scheduler = MemoryScheduler()
    monkeypatch.setattr("jobs.bootstrap.build_scheduler", lambda *_: scheduler)
    return scheduler


def in_unit_of_work(runtime: Runtime, work: Callable[[UnitOfWork], Any]) -> None:
    with runtime.units.begin() as uow:
        work(uow)


# --- what is committed


UNDECIDED = r"ended without commit\(\), complete\(\) or rollback\(\), so nothing of it is kept; end its block with"


@pytest.mark.parametrize("statements", [1, 2])
def test_a_block_that_ran_statements_and_ends_without_a_vote_raises_and_keeps_nothing(runtime, notes, statements):
    def work(uow: UnitOfWork) -> None:
        for number in range(statements):
            note(uow, f"{number}")

    ran = "a statement" if statements == 1 else "2 statements"
    with pytest.raises(UnitOfWorkError, match=f"this unit of work ran {ran} and {UNDECIDED}"):
        in_unit_of_work(runtime, work)
    assert notes() == []


def test_what_a_session_has_not_flushed_yet_is_not_lost_in_silence_either(runtime, notes):
    with pytest.raises(UnitOfWorkError, match=UNDECIDED):
        in_unit_of_work(runtime, lambda uow: uow.session.add(Effect(note="a")))
    assert notes() == []


def test_a_statement_that_failed_and_was_passed_over_is_not_taken_for_nothing(runtime, notes):
    def work(uow: UnitOfWork) -> None:
        with suppress(sa.exc.ProgrammingError):
            uow.connection.execute(sa.text("select * from no_such_table"))

    with pytest.raises(UnitOfWorkError, match=UNDECIDED):
        in_unit_of_work(runtime, work)


def test_a_block_that_ran_nothing_needs_no_vote(runtime, notes):
    with runtime.units.begin() as uow, runtime.units.begin():
        assert uow.connection is not None
        assert not uow.session.new


def test_a_vote_to_roll_back_ends_a_block_in_peace_and_keeps_nothing(runtime, notes):
    with runtime.units.begin() as uow:
        note(uow, "a")
        uow.commit()
        uow.rollback()
    with runtime.units.begin() as uow:
        uow.session.add(Effect(note="b"))
        uow.rollback()
    assert notes() == []


def test_a_vote_to_roll_back_cannot_be_outvoted(runtime, notes):
    def work(outer: UnitOfWork) -> None:
        with runtime.units.begin() as inner:
            note(inner, "a")
            inner.rollback()
        outer.commit()

    with pytest.raises(UnitOfWorkError, match=r"can only be rolled back, because rollback\(\) was called in it"):
        in_unit_of_work(runtime, work)
    assert notes() == []


def test_a_vote_commits_what_stands_before_and_after_it(runtime, notes):
    with runtime.units.begin() as uow:
        note(uow, "a")
        uow.commit()
        note(uow, "b")
        assert notes() == [], "COMMIT is sent at the end of the block"
    assert notes() == ["a", "b"]


def test_an_exception_rolls_back_whatever_was_voted(runtime, notes):
    def work(uow: UnitOfWork) -> None:
        note(uow, "a")
        uow.commit()
        _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        in_unit_of_work(runtime, work)
    assert notes() == []


def test_an_inner_block_joins_and_is_committed_with_the_outer_one(runtime, notes):
    with runtime.units.begin() as outer:
        note(outer, "a")
        with runtime.units.begin() as inner:
            assert inner.connection is outer.connection
            note(inner, "b")
            inner.commit()
        assert notes() == []
        outer.commit()
    assert notes() == ["a", "b"]


def test_an_inner_block_that_is_committed_goes_with_an_outer_one_that_is_not(runtime, notes):
    with runtime.units.begin() as outer, runtime.units.begin() as inner:
        note(inner, "b")
        inner.commit()
        outer.rollback()
    assert notes() == []


def test_an_outer_block_is_not_spared_its_vote_by_an_inner_one(runtime, notes):
    def work(_: UnitOfWork) -> None:
        with runtime.units.begin() as inner:
            note(inner, "b")
            inner.commit()

    with pytest.raises(UnitOfWorkError, match=UNDECIDED):
        in_unit_of_work(runtime, work)
    assert notes() == []


def test_an_inner_block_that_ran_statements_and_ends_without_a_vote_raises_and_nothing_can_commit(runtime, notes):
    def work(outer: UnitOfWork) -> None:
        note(outer, "a")
        with pytest.raises(UnitOfWorkError, match=f"ran a statement and {UNDECIDED}"), runtime.units.begin() as inner:
            note(inner, "b")
        outer.commit()

    with pytest.raises(UnitOfWorkError, match=r"an inner one ended without commit\(\)"):
        in_unit_of_work(runtime, work)
    assert notes() == []


def test_an_outer_vote_that_came_before_the_inner_block_failed_is_refused_at_the_end(runtime, notes):
    def work(outer: UnitOfWork) -> None:
        note(outer, "a")
        outer.commit()
        with suppress(ZeroDivisionError), runtime.units.begin():
            _ = 1 / 0

    with pytest.raises(UnitOfWorkError, match="left by ZeroDivisionError"):
        in_unit_of_work(runtime, work)
    assert notes() == []


def test_a_block_that_requires_its_own_stands_by_itself(runtime, notes):
    with runtime.units.begin() as outer:
        note(outer, "a")
        with runtime.units.begin(requires_new=True) as own:
            assert own.connection is not outer.connection
            note(own, "b")
            own.commit()
        assert notes() == ["b"]
        assert current_unit_of_work() is outer
        with runtime.units.begin(requires_new=True) as own:
            note(own, "c")
            own.rollback()
        outer.commit()
    assert sorted(notes()) == ["a", "b"]


def test_a_session_is_flushed_and_committed_with_the_rest(runtime, notes):
    with runtime.units.begin() as uow:
        note(uow, "a")
        uow.session.add(Effect(note="b"))
        uow.session.commit()
        assert notes() == [], "the session's commit is a flush: the transaction is the unit of work's"
        uow.session.add(Effect(note="c"))
        uow.commit()
    assert notes() == ["a", "b", "c"]


def test_a_session_that_cannot_be_flushed_rolls_all_back(runtime, notes):
    def work(uow: UnitOfWork) -> None:
        note(uow, "a")
        uow.session.add(Effect(note="a"))
        uow.commit()

    with pytest.raises(sa.exc.IntegrityError):
        in_unit_of_work(runtime, work)
    assert notes() == []


def test_a_savepoint_may_fail_by_itself(runtime, notes):
    with runtime.units.begin() as uow:
        note(uow, "a")
        with pytest.raises(sa.exc.IntegrityError), uow.connection.begin_nested():
            note(uow, "a")
        note(uow, "b")
        uow.commit()
    assert notes() == ["a", "b"]


def test_an_error_that_was_swallowed_is_not_taken_for_a_commit(runtime, notes):
    """PostgreSQL answers such a COMMIT with ROLLBACK, and no error."""

    def work(uow: UnitOfWork) -> None:
        note(uow, "a")
        with suppress(sa.exc.IntegrityError):
            note(uow, "a")
        uow.commit()

    with pytest.raises(UnitOfWorkError, match="begin_nested"):
        in_unit_of_work(runtime, work)
    assert notes() == []
    with runtime.units.begin() as uow:
        note(uow, "b")
        uow.commit()
    assert notes() == ["b"], "the connection is as good as new"


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_transaction_that_was_ended_behind_the_units_back_is_told(runtime, notes, end):
    def work(uow: UnitOfWork) -> None:
        note(uow, "a")
        getattr(uow.connection, end)()
        uow.commit()

    with pytest.raises(UnitOfWorkError, match="leave both to the unit of work"):
        in_unit_of_work(runtime, work)


def test_a_constraint_that_is_checked_at_the_end_is_the_callers_error(runtime, sql, notes):
    sql("alter table effects add unique (note) deferrable initially deferred")
    sql("alter table effects drop constraint effects_note_key")

    def work(uow: UnitOfWork) -> None:
        note(uow, "a")
        note(uow, "a")
        uow.commit()

    with pytest.raises(sa.exc.DatabaseError, match="duplicate key"):
        in_unit_of_work(runtime, work)
    assert notes() == []


def test_a_block_that_has_ended_is_of_no_use(runtime):
    with runtime.units.begin() as uow:
        pass
    for use in (lambda: uow.connection, lambda: uow.session, uow.commit):
        with pytest.raises(UnitOfWorkError, match="has ended"):
            use()


def test_the_unit_of_work_around_is_found_and_only_within_it(runtime):
    assert current_unit_of_work() is None
    with runtime.units.begin() as uow:
        assert current_unit_of_work() is uow
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(current_unit_of_work).result() is None, "a thread of its own has none"
    assert current_unit_of_work() is None


def test_units_of_two_databases_do_not_join(runtime, make_runtime, notes):
    with runtime.units.begin() as one, make_runtime().units.begin() as other:
        assert one.connection is not other.connection


def test_units_of_work_have_connections_of_their_own_and_are_told_when_there_are_no_more(make_runtime):
    runtime = make_runtime(database_pool_size=6)
    runtime.units._transactions._wait_seconds = 0.05
    with runtime.units.begin(), runtime.units.begin(requires_new=True):
        with pytest.raises(StoreUnavailable, match="JOBS_DATABASE_POOL_SIZE"), runtime.units.begin(requires_new=True):
            pass
        runtime.service.enqueue(job())
        assert runtime.worker.drain(60).executed == 1
    with runtime.units.begin(requires_new=True), runtime.units.begin(requires_new=True):
        pass


def test_a_connection_that_breaks_is_told_and_its_place_is_given_back(make_runtime, sql, notes):
    runtime = make_runtime(database_pool_size=4)

    def work(uow: UnitOfWork) -> None:
        note(uow, "a")
        [(pid,)] = uow.connection.execute(sa.text("select pg_backend_pid()"))
        sql("select pg_terminate_backend(:pid)", pid=pid)
        uow.commit()

    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            in_unit_of_work(runtime, work)
    assert notes() == []


def test_a_database_that_is_away_is_told(make_runtime):
    runtime = make_runtime(database_url="postgresql://nobody@127.0.0.1:1/nothing", database_tls=False)
    with pytest.raises(StoreUnavailable, match="cannot be reached"), runtime.units.begin():
        pass


def test_what_is_enqueued_within_commits_or_rolls_back_with_it(make_runtime, scheduler):
    runtime = make_runtime()
    for vote in (False, True):
        with runtime.units.begin() as uow:
            enqueued = runtime.service.enqueue(job(f"{vote}"), connection=uow.connection)
            if vote:
                uow.commit()
            else:
                uow.rollback()
        exists = runtime.service._store.get(enqueued.id) is not None
        assert exists is vote
    until(lambda: scheduler.alarms)
    assert list(scheduler.alarms) == [AlarmName(enqueued.id, 1)]
