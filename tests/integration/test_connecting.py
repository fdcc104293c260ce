"""``connect``: a program of the user's own, such as a web app, enqueues jobs that the app runs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from datetime import timedelta

import pytest
import sqlalchemy as sa
from pydantic import BaseModel
from sqlalchemy.orm import Session

from jobs import (
    ConfigurationError,
    Conflict,
    EnqueueJob,
    HandlerRegistry,
    InvalidInput,
    JobContext,
    JobNameTaken,
    JobNotFound,
    JobQuery,
    Jobs,
    JobStatus,
    Limits,
    OnConflict,
    PreconditionFailed,
    RetryPolicy,
    UnknownHandler,
    UpdateJob,
    connect,
    declare,
    handler,
)
from jobs.core.handlers.enqueuing import open_jobs
from jobs.core.lifecycle.ids import new_id
from jobs.settings import Settings
from tests.support import until

STORAGE = "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net"
QUEUE = {"scheduler": "queue", "queue_connection": STORAGE}


class ShipOrderArgs(BaseModel):
    order: int
    customer: str = "nobody"


ship_order = declare(
    "ConnectingShipOrder",
    ShipOrderArgs,
    retry=RetryPolicy(max_retries=7),
    timeout=timedelta(minutes=2),
    limits=Limits(concurrency_key=lambda args: args.customer),
)


@handler(ship_order)
def ship(args: ShipOrderArgs, ctx: JobContext) -> None:
    """What the app does; the web app below has no need of it."""
    with ctx.unit_of_work() as uow:
        uow.connection.execute(sa.text("update orders set shipped = true where id = :id"), {"id": args.order})
        uow.complete()


@pytest.fixture(autouse=True)
def _nothing_is_open(monkeypatch):
    monkeypatch.setattr(open_jobs, "_opened", [])


@pytest.fixture
def jobs(database_url):
    with connect(database_url, pgbouncer=Settings().database_pgbouncer, actor="web") as jobs:
        yield jobs


@pytest.fixture
def shop(database, sql):
    """The web app's own engine, on the database that the jobs are in."""
    sql("create table orders (id int primary key, shipped boolean not null default false)")
    engine = sa.create_engine(database.engine.url)
    yield engine
    engine.dispose()


@pytest.fixture
def app(make_runtime):
    """The app that runs the jobs."""
    registry = HandlerRegistry()
    registry.add_marked(ship)
    return make_runtime(registry)


PLACE_ORDER = sa.text("insert into orders (id) values (:id)")


def test_a_job_enqueued_in_a_web_apps_transaction_exists_and_runs_exactly_if_that_commits(jobs, shop, app, sql):
    def place_order(number: int, *, paid: bool) -> None:
        with shop.begin() as connection:
            connection.execute(PLACE_ORDER, {"id": number})
            ship_order.enqueue(ShipOrderArgs(order=number), jobs=jobs, connection=connection)
            if not paid:
                raise PermissionError

    place_order(1, paid=True)
    with pytest.raises(PermissionError):
        place_order(2, paid=False)
    with Session(shop) as session:
        session.execute(PLACE_ORDER, {"id": 3})
        enqueued = ship_order.enqueue(ShipOrderArgs(order=3), jobs=jobs, connection=session, job_name="ship-3")
        with pytest.raises(JobNotFound):
            jobs.get(enqueued.id)
        session.commit()

    until(lambda: (app.worker.drain(1), {job.status for job in jobs.find().jobs} == {JobStatus.COMPLETED})[1])
    assert sorted(job.payload["order"] for job in jobs.find().jobs) == [1, 3]
    assert sql("select id, shipped from orders order by id") == [(1, True), (3, True)]


