"""The README's units of work and locks, run as they are written there."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from jobs.app.runtime import Runtime
from jobs.core.errors import LockNotAcquired
from jobs.core.handlers.context import JobContext
from jobs.core.handlers.loading.package import load_handlers
from jobs.core.lifecycle.status import JobStatus
from tests.e2e.test_readme import ROOT, block
from tests.support import Anything, job


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Runtime]:
    """Load blocks of the README as the modules of a handler package."""

    def load(**modules: str):
        package = tmp_path / "readme_handlers"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "dependencies.py").write_text((ROOT / "jobs/handlers/dependencies.py").read_text())
        for name, containing in modules.items():
            (package / f"{name}.py").write_text(block("python", containing))
        monkeypatch.syspath_prepend(str(tmp_path))
        for name in [name for name in sys.modules if name.startswith("readme_handlers")]:
            monkeypatch.delitem(sys.modules, name)
        return load_handlers("readme_handlers")

    return load


def test_the_handler_that_completes_its_job_in_a_unit_of_work(load, make_runtime, sql):
    sql("create table stock (item text primary key, pieces integer check (pieces >= 0))")
    sql("insert into stock values ('chair', 1)")
    runtime = make_runtime(load(ship_order='@handler("ShipOrder")'))
    first = runtime.service.enqueue(job("1", "ShipOrder", payload={"item": "chair"})).id
    runtime.worker.drain(60)
    assert runtime.service.get(first).status is JobStatus.COMPLETED
    second = runtime.service.enqueue(job("2", "ShipOrder", payload={"item": "chair"}, max_retries=0)).id
    runtime.worker.drain(60)
    assert runtime.service.get(second).status is JobStatus.FAILED
    assert sql("select pieces from stock") == [(0,)]


def test_the_service_that_joins_the_handlers_unit_of_work(load, make_runtime, sql):
    sql("create table ledger (entry text)")
    registry = load(ledger="class Ledger")
    ledger_type = sys.modules["readme_handlers.ledger"].Ledger

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
    runtime = make_runtime(load(publish='@handler("Publish")'))
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
        monkeypatch.setattr("jobs.core.transactions.lock.DistributedLock.acquire", _in_vain)
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
