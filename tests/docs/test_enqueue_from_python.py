"""The web app that the guide shows enqueues jobs that the app of the guide runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from jobs import JobStatus, connect
from jobs.core.handlers.enqueuing import open_jobs
from jobs.core.handlers.loading.package import load_handlers
from tests.docs.blocks import block
from tests.support import MakeRuntime

create_engine = sa.create_engine
PAGE = "docs/how-to/enqueue-from-python.md"


def test_a_web_app_enqueues_in_its_own_transaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: Any, make_runtime: MakeRuntime, database_url: str
) -> None:
    monkeypatch.setattr(open_jobs, "_opened", [])
    package = tmp_path / "documented"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "contracts.py").write_text(block(PAGE, 'declare(\n    "SendInvoice"'))
    (package / "send_invoice.py").write_text(block(PAGE, "@handler(send_invoice)"))
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("documented")]:
        monkeypatch.delitem(sys.modules, name)

    runtime = make_runtime(load_handlers("documented"))
    with database.engine.begin() as connection:
        connection.execute(sa.text("create table invoices (id text primary key)"))
    contracts = sys.modules["documented.contracts"]
    variables: dict[str, Any] = {
        "database_url": database_url,
        "engine": database.engine,
        "insert_invoice": sa.text("insert into invoices values ('7')"),
        **{name: getattr(contracts, name) for name in ("SendInvoiceArgs", "send_invoice")},
    }
    code = compile(block(PAGE, "jobs = connect("), PAGE, "exec")
    exec(code, variables)
    jobs = variables["jobs"]
    try:
        runtime.worker.drain(60)
        reminder, invoice = jobs.find().jobs
        assert (invoice.job_name, invoice.status, invoice.created_by) == ("invoice-7", JobStatus.COMPLETED, "web")
        assert (reminder.schedule, reminder.max_retries, reminder.limited) == ("P14D", 5, True)
        open_jobs._opened.clear()
        with pytest.raises(sa.exc.IntegrityError):  # the invoice is there already
            exec(code, variables)
        assert len(jobs.find().jobs) == 2
    finally:
        jobs.close()
        variables["jobs"].close()


def test_the_complete_program_enqueues_with_its_own_row_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch, database: Any, database_url: str
) -> None:
    def engine_by_another_driver(url: Any, **options: Any) -> sa.Engine:
        """The database's own engine for psycopg's, which is not among what tests need."""
        named = sa.make_url(url).drivername == "postgresql+psycopg"
        return database.engine if named else create_engine(url, **options)

    monkeypatch.setattr(sa, "create_engine", engine_by_another_driver)
    monkeypatch.setenv("JOBS_DATABASE_URL", database_url)
    code = compile(block(PAGE, "sa.create_engine("), "web.py", "exec")
    exec(code, {})
    with pytest.raises(sa.exc.IntegrityError):  # the invoice is there already
        exec(code, {})
    with connect(database_url, tls=False) as jobs:
        assert [job.job_name for job in jobs.find().jobs] == ["invoice-7"]