def test_what_a_handler_is_declared_with_is_what_its_jobs_are_made_with(jobs):
    job = ship_order.enqueue(ShipOrderArgs(order=1, customer="ann"), jobs=jobs).job
    job = jobs.get(job.id)
    assert (job.max_retries, job.timeout, job.limited, job.concurrency_key) == (7, timedelta(minutes=2), True, "ann")
    assert (job.created_by, job.job_name) == ("web", f"ConnectingShipOrder/{job.id}")
    own = ship_order.enqueue(ShipOrderArgs(order=1), jobs=jobs, max_retries=0, schedule=timedelta(hours=1)).job
    assert (own.max_retries, own.schedule) == (0, "PT1H")


def test_jobs_are_looked_up_and_steered_with_the_words_of_the_http_api(jobs):
    command = ship.command(ShipOrderArgs(order=1), job_name="order-1", schedule=timedelta(hours=1), metadata={"a": 1})
    job_id = jobs.enqueue(command).id
    assert jobs.find(JobQuery(job_name=("order-1",))).jobs[0].id == job_id
    assert jobs.pause(job_id).paused
    assert not jobs.resume(job_id).paused
    changed = jobs.update(job_id, UpdateJob(payload=ShipOrderArgs(order=2)))
    assert changed.payload["order"] == 2
    with pytest.raises(PreconditionFailed):
        jobs.update(job_id, UpdateJob(max_retries=1), revision=changed.revision - 1)
    assert jobs.run_now(job_id).next_run_at < changed.next_run_at
    assert jobs.cancel(job_id).status is JobStatus.CANCELLED
    with pytest.raises(Conflict):
        jobs.run_now(job_id)
    assert jobs.retry(job_id).status is JobStatus.SCHEDULED
    assert jobs.attempts(job_id) == []
    for call in (jobs.get, jobs.pause, jobs.cancel, jobs.retry, jobs.attempts):
        with pytest.raises(JobNotFound):
            call(new_id())


def test_an_id_may_be_text_and_text_that_is_none_is_the_id_of_no_job(jobs):
    job_id = jobs.enqueue(ship.command(ShipOrderArgs(order=1), schedule=timedelta(hours=1))).id
    assert jobs.get(str(job_id)).id == job_id
    assert jobs.cancel(str(job_id)).status is JobStatus.CANCELLED
    for call in (jobs.get, jobs.attempts, jobs.cancel, jobs.pause, jobs.resume, jobs.run_now, jobs.retry):
        with pytest.raises(JobNotFound, match="no job has the id invoice-7"):
            call("invoice-7")
        with pytest.raises(TypeError, match="a job's id is a UUID or its text, and not a int"):
            call(7)


@pytest.mark.parametrize(
    ("call", "mend"),
    [
        (lambda jobs, _: jobs.enqueue({"handler_name": "A"}), "give EnqueueJob, such as send_invoice.command"),
        (lambda jobs, _: jobs.enqueue_many([{"handler_name": "A"}]), "give EnqueueJob, such as"),
        (lambda jobs, job: jobs.update(job, {"schedule": "@daily"}), "give UpdateJob, such as UpdateJob"),
        (lambda jobs, _: jobs.find({"job_name": "a"}), "give JobQuery, such as JobQuery"),
        (lambda jobs, job: jobs.pause(job, revision="1"), "revision is a whole number, as job.revision is"),
    ],
)
def test_a_value_of_another_type_is_refused_with_the_one_to_give(jobs, call, mend):
    job_id = jobs.enqueue(ship.command(ShipOrderArgs(order=1), schedule=timedelta(hours=1))).id
    with pytest.raises(TypeError, match=mend):
        call(jobs, job_id)


def test_a_name_that_is_taken_is_refused_with_its_holder(jobs):
    command = ship.command(ShipOrderArgs(order=1), job_name="order-1", schedule=timedelta(hours=1))
    first = jobs.enqueue(command)
    with pytest.raises(JobNameTaken) as caught:
        jobs.enqueue(command)
    assert caught.value.holder == first.id
    same = ship.enqueue(ShipOrderArgs(order=1), jobs=jobs, job_name="order-1", on_conflict=OnConflict.RETURN_EXISTING)
    assert (same.id, same.created, first.created) == (first.id, False, True)


