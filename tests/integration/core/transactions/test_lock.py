"""Locks on a real database: one holder at a time, by the database's clock, whatever becomes of the holder."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random

import pytest

from jobs.adapters.postgres.connection.driver.faults import OutcomeUnknown
from jobs.adapters.postgres.stores.locks import PostgresLockStore
from jobs.core.errors import ConfigurationError, InvalidInput, LockLost, LockNotAcquired, StoreUnavailable
from jobs.core.handlers.context import JobContext
from jobs.core.lifecycle.handler_outcomes import Cancel
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.status import JobStatus
from jobs.core.transactions.lock import DistributedLock
from tests.support import Anything, handle_alarm, job, until

LONG, SHORT = timedelta(seconds=30), timedelta(milliseconds=50)
NOT_AT_ALL = timedelta()


@pytest.fixture
def lock(emptied) -> DistributedLock:
    return DistributedLock(PostgresLockStore(emptied, "jobs"), "this process", Random(1))


@pytest.fixture
def expire(emptied):
    """Let a lock's time run out, as seen by the database."""
    import sqlalchemy as sa

    def expire() -> None:
        with emptied.engine.begin() as connection:
            connection.execute(sa.text("update jobs.locks set expires_at = now() - interval '1 second'"))

    return expire


def test_a_lock_is_one_holders_until_it_is_released(lock):
    handle = lock.try_acquire("a", LONG)
    assert handle.held
    assert lock.try_acquire("a", LONG) is None
    assert lock.try_acquire("b", LONG) is not None, "another resource"
    assert handle.release() is True
    assert not handle.held
    assert lock.try_acquire("a", LONG) is not None


def test_a_lock_that_has_expired_is_anybodys(lock, expire):
    handle = lock.try_acquire("a", LONG)
    expire()
    successor = lock.try_acquire("a", LONG)
    assert successor is not None
    assert handle.extend(LONG) is False
    assert not handle.held
    assert handle.release() is False
    assert lock.try_acquire("a", LONG) is None, "what the first one did changed nothing for the second"
    assert successor.extend(LONG) is True


def test_a_lock_that_has_expired_is_lost_even_if_nobody_took_it(lock, expire):
    handle = lock.try_acquire("a", LONG)
    expire()
    assert handle.extend(LONG) is False
    assert handle.release() is False


def test_a_lock_may_be_extended_and_expires_then(lock):
    handle = lock.try_acquire("a", SHORT)
    assert handle.extend(timedelta(seconds=3)) is True
    assert handle.held
    assert lock.try_acquire("a", LONG) is None
    until(lambda: not handle.held)  # as the holder itself can tell, without asking
    until(lambda: lock.try_acquire("a", LONG) is not None)


def test_a_released_lock_is_not_extended_nor_released_again(lock):
    handle = lock.try_acquire("a", LONG)
    handle.release()
    assert handle.extend(LONG) is False
    assert handle.release() is False


def test_fencing_tokens_grow_from_holder_to_holder(lock, expire):
    tokens = []
    for end in ("released", "expired") * 5:
        handle = lock.try_acquire("a", LONG)
        tokens.append(handle.fencing_token)
        handle.release() if end == "released" else expire()
    assert tokens == sorted(set(tokens))


def test_fencing_tokens_grow_though_the_servers_clock_was_set_back(lock, emptied):
    import sqlalchemy as sa

    before = lock.try_acquire("a", LONG).fencing_token
    with emptied.engine.begin() as connection:
        connection.execute(sa.text("update jobs.locks set acquired_at = now() + interval '1 hour', expires_at = now()"))
    first = lock.try_acquire("a", timedelta(microseconds=1)).fencing_token
    second = lock.acquire("a", LONG).fencing_token
    assert before < first < second


def test_waiting_for_a_lock_takes_it_once_it_is_free(lock):
    holder = lock.try_acquire("a", LONG)
    threading.Timer(0.1, holder.release).start()
    with lock.acquire("a", LONG, timedelta(seconds=60)) as handle:
        assert handle.fencing_token > holder.fencing_token


def test_waiting_in_vain_is_an_error_that_says_for_what_and_how_long(lock):
    lock.try_acquire("a", LONG)
    with pytest.raises(LockNotAcquired, match=r"'a' was held by others for 0\.1 s"):
        lock.acquire("a", LONG, timedelta(seconds=0.1))
    with pytest.raises(LockNotAcquired):
        lock.acquire("a", LONG, NOT_AT_ALL)


def test_those_who_wait_ask_ever_less_often_and_not_in_step(emptied):
    now, pauses = 0.0, []

    def sleep(seconds: float) -> None:
        nonlocal now
        pauses.append(seconds)
        now += seconds

    store = PostgresLockStore(emptied, "jobs")
    lock = DistributedLock(store, "this process", Random(1), monotonic=lambda: now, sleep=sleep)
    lock.try_acquire("a", LONG)
    with pytest.raises(LockNotAcquired):
        lock.acquire("a", LONG, timedelta(seconds=10))
    assert sum(pauses) == pytest.approx(10)
    assert pauses[0] <= 0.02
    assert max(pauses) <= 0.5
    assert 20 < len(pauses) < 60
    assert len(set(pauses)) == len(pauses)


def test_a_block_releases_the_lock_at_its_end_however_it_ends(lock):
    with lock.acquire("a", LONG):
        assert lock.try_acquire("a", LONG) is None
    with pytest.raises(ZeroDivisionError), lock.acquire("a", LONG, NOT_AT_ALL):
        _ = 1 / 0
    with lock.acquire("a", LONG, NOT_AT_ALL) as handle:
        assert handle.release()
    assert lock.try_acquire("a", LONG) is not None


