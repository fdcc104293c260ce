"""The handlers, tests and files that the how-to guides show do what the guides say of them."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs import EnqueueJob, JobContext, LockNotAcquired
from jobs.core.handlers.loading.package import load_handlers
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.status import JobStatus
from jobs.entrypoints.cli.main import _parser
from jobs.testing import JobsHarness
from tests.docs.blocks import ROOT, block, blocks_of, pages
from tests.support import Anything, MakeRuntime, job

HOW_TO = "docs/how-to"
WRITE, TEST = f"{HOW_TO}/write-a-handler.md", f"{HOW_TO}/test-a-handler.md"
EXACTLY_ONCE, LIMITS = f"{HOW_TO}/write-exactly-once.md", f"{HOW_TO}/limit-what-runs.md"
LOCK = f"{HOW_TO}/run-one-at-a-time.md"
SAMPLES = ROOT / "tests/framework_handlers"


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., HandlerRegistry]:
    """Load blocks of pages, each found by what it contains, as the modules of a handler package beside the samples'."""

    def load(page: str, **modules: str) -> HandlerRegistry:
        package = tmp_path / "documented"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "dependencies.py").write_text((SAMPLES / "dependencies.py").read_text())
        for name, containing in modules.items():
            (package / f"{name}.py").write_text(block(page, containing))
        monkeypatch.syspath_prepend(str(tmp_path))
        for name in [name for name in sys.modules if name.startswith("documented")]:
            monkeypatch.delitem(sys.modules, name)
        return load_handlers("documented")

    return load


