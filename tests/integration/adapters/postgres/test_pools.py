"""Who must not wait for a connection does not: heartbeats and outcomes, whatever handlers and callers hold."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest

from jobs.adapters.postgres.connection.pools import Pools, PoolSizes
from jobs.app.runtime import Runtime
from jobs.core.errors import StoreUnavailable
from jobs.core.handlers.context import JobContext
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.status import JobStatus
from tests.support import Anything, MakeRuntime, job, until

LEASE_SECONDS = 2.0
PATIENCE = 60


@contextmanager
def every_application_connection_held(runtime: Runtime) -> Iterator[None]:
    """Hold all connections of the pools that callers and handlers have, each in an open transaction."""
    application: Any = runtime.service._store._database.engine
    with ExitStack() as held:
        for _ in range(application.pool.size()):
            held.enter_context(application.connect()).exec_driver_sql("select 1")
        for _ in range(runtime.units._transactions._limit):
            uow = held.enter_context(runtime.units.begin(requires_new=True))
            uow.connection.exec_driver_sql("select 1")
            uow.commit()
        yield


def drain(runtime: Runtime) -> None:
    with suppress(StoreUnavailable):  # a claim finds no connection free, and is made again by the next drain
        runtime.worker.drain(PATIENCE)


@pytest.mark.parametrize("reports", [False, True], ids=["silent", "reports progress"])
def test_with_every_application_connection_held_for_two_leases_no_lease_is_lost_and_outcomes_are_recorded(
    make_runtime: MakeRuntime, registry: HandlerRegistry, sql, reports
):
    running, held = threading.Barrier(5), threading.Event()

    def handle(args: Anything, ctx: JobContext) -> None:
        running.wait(PATIENCE)
        while not held.wait(0.05):
            if reports:
                ctx.progress(0.5)

    registry.add_handler("Work", handle)
    runtime = make_runtime(database_pool_size=4, concurrency=4, lease_seconds=LEASE_SECONDS)
    ids = [one.id for one in runtime.service.enqueue_many([job(f"{n}", "Work") for n in range(4)])]
    draining = threading.Thread(target=drain, args=[runtime])
    draining.start()
    running.wait(PATIENCE)
    expiry = "select min(extract(epoch from lease_expires_at)) from jobs.jobs"
    [(first,)] = sql(expiry)
    with every_application_connection_held(runtime):
        until(lambda: sql(expiry)[0][0] > float(first) + 2 * LEASE_SECONDS)
        assert runtime.pipeline._leases.held()
        held.set()
        until(lambda: sql("select 1 from jobs.jobs where status = 'Completed' having count(*) = 4"))
    draining.join(PATIENCE)
    assert {runtime.service.get(job_id).status for job_id in ids} == {JobStatus.COMPLETED}
    assert sql("select outcome, attempt, count(*) from jobs.job_attempts group by 1, 2") == [("Succeeded", 1, 4)]


def test_handlers_wait_for_their_turn_at_a_unit_of_work_rather_than_fail_their_attempts(
    make_runtime: MakeRuntime, registry: HandlerRegistry, sql, monkeypatch
):
    waiting, ended = threading.Semaphore(0), threading.Event()

    def handle(args: Anything, ctx: JobContext) -> None:
        waiting.release()
        with ctx.unit_of_work() as uow:
            uow.connection.exec_driver_sql("select 1")
            ended.wait(PATIENCE)
            uow.complete()

    registry.add_handler("Work", handle)
    runtime = make_runtime(database_pool_size=4, concurrency=4)
    transactions: Any = runtime.units._transactions
    assert transactions._limit == 1
    transactions._wait_seconds = 0.1  # the first is held for longer
    monkeypatch.setattr("jobs.adapters.postgres.stores.transactions._WAIT_FACTOR", 600)
    ids = [one.id for one in runtime.service.enqueue_many([job(f"{n}", "Work", max_retries=0) for n in range(4)])]
    draining = threading.Thread(target=drain, args=[runtime])
    draining.start()
    for _ in range(4):
        assert waiting.acquire(timeout=PATIENCE)
    with runtime.service._store._database.engine.connect() as connection:
        connection.exec_driver_sql("select pg_sleep(0.5)")
    ended.set()
    draining.join(PATIENCE)
    assert {runtime.service.get(each).status for each in ids} == {JobStatus.COMPLETED}
    assert sql("select count(*) from jobs.job_attempts") == [(4,)]


def test_a_unit_of_work_within_another_says_that_it_may_be_waiting_for_itself(make_runtime: MakeRuntime):
    runtime = make_runtime(database_pool_size=4)
    transactions: Any = runtime.units._transactions
    transactions._wait_seconds = 0.05
    with runtime.units.begin() as outer:
        with (
            pytest.raises(StoreUnavailable, match=r"may have 1 units.*within another"),
            runtime.units.begin(requires_new=True),
        ):
            pass
        outer.connection.exec_driver_sql("select 1")
        outer.commit()


@pytest.mark.parametrize(
    ("total", "application", "units"), [(4, 1, 1), (5, 2, 1), (6, 2, 2), (8, 3, 3), (9, 4, 3), (100, 49, 49)]
)
def test_the_connections_of_an_instance_are_split_without_a_rest(total, application, units):
    sizes = PoolSizes.of(total)
    assert (sizes.application, sizes.units) == (application, units)
    assert sum(sizes) == total


def test_an_instance_opens_no_more_connections_than_its_setting_says(database):
    pools = Pools.of(replace(database.options, pool_size=7))
    assert sum(pool.engine.pool.size() + pool.engine.pool._max_overflow for pool in pools) == 7
    pools.close()


def test_progress_is_not_waited_for_while_a_transaction_writes_the_jobs_row(
    make_runtime, registry, database, sql, caplog
):
    """Heartbeats write it: one that waited would hold up the leases of all the others."""
    noted = threading.Event()

    def handle(args: Anything, ctx: JobContext) -> None:
        with database.engine.begin() as other:
            other.exec_driver_sql("select 1 from jobs.jobs for update")
            ctx.progress(0.5)
            noted.set()

    caplog.set_level(logging.DEBUG, "jobs")
    registry.add_handler("Work", handle)
    runtime = make_runtime()
    runtime.service.enqueue(job("job", "Work"))
    runtime.worker.drain(PATIENCE)
    assert noted.is_set()
    assert "was not noted: a transaction is writing its row" in caplog.text
    assert "trying again" not in caplog.text, "it would have waited for the lock"
    assert sql("select status, progress from jobs.jobs") == [("Completed", None)]