def test_a_block_whose_lock_expired_says_so_unless_it_failed_by_itself(lock, expire, caplog):
    with pytest.raises(LockLost, match="longer ttl"), lock.acquire("a", LONG):
        expire()
    assert caplog.text == ""

    def fail() -> None:
        expire()
        raise ValueError("too bad")

    with pytest.raises(ValueError, match="too bad"):
        lock.execute_with_lock("a", fail, LONG)
    assert "had expired before it was released" in caplog.text


def test_a_function_is_called_with_the_lock_held_and_its_result_given(lock):
    assert lock.execute_with_lock("a", lambda: lock.try_acquire("a", LONG), LONG) is None
    assert lock.execute_with_lock("a", lambda: 42, LONG) == 42


@pytest.mark.parametrize("ttl", [NOT_AT_ALL, timedelta(seconds=-1), timedelta(days=8)])
def test_a_ttl_without_sense_is_refused(lock, ttl):
    with pytest.raises(ValueError, match="ttl"):
        lock.try_acquire("a", ttl)


def test_a_name_without_sense_is_refused(lock):
    for name in ("", "x" * 501):
        with pytest.raises(ValueError, match="1 to 500 characters"):
            lock.try_acquire(name, LONG)
    with pytest.raises(InvalidInput, match="NUL"):
        lock.try_acquire("a\x00", LONG)


def test_of_many_threads_one_has_the_lock(lock):
    barrier = threading.Barrier(16)

    def contend(_: int) -> bool:
        barrier.wait()
        return lock.try_acquire("a", LONG) is not None

    with ThreadPoolExecutor(16) as pool:
        for _ in range(20):
            taken = list(pool.map(contend, range(16)))
            assert taken.count(True) == 1
            lock._store._database.run(lock._store._statements.release, {"resource": "a", "token": _token(lock)})


def _token(lock: DistributedLock) -> str:
    import sqlalchemy as sa

    with lock._store._database.engine.connect() as connection:
        return str(connection.execute(sa.text("select token from jobs.locks where resource = 'a'")).scalar_one())


@pytest.mark.parametrize("written", [False, True])
def test_an_answer_that_was_lost_is_asked_for_again_under_the_same_token(lock, written):
    store = lock._store
    run, lost = store._database.run, []

    class Flaky:
        def run(self, statement, values):
            if not lost:
                lost.append(run(statement, values) if written else None)
                raise OutcomeUnknown("the connection broke")
            return run(statement, values)

    store._database = Flaky()
    handle = lock.try_acquire("a", LONG)
    assert len(lost) == 1
    assert handle is not None
    assert lock.try_acquire("a", LONG) is None
    lost.clear()
    assert handle.extend(LONG) is True


def test_a_lock_that_cannot_be_released_runs_out_by_itself(lock, monkeypatch, caplog):
    def away(*_):
        raise StoreUnavailable("the database went away")

    with lock.acquire("a", LONG):
        monkeypatch.setattr(lock._store, "release", away)
    assert "its time runs out instead" in caplog.text


# --- in handlers


def test_a_handler_may_be_given_the_lock_or_take_it_of_its_context(make_runtime, registry):
    held = []

    def handle(args: Anything, ctx: JobContext, lock: DistributedLock) -> None:
        with ctx.lock("stock", ttl=LONG) as handle:
            held.append((handle.held, lock.try_acquire("stock", LONG)))

    registry.add_handler("Work", handle)
    registry.check_services()
    runtime = make_runtime()
    job_id = runtime.service.enqueue(job("job", "Work")).id
    handle_alarm(runtime, AlarmName(job_id, 1))
    assert runtime.service.get(job_id).status is JobStatus.COMPLETED
    assert held == [(True, None)]


def test_a_handler_that_waits_for_a_lock_hears_that_it_is_cancelled(make_runtime, registry):
    raised = []

    def handle(args: Anything, ctx: JobContext) -> None:
        ctx.signal_cancelled()
        try:
            ctx.lock("stock", ttl=LONG, timeout=LONG)
        except Cancel as error:
            raised.append(error)
            raise

    registry.add_handler("Work", handle)
    runtime = make_runtime()
    assert runtime.lock.try_acquire("stock", LONG)
    job_id = runtime.service.enqueue(job("job", "Work")).id
    handle_alarm(runtime, AlarmName(job_id, 1))
    assert len(raised) == 1
    assert runtime.service.get(job_id).status is JobStatus.CANCELLED


def test_a_context_of_no_worker_says_what_it_lacks():
    with pytest.raises(ConfigurationError, match=r"ctx\.lock\(\) needs a database"):
        JobContext(None, "job", "Noop", 1, 1, None, {}).lock("a", ttl=LONG)


def test_locks_that_nobody_holds_any_more_are_pruned(make_runtime, sql):
    runtime = make_runtime()
    for name in ("held", "released", "old", "older"):
        runtime.lock.try_acquire(name, LONG)
    sql("update jobs.locks set expires_at = now() - interval '59 minutes' where resource = 'released'")
    sql("update jobs.locks set expires_at = now() - interval '61 minutes' where resource like 'old%'")
    runtime.reconciler._limits = type(runtime.reconciler._limits)(page=1)
    assert runtime.reconciler.run().failures == {}
    assert sorted(sql("select resource from jobs.locks")) == [("held",), ("released",)]