def test_every_handler_that_a_page_shows_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of one page in one package, as its reader would have them; a later version of a file takes its place."""
    for number, page in enumerate(pages()):
        files = {
            Path(each.marks["file"]).name: each.text
            for each in blocks_of(page)
            if each.marks.get("file", "").endswith(".py") and "@handler(" in each.text
        }
        package = tmp_path / f"page_{number}"
        package.mkdir()
        (package / "dependencies.py").write_text((SAMPLES / "dependencies.py").read_text())
        for name, text in ({"__init__.py": ""} | files).items():
            (package / name).write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        assert bool(load_handlers(package.name).all()) == bool(files), page


def test_the_import_of_orders_runs_for_payloads_of_both_versions(load: Callable[..., HandlerRegistry]) -> None:
    handlers = load(WRITE, import_orders='"ImportOrders"')
    transport = httpx.MockTransport(
        lambda request: httpx.Response(200, json=[1, 2] if "orders" in str(request.url) else 0)
    )
    shop = httpx.Client(verify=False, base_url="https://shop.example", transport=transport)
    with JobsHarness(handlers, overrides={httpx.Client: shop}) as jobs:
        ran = jobs.run_handler("ImportOrders", {"shops": ["a", "b"]}).check()
        assert (ran.result, ran.progress_message) == ({"orders": 4}, "importing b")
        assert ran.enqueued == tuple(jobs.assert_enqueued("ReportOrders", payload={"orders": 4}))
        assert [each.parent_id for each in ran.enqueued] == [ran.job.id]
        jobs.run_handler("ImportOrders", {"shops": ["a"]}).check()  # while the report on the first still waits
        assert [each.outcome for each in jobs.drain()] == ["Succeeded", "Succeeded"]
    assert handlers.require("ImportOrders").read_arguments('{"shop": "a"}', 1).model_dump() == {"shops": ["a"]}


def test_the_handler_with_limits_runs_one_of_each_shop_at_once(
    load: Callable[..., HandlerRegistry], make_runtime: MakeRuntime
) -> None:
    runtime = make_runtime(load(LIMITS, sync_shop='"SyncShop"'))
    shops = [{"shop": "a"}, {"shop": "a"}, {"shop": "b"}]
    ids = [
        runtime.service.enqueue(EnqueueJob(handler_name="SyncShop", job_name=f"sync {n}", payload=shop)).id
        for n, shop in enumerate(shops)
    ]
    assert [runtime.service.get(one).concurrency_key for one in ids] == ["a", "a", "b"]
    assert runtime.worker.drain(60).executed == 3
    first, second = (runtime.service.attempts(one)[0] for one in ids[:2])
    assert first.finished_at <= second.started_at


def test_the_handler_that_completes_its_job_in_a_unit_of_work(load, make_runtime, sql):
    sql("create table stock (item text primary key, pieces integer check (pieces >= 0))")
    sql("insert into stock values ('chair', 1)")
    runtime = make_runtime(load(EXACTLY_ONCE, ship_order='@handler("ShipOrder")'))
    first = runtime.service.enqueue(job("1", "ShipOrder", payload={"item": "chair"})).id
    runtime.worker.drain(60)
    assert runtime.service.get(first).status is JobStatus.COMPLETED
    second = runtime.service.enqueue(job("2", "ShipOrder", payload={"item": "chair"}, max_retries=0)).id
    runtime.worker.drain(60)
    assert runtime.service.get(second).status is JobStatus.FAILED
    assert sql("select pieces from stock") == [(0,)]


def test_the_service_that_joins_the_handlers_unit_of_work(load, make_runtime, sql):
    sql("create table ledger (entry text)")
    registry = load(EXACTLY_ONCE, ledger="class Ledger")
    ledger_type = sys.modules["documented.ledger"].Ledger

    def handle(args: Anything, ctx: JobContext, ledger: ledger_type) -> None:
        ledger.note("by itself")
        with ctx.unit_of_work() as uow:
            ledger.note("rolled back")
            uow.rollback()
        with ctx.unit_of_work() as uow:
            ledger.note("with the job")
            uow.complete()

    handle.__annotations__["ledger"] = ledger_type
    registry.add_handler("Work", handle)
    registry.check_services()
    runtime = make_runtime(registry)
    runtime.service.enqueue(job("1", "Work"))
    runtime.worker.drain(60)
    assert sql("select entry from ledger") == [("by itself",), ("with the job",)]


def test_the_handlers_that_take_a_lock(load, make_runtime, monkeypatch, tmp_path):
    monkeypatch.setenv("SAMPLE_REPORTS", str(tmp_path / "reports"))
    runtime = make_runtime(load(LOCK, publish='@handler("Publish")'))
    pages = {"pages": ["home", "news"]}

    def run(handler_name: str) -> str | None:
        job_id = runtime.service.enqueue(job(handler_name, handler_name, payload=pages, max_retries=0)).id
        runtime.worker.drain(60)
        return runtime.service.get(job_id).last_error

    def published() -> list[str]:
        return sorted(path.name for path in (tmp_path / "reports").glob("*"))

    with runtime.lock.acquire("website", timedelta(seconds=60)):
        assert run("PublishUnlessBusy") is None
        assert published() == []
        monkeypatch.setattr("jobs.DistributedLock.acquire", _in_vain)
        assert run("Publish").startswith("LockNotAcquired: the lock on 'website' was held by others")
        monkeypatch.undo()
        monkeypatch.setenv("SAMPLE_REPORTS", str(tmp_path / "reports"))
    assert run("PublishUnlessBusy") is None
    assert published() == ["home"]
    assert run("Publish") is None
    assert published() == ["home", "news"]
    assert runtime.lock.try_acquire("website", timedelta(seconds=1)), "it was released"


def _in_vain(lock, resource: str, ttl: timedelta, *_, **__) -> None:
    """Wait as the handler would, without the ten seconds."""
    if lock.try_acquire(resource, ttl) is None:
        raise LockNotAcquired(resource, 10)
    pytest.fail("the lock was free")


@pytest.fixture
def reader(tmp_path: Path) -> Callable[..., str]:
    """A reader who puts a handler into handlers/ and its test into tests/handlers; gives what pytest prints."""
    shutil.copytree(SAMPLES, tmp_path / "handlers", ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("mail.py", "cleanup.py"):
        (tmp_path / "handlers" / file).unlink()
    plugin = 'pytest_plugins = ["jobs.testing.plugin"]\n'  # as conftest.py of the project has it

    def tested(handler: str, test: str, fixtures: str = "") -> str:
        (tmp_path / "handlers" / "documented.py").write_text(handler)
        (tmp_path / "conftest.py").write_text(f"{plugin}{fixtures}")
        (tmp_path / "test_documented.py").write_text(test)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "."]
        environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}", "JOBS_HANDLERS": "handlers"}
        environment |= {"PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        return done.stdout + done.stderr

    return tested


def test_the_documented_test_of_a_handler_passes_and_notices_a_faulty_handler(reader: Callable[..., str]) -> None:
    handler, test = block(WRITE, '@handler("SendInvoice")'), block(TEST, "FakeSender")
    assert "3 passed" in reader(handler, test)
    assert "1 failed, 2 passed" in reader(handler.replace("ctx.idempotency_key", "ctx.lease.token"), test)


def test_the_documented_test_on_a_real_postgres_passes_and_notices_a_faulty_handler(
    reader: Callable[..., str],
) -> None:
    handler, test = block(EXACTLY_ONCE, '@handler("ShipOrder")'), block(TEST, '"ShipOrder"')
    fixtures = block(TEST, "jobs_postgres_setup")
    assert "1 passed" in reader(handler, test, fixtures)
    assert "1 failed" in reader(handler.replace("uow.complete()", "uow.rollback()"), test, fixtures)


def test_the_framework_s_tables_join_an_application_s_metadata(database: Any) -> None:
    variables: dict[str, Any] = {}
    exec(block(f"{HOW_TO}/own-tables.md", "add_background_jobs(metadata)"), variables)
    with database.engine.begin() as connection:
        variables["orders"].create(connection)
        assert connection.execute(variables["orders_whose_mail_failed"]).fetchall() == []


def test_alembic_leaves_the_framework_s_schema_alone() -> None:
    variables: dict[str, Any] = {}
    exec(block(f"{HOW_TO}/own-tables.md", "include_name"), variables)
    kept = [name for name in (None, "jobs", "shop") if variables["include_name"](name, "schema", {})]
    assert kept == [None, "shop"]


def test_the_file_of_recurring_jobs_makes_what_the_page_says() -> None:
    """``test_pages.py`` applies it; here it is one that a pull request's check would find sound."""
    page = f"{HOW_TO}/jobs-as-code.md"
    names = re.findall(r"job_name: (\S+)", block(page, "owner: shop"))
    assert re.findall(r"\+ create  (\S+)", block(page, "+ create")) == names


def test_the_commands_that_grant_roles_their_rights_are_taken() -> None:
    for line in block(f"{HOW_TO}/set-up-the-database.md", "--migrator deploy").splitlines():
        assert _parser().parse_args(shlex.split(line, comments=True)[3:]).run


def test_the_timers_locks_are_those_of_host_json() -> None:
    documented = json.loads("{" + block(f"{HOW_TO}/hand-over.md", "listenerLockPeriod") + "}")
    assert documented.items() <= json.loads((ROOT / "host.json").read_text()).items()