def test_many_jobs_are_enqueued_each_on_its_own_merit(jobs):
    commands = [ship.command(ShipOrderArgs(order=n)) for n in range(3)]
    commands.insert(1, EnqueueJob(handler_name=ship_order.name, payload={"order": "many"}))
    results = jobs.enqueue_many(commands)
    assert isinstance(results[1], InvalidInput)
    assert [result.job.payload["order"] for result in results if result is not results[1]] == [0, 1, 2]


def test_a_handler_that_is_not_known_is_refused_with_how_to_make_it_known(jobs):
    with pytest.raises(UnknownHandler, match=r"declare\('ConnectingNobody', ItsArguments\)"):
        jobs.enqueue(EnqueueJob(handler_name="ConnectingNobody"))
    declare("ConnectingNobody", ShipOrderArgs)
    assert jobs.enqueue(EnqueueJob(handler_name="ConnectingNobody", payload={"order": 1})).created


def test_handlers_may_be_given_as_a_registry(database_url):
    registry = HandlerRegistry()
    registry.add_handler("OnlyHere", lambda_taking(ShipOrderArgs))
    with connect(database_url, handlers=registry, pgbouncer=Settings().database_pgbouncer) as jobs:
        assert jobs.enqueue(EnqueueJob(handler_name="OnlyHere", payload={"order": 1})).created
        with pytest.raises(UnknownHandler):
            ship.enqueue(ShipOrderArgs(order=1), jobs=jobs)


def lambda_taking(model):
    def handle(args) -> None:
        pass

    handle.__annotations__["args"] = model
    return handle


def test_connecting_reads_nothing_from_the_environment(database_url, monkeypatch):
    pgbouncer = Settings().database_pgbouncer
    for name in ("URL", "SCHEMA", "POOL_SIZE", "CA_FILE"):
        monkeypatch.setenv(f"JOBS_DATABASE_{name}", "none that could be used")
    monkeypatch.setenv("JOBS_SCHEDULER", "none")
    with connect(database_url, pgbouncer=pgbouncer) as jobs:
        assert ship.enqueue(ShipOrderArgs(order=1), jobs=jobs).created


@pytest.mark.parametrize(
    ("url", "options", "says"),
    [
        ("mysql://localhost/shop", {}, "database_url names 'mysql'"),
        ("postgresql://app@localhost/shop", {"ca_file": "/no/such/file"}, "ca_file is /no/such/file"),
        ("postgresql://app@localhost/shop?sslmode=disable", {"tls": True}, "sslmode=disable, and tls is True"),
        ("postgresql://app@localhost/shop", {"schema": "A B"}, "schema is 'A B'"),
        ("postgresql://app@localhost/shop", {"handlers": "no_such_package"}, "no_such_package"),
        (sa.make_url("postgresql://app:secret@localhost/shop"), {}, "url.render_as_string(hide_password=False)"),
        ("postgresql://app@localhost/shop", {"scheduler": "timer"}, 'scheduler is "dapr", "queue" or a scheduler'),
        ("postgresql://app@localhost/shop", {"scheduler": "queue"}, "queue_connection is the connection string of"),
        ("postgresql://app@localhost/shop", {"queue_connection": STORAGE}, 'and goes with scheduler="queue"'),
        ("postgresql://app@localhost/shop", QUEUE | {"queue": "Jobs"}, "queue is the name of the app's storage queue"),
        ("postgresql://app@localhost/shop", QUEUE | {"queue": "jobs\n"}, "queue is the name of the app's storage"),
        (
            "postgresql://app@localhost/shop",
            QUEUE | {"queue_connection": "secret"},
            "queue_connection is no connection",
        ),
        ("postgresql://app@localhost/shop", QUEUE | {"queue_connection": "http://a.example"}, "begin with https://"),
        ("postgresql://app@localhost/shop", {"handlers": ["shop"]}, "handlers is the name of a package or"),
        ("postgresql://app@localhost/shop", {"password": "secret"}, "password is a function that returns one"),
        ("postgresql://app@localhost/shop", {"pool_size": 0}, "pool_size is a whole number of at least 1"),
        ("postgresql://app@localhost/shop", {"pool_size": "4"}, "pool_size is a whole number of at least 1"),
        ("postgresql://app@localhost/shop", {"tls": "false"}, "tls is True, False or None"),
        ("postgresql://app@localhost/shop", {"pgbouncer": "false"}, "pgbouncer is True or False"),
        ("postgresql://app@localhost/shop", {"actor": 7}, "actor is a text, such as str(user.id)"),
    ],
)
def test_what_cannot_be_connected_to_is_told_by_the_argument_that_says_so(url, options, says):
    with pytest.raises(ConfigurationError) as caught:
        connect(url, **options)
    assert says in str(caught.value)
    assert "JOBS_" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_dapr_without_its_package_is_told_with_the_extra_that_brings_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "jobs.adapters.schedulers.dapr", raising=False)
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(ConfigurationError, match=r"needs the package dapr .*pip install 'aether-jobs\[dapr\]'"):
        connect("postgresql://app@localhost/shop", scheduler="dapr")


