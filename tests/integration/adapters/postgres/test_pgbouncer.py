"""Through PgBouncer in transaction mode, with fewer connections to the server than clients: nothing leans on a session.

Every test of the project can be run that way with ``pytest --pgbouncer``; these are, wherever PgBouncer is installed.
"""

import gc
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from jobs import OnConflict
from jobs.app.runtime import Runtime
from jobs.core.errors import StoreUnavailable
from jobs.core.handlers.context import JobContext
from jobs.core.lifecycle.retry import RetryPolicy
from jobs.core.lifecycle.status import JobStatus
from tests.pgbouncer import MISSING, find_pgbouncer, pgbouncer
from tests.support import Anything, job, note, until

pytestmark = pytest.mark.skipif(find_pgbouncer() is None, reason=MISSING)


@pytest.fixture(scope="module")
def bouncer(server) -> Iterator[Path]:
    with pgbouncer(server.socket_folder, pool_size=3) as folder:
        yield folder


@pytest.fixture
def make_bounced(make_runtime, database_url, bouncer):
    """Make runtimes that reach the test's database through PgBouncer alone."""
    address = f"postgresql://postgres@/{sa.make_url(database_url).database}?host={bouncer}"
    return lambda **settings: make_runtime(database_url=address, database_pgbouncer=True, **settings)


def histories(sql) -> list[str]:
    text = "select string_agg(outcome, ' ' order by started_at) from jobs.job_attempts group by job_id"
    return [outcomes for (outcomes,) in sql(text)]


def drain_all(runtimes: list[Runtime]) -> int:
    with ThreadPoolExecutor(len(runtimes)) as pool:
        return sum(report.executed for report in pool.map(lambda runtime: runtime.worker.drain(60), runtimes))


def test_instances_that_share_few_connections_run_every_job_once(make_bounced, registry, sql):
    ran, attempts = [], threading.Lock()

    def handle(args: Anything, ctx: JobContext) -> None:
        with attempts:
            ran.append((ctx.job_name, ctx.attempt))
        if ctx.attempt == 1 and int(ctx.job_name) % 3 == 0:
            raise ValueError

    registry.add_handler("Work", handle, retry=RetryPolicy(base=timedelta(milliseconds=1), jitter=False))
    runtimes = [make_bounced() for _ in range(4)]
    runtimes[0].service.enqueue_many([job(f"{n}", "Work") for n in range(300)])
    until(lambda: drain_all(runtimes) == 0 and not runtimes[0].housekeeping.stats()["jobs"].get("Scheduled"))
    assert len(ran) == len(set(ran)) == 400
    assert sorted(histories(sql)) == ["Failed Succeeded"] * 100 + ["Succeeded"] * 200


def test_a_handler_completes_its_job_in_a_unit_of_work(make_bounced, registry, notes, sql):
    def handle(args: Anything, ctx: JobContext) -> None:
        with ctx.unit_of_work() as uow:
            note(uow, ctx.job_name)
            uow.complete()

    registry.add_handler("Work", handle)
    runtimes = [make_bounced(database_pool_size=6) for _ in range(3)]
    runtimes[0].service.enqueue_many([job(f"{n}", "Work") for n in range(60)])
    drain_all(runtimes)
    assert sorted(notes()) == sorted(f"{n}" for n in range(60))
    assert histories(sql) == ["Succeeded"] * 60


def test_one_contender_at_a_time_holds_a_lock_and_the_next_has_it_within_the_ttl_of_one_who_is_gone(make_bounced):
    runtimes = [make_bounced(database_pool_size=4) for _ in range(4)]
    holding, most, times = set(), [], []
    ttl = timedelta(seconds=60)

    def contend(number: int) -> None:
        for _ in range(4):
            with runtimes[number % 4].lock.acquire("a", ttl, ttl):
                holding.add(number)
                most.append(len(holding))
                time.sleep(0.002)
                holding.remove(number)
                times.append(number)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(contend, range(16)))
    assert set(most) == {1}
    assert len(times) == 64
    gone = runtimes[0].lock.try_acquire("a", timedelta(seconds=2))
    assert runtimes[1].lock.acquire("a", ttl, ttl).fencing_token > gone.fencing_token


def test_a_running_job_is_cancelled_and_its_lease_extended(make_bounced, registry):
    def handle(args: Anything, ctx: JobContext) -> None:
        first = other.service.get(ctx.job_id).lease_expires_at
        until(lambda: other.service.get(ctx.job_id).lease_expires_at > first)
        other.service.cancel(ctx.job_id)
        until(lambda: ctx.cancelled)
        ctx.raise_if_cancelled()

    registry.add_handler("Work", handle)
    runtime, other = make_bounced(lease_seconds=3), make_bounced()
    job_id = other.service.enqueue(job("job", "Work")).id
    runtime.worker.drain(60)
    assert other.service.get(job_id).status is JobStatus.CANCELLED


def test_an_idempotency_key_and_a_conflict_are_settled_as_ever(make_bounced):
    service = make_bounced().service
    first = service.enqueue(job("name", schedule="PT1H"))
    again = service.enqueue(job("name", schedule="PT1H", on_conflict=OnConflict.RETURN_EXISTING))
    assert again.id == first.id
    answers = [
        service.enqueue_once(job("once", schedule="PT1H"), key="k", fingerprint="f", render=lambda one: str(one.id))
        for _ in range(3)
    ]
    assert len({answer.text for answer in answers}) == 1
    assert [answer.replayed for answer in answers] == [False, True, True]


def test_a_url_that_leads_to_pgbouncer_unknown_to_the_settings_is_told_with_the_mend(
    make_runtime, database_url, bouncer
):
    address = f"postgresql://postgres@/{sa.make_url(database_url).database}?host={bouncer}"
    with pytest.raises(StoreUnavailable, match="set JOBS_DATABASE_PGBOUNCER to true"):
        make_runtime(database_url=address, database_pgbouncer=False).service.enqueue(job())
    gc.collect()
