"""Replacing the holder of a name: whatever happens, one active job of that name stands, and none is lost."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
import sqlalchemy as sa

from jobs import OnConflict
from tests.support import job, until

REPLACE = {"on_conflict": OnConflict.REPLACE, "schedule": "P1D"}


@pytest.fixture
def active(sql):
    """List the active jobs of the name."""
    query = "select id from jobs.jobs where job_name = 'name' and status in ('Scheduled', 'Running')"
    return lambda: [job_id for (job_id,) in sql(query)]


def test_a_replacement_that_cannot_be_inserted_leaves_the_holder_as_it_was(runtime, sql, active):
    holder = runtime.service.enqueue(job("name", schedule="P1D")).id
    sql(
        "create function refuse() returns trigger language plpgsql as $$ begin "
        "if exists (select from jobs.jobs where job_name = new.job_name and status = 'Scheduled') then return new; "
        "end if; raise exception using errcode = '53100', message = 'the disk is full'; end $$"
    )
    sql("create trigger refuse before insert on jobs.jobs for each row execute function refuse()")
    with pytest.raises(Exception, match="disk is full"):
        runtime.service.enqueue(job("name", **REPLACE))
    assert active() == [holder]
    assert sql("select count(*) from jobs.job_audit") == [(0,)]


def test_while_many_replace_one_another_the_name_is_never_without_a_holder(make_runtime, active):
    runtime = make_runtime(database_pool_size=10)
    runtime.service.enqueue(job("name", schedule="P1D"))
    seen: set[int] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            seen.add(len(active()))

    with ThreadPoolExecutor(1) as watcher:
        watching = watcher.submit(watch)
        try:
            with ThreadPoolExecutor(8) as pool:
                made = list(pool.map(lambda _: runtime.service.enqueue(job("name", **REPLACE)).id, range(64)))
        finally:
            done.set()
        watching.result()
    assert seen == {1}
    assert len(set(made)) == 64
    [standing] = active()
    assert standing in made
    assert [runtime.service.get(each).status for each in made if each != standing] == ["Cancelled"] * 63


def test_a_connection_that_dies_amid_a_replacement_loses_no_job(runtime, sql, active, database):
    holder = runtime.service.enqueue(job("name", schedule="P1D")).id
    with database.engine.connect() as blocker, ThreadPoolExecutor(1) as pool:
        blocker.execute(sa.text("select 1 from jobs.jobs where id = :id for update"), {"id": holder})
        replacing = pool.submit(lambda: runtime.service.enqueue(job("name", **REPLACE)).id)
        victim = until(lambda: _waiting(sql))
        sql("select pg_terminate_backend(:pid)", pid=victim)
        until(lambda: _waiting(sql) not in {None, victim})
        assert active() == [holder]
        blocker.rollback()
        made: UUID = replacing.result(timeout=60)
    assert active() == [made]
    assert runtime.service.get(holder).status == "Cancelled"


def _waiting(sql):
    query = (
        "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database() "
        "and query like '%replace%' and pid <> pg_backend_pid()"
    )
    return next((pid for (pid,) in sql(query)), None)