def test_with_the_apps_queue_a_job_is_armed_as_it_is_enqueued(database_url, azurite, queues, sql):
    queue, _ = queues
    with connect(database_url, scheduler="queue", queue=queue.name, queue_connection=azurite.connection_string) as jobs:
        enqueued = ship.enqueue(ShipOrderArgs(order=1), jobs=jobs)
    [message] = queue.take(32, hidden_for=1)
    assert message.text == f"{enqueued.id.hex}-1"
    assert sql("select armed_at is not null from jobs.jobs") == [(True,)]


def test_without_jobs_a_handler_enqueues_with_what_this_process_has_open_if_that_is_one(database_url, jobs):
    assert ship_order.enqueue(ShipOrderArgs(order=1)).created
    with connect(database_url) as second, pytest.raises(ConfigurationError, match=r"2 databases .* jobs=jobs"):
        ship.enqueue(ShipOrderArgs(order=1))
    assert isinstance(second, Jobs)
    assert ship.enqueue(ShipOrderArgs(order=2)).created
    jobs.close()
    with pytest.raises(ConfigurationError, match=r"nothing is connected to .* jobs = connect\(database_url\)"):
        ship.enqueue(ShipOrderArgs(order=3))


def test_jobs_that_are_closed_take_no_call_any_more_in_the_callers_transaction_either(jobs, shop, sql):
    command = ship_order.command(ShipOrderArgs(order=1))
    jobs.close()
    with shop.begin() as connection:
        for call in (
            lambda: jobs.enqueue(command),
            lambda: jobs.enqueue(command, connection=connection),
            lambda: jobs.enqueue_many([command], connection=connection),
            lambda: jobs.cancel(new_id(), connection=connection),
            jobs.find,
        ):
            with pytest.raises(ConfigurationError, match=r"these jobs are closed.*connect\(database_url\) again"):
                call()
    assert sql("select count(*) from jobs.jobs") == [(0,)]


def test_in_the_app_a_handler_enqueues_with_the_app(database_url, monkeypatch):
    from jobs.bootstrap import create_closable_app

    monkeypatch.setenv("JOBS_DATABASE_URL", database_url)
    close = create_closable_app().close
    try:
        with pytest.raises(UnknownHandler):
            ship.enqueue(ShipOrderArgs(order=1))  # which the app does not have among its handlers
    finally:
        close()
    with pytest.raises(ConfigurationError, match="nothing is connected to"):
        ship.enqueue(ShipOrderArgs(order=1))


def test_a_program_that_only_declares_handlers_loads_neither_a_driver_nor_sqlalchemy():
    code = """
        import sys
        from pydantic import BaseModel
        from jobs import connect, declare

        class Args(BaseModel): ...

        declare("A", Args).command(Args())
        heavy = {"sqlalchemy", "pg8000", "azure", "dapr", "alembic", "grpc"}
        sys.exit(", ".join(heavy & {name.partition(".")[0] for name in sys.modules}) or 0)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
