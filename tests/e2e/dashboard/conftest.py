"""The dashboard in a browser: the app as ``python -m jobs dev`` serves it, and pages of Debian's chromium."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from jobs.adapters.postgres.connection.database import Database
from jobs.bootstrap.database import database_options
from jobs.settings import Settings
from tests.ports import HeldPorts
from tests.support import PATIENCE_SECONDS, ROOT, until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
AXE = ROOT / ".local/accessibility/node_modules/axe-core/axe.min.js"
NO_BROWSER = "chromium is not on PATH; on Debian: apt-get install chromium"
NO_AXE = "axe-core is not installed; `make accessibility` installs it"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
KEY = "the-function-key"


class App:
    """The app in a process of its own."""

    def __init__(self, url: str, database: sa.Engine) -> None:
        self.url = url
        self.client = httpx.Client(base_url=url, timeout=PATIENCE_SECONDS, verify=False)
        self._database = database

    def enqueue(self, handler_name: str = "Work", **fields: Any) -> dict[str, Any]:
        body = {"handler_name": handler_name, "job_name": f"job {uuid.uuid4().hex[:8]}"} | fields
        answer = self.client.post("/api/jobs", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def get(self, job: dict[str, Any]) -> dict[str, Any]:
        return self.client.get(f"/api/jobs/{job['id']}").json()

    def audit(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        return self.client.get(f"/api/jobs/{job['id']}/audit").json()["audit"]

    def command(self, job: dict[str, Any], verb: str, **body: Any) -> None:
        assert self.client.post(f"/api/jobs/{job['id']}/{verb}", json=body).status_code == 200

    def until_status(self, job: dict[str, Any], status: str) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            found = self.get(job)
            return found if found["status"] == status else None

        return until(reached)

    def sql(self, text: str, **values: Any) -> None:
        with self._database.begin() as connection:
            connection.execute(sa.text(text), values)


@contextmanager
def serving(server: Any, folder: Path, **settings: str) -> Iterator[App]:
    """Serve the app on a database of its own until the block ends."""
    name = f"dashboard_{uuid.uuid4().hex}"
    with server.admin.connect() as connection:
        connection.execute(sa.text(f"create database {name} template jobs_template"))
    database = Database(database_options(Settings(database_url=server.url(name))))
    with HeldPorts() as ports:
        [port] = ports.take(1)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("JOBS_")}
        environment |= {
            "JOBS_DATABASE_URL": server.url(name),
            "JOBS_DATABASE_TLS": "false",
            "JOBS_HANDLERS": "tests.e2e.dashboard.handlers",
            "JOBS_SHUTDOWN_GRACE_SECONDS": "1",
        } | settings
        command = [sys.executable, "-m", "jobs", "dev", "--no-reload", "--port", str(port), "--data", str(folder)]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        app = App(f"http://127.0.0.1:{port}", database.engine)
        try:
            until(lambda: _is_ready(app, process, folder / "log"))
            yield app
        finally:
            app.client.close()
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE_SECONDS)
    database.close()
    with server.admin.connect() as connection:
        connection.execute(sa.text(f"drop database {name} with (force)"))


def _is_ready(app: App, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    with suppress(httpx.TransportError):
        return app.client.get("/api/health/ready").status_code == 200
    return False


@pytest.fixture(
    scope="module"
)  # as long as it runs, this thread has an event loop, and no other module's test gets one
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; `make test` installs it")
    if CHROMIUM is None:
        pytest.skip(NO_BROWSER)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def app(server: Any, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with serving(server, tmp_path_factory.mktemp("app")) as app:
        yield app


Open = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, app: App) -> Iterator[Open]:
    """Open pages of the dashboard. Whatever one logs as an error, or throws, fails the test."""
    contexts: list[Any] = []
    faults: list[str] = []

    def open_page(path: str = "", *, base: str | None = None, shown: bool = True, **options: Any) -> Any:
        context = browser.new_context(**{"timezone_id": "Asia/Kolkata", "locale": "en-GB"} | options)
        context.set_default_timeout(PATIENCE_SECONDS * 1000)
        contexts.append(context)
        page = context.new_page()
        page.faults = faults
        page.on("pageerror", lambda error: faults.append(f"pageerror: {error}"))
        page.on(
            "console",
            lambda message: faults.append(f"{message.text} {message.location}") if message.type == "error" else None,
        )
        page.on("dialog", lambda dialog: faults.append(f"dialog: {dialog.message}"))
        page.goto(f"{base or app.url}/dashboard/{path}")
        if shown:
            page.wait_for_selector("#view[data-title]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


def violations(page: Any) -> list[str]:
    """What axe finds wrong with a page, each with the elements that it is about."""
    if not AXE.exists():
        pytest.skip(NO_AXE)
    page.evaluate(AXE.read_text(encoding="utf-8") + "; undefined")
    found = page.evaluate("axe.run(document).then((result) => result.violations)")
    return [
        f"{each['id']}: {each['help']}: {json.dumps([node['html'][:200] for node in each['nodes']])}" for each in found
    ]
