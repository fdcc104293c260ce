"""What the README says is done here as written: its commands, its calls, its Python."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from jobs.core.commands import EnqueueJob
from jobs.core.handlers.loading.package import load_handlers
from jobs.core.handlers.registry import HandlerRegistry
from jobs.testing import JobsHarness
from tests.support import PATIENCE_SECONDS, ROOT, MakeRuntime

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)


def block(language: str, containing: str) -> str:
    [found] = [text for kind, text in BLOCKS if kind == language and containing in text]
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder for a Postgres: not among pytest's, which every run of it closes to the user that Postgres becomes."""
    with TemporaryDirectory(prefix="jobs-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def app(folder: Path) -> Iterator[tuple[str, Path]]:
    """The app as `make run` starts it once its environment stands, on a free port and fresh data."""
    port, log = free_port(), folder / "log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JOBS_")}
    environment |= {"SAMPLE_OUTBOX": str(folder / "outbox.jsonl"), "PYTHONUNBUFFERED": "1"}
    command = [
        sys.executable,
        "-m",
        "jobs",
        "dev",
        "--demo",
        "--host",
        "builtin",
        "--port",
        str(port),
        "--data",
        str(folder),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: httpx.get(f"{url}/api/health/ready").status_code == 200, process, log)
        yield url, log
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, log.read_text()


def wait_for(condition: Any, process: subprocess.Popen[bytes] | None = None, log: Path | None = None) -> None:
    until = time.monotonic() + 3 * PATIENCE_SECONDS
    while time.monotonic() < until:
        if process is not None and process.poll() is not None:
            break
        try:
            if condition():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail(f"it did not come about; the app said:\n{log.read_text() if log else ''}")


def shell(command: str, url: str) -> str:
    command = command.replace("http://127.0.0.1:7071", url)
    done = subprocess.run(shlex.split(command), capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def test_make_run_and_make_test_are_the_commands_that_the_readme_names() -> None:
    assert "make run\n" in block("sh", "make run")
    assert "make test\n" in block("sh", "make test")
    assert re.search(r"python -m jobs dev --demo --port", (ROOT / "Makefile").read_text())


def test_the_sample_jobs_run_and_are_told_about(app: tuple[str, Path]) -> None:
    _, log = app
    wait_for(lambda: re.search(r"welcome +Completed", log.read_text()), log=log)
    recurring = r"demo-every-15-seconds +Scheduled next at \d\d:\d\d:\d\d"
    wait_for(lambda: re.search(recurring, log.read_text()), log=log)


def test_the_curl_call_enqueues_a_job_that_completes(app: tuple[str, Path]) -> None:
    url, log = app
    answer = shell(block("sh", '"job_name": "send-email-1"'), url)
    head, _, body = answer.replace("\r\n", "\n").partition("\n\n")
    assert head.startswith("HTTP/1.1 201")
    job = json.loads(body)
    assert f"/api/jobs/{job['id']}" in head
    wait_for(lambda: httpx.get(f"{url}/api/jobs/{job['id']}").json()["status"] == "Completed", log=log)
    attempts = httpx.get(f"{url}/api/jobs/{job['id']}/attempts").json()["attempts"]
    assert [attempt["outcome"] for attempt in attempts] == ["Succeeded"]


def test_the_listing_call_answers(app: tuple[str, Path]) -> None:
    url, _ = app
    page = json.loads(shell(block("sh", "metadata.OrderId=1"), url))
    assert page["next"] is None


def test_the_preview_calls_answer_what_the_readme_says(app: tuple[str, Path]) -> None:
    command = block("sh", "python -m jobs preview").replace("python", sys.executable, 1)
    printed = subprocess.run(shlex.split(command), cwd=ROOT, capture_output=True, text=True, check=True, timeout=120)
    release = re.compile(r"\b20\d\d[a-z]\b")  # another with each update of the time zone database
    assert release.sub("", printed.stdout) == release.sub("", block("", "time zones of"))
    url, _ = app
    assert json.loads(shell(block("sh", "api/schedules/preview"), url)) == json.loads(block("json", '"description"'))


@pytest.fixture
def handlers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HandlerRegistry:
    """The handlers that the README shows, in a package of their own."""
    name = f"handlers_{tmp_path.name.replace('-', '_')}"
    package = tmp_path / name
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "dependencies.py").write_text((ROOT / "jobs/handlers/dependencies.py").read_text())
    for number, text in enumerate(text for kind, text in BLOCKS if kind == "python" and "@handler(" in text):
        (package / f"readme_{number}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    return load_handlers(name)


def test_the_handlers_in_the_readme_load(handlers: HandlerRegistry) -> None:
    assert {"SendInvoice", "ImportOrders", "ReportOrders"} <= {spec.name for spec in handlers.all()}


def test_the_readmes_import_of_orders_runs_for_payloads_of_both_versions(handlers: HandlerRegistry) -> None:
    transport = httpx.MockTransport(
        lambda request: httpx.Response(200, json=[1, 2] if "orders" in str(request.url) else 0)
    )
    shop = httpx.Client(base_url="https://shop.example", transport=transport)
    with JobsHarness(handlers, overrides={httpx.Client: shop}) as jobs:
        ran = jobs.run_handler("ImportOrders", {"shops": ["a", "b"]}).check()
        assert (ran.result, ran.progress_message) == ({"orders": 4}, "importing b")
        assert ran.enqueued == tuple(jobs.assert_enqueued("ReportOrders", payload={"orders": 4}))
        assert [each.parent_id for each in ran.enqueued] == [ran.job.id]
        jobs.run_handler("ImportOrders", {"shops": ["a"]}).check()  # while the report on the first still waits
        assert [each.outcome for each in jobs.drain()] == ["Succeeded", "Succeeded"]
    assert handlers.require("ImportOrders").read_arguments('{"shop": "a"}', 1).model_dump() == {"shops": ["a"]}


def test_the_readmes_handler_with_limits_runs_one_of_each_shop_at_once(
    handlers: HandlerRegistry, make_runtime: MakeRuntime
) -> None:
    runtime = make_runtime(handlers)
    shops = [{"shop": "a"}, {"shop": "a"}, {"shop": "b"}]
    ids = [
        runtime.service.enqueue(EnqueueJob(handler_name="SyncShop", job_name=f"sync {n}", payload=shop)).id
        for n, shop in enumerate(shops)
    ]
    assert [runtime.service.get(one).concurrency_key for one in ids] == ["a", "a", "b"]
    assert runtime.worker.drain(60).executed == 3
    first, second = (runtime.service.attempts(one)[0] for one in ids[:2])
    assert first.finished_at <= second.started_at


def test_the_readmes_test_of_a_handler_passes_and_notices_a_faulty_handler(tmp_path: Path) -> None:
    """The handler's file beside the sample ones, and its test, as the README has a user write them."""
    (tmp_path / "handlers").mkdir()
    handler = tmp_path / "handlers" / "send_invoice.py"
    handler.write_text(block("python", '@handler("SendInvoice")'))
    (tmp_path / "test_send_invoice.py").write_text(block("python", "jobs.run_handler("))
    beside = f"import jobs.handlers\njobs.handlers.__path__.append({str(handler.parent)!r})\n"
    (tmp_path / "conftest.py").write_text(beside)

    def tested() -> str:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "."]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        return done.stdout + done.stderr

    assert "3 passed" in tested()
    handler.write_text(handler.read_text().replace("ctx.idempotency_key", "ctx.lease.token"))
    assert "1 failed, 2 passed" in tested()


def test_every_python_block_of_the_readme_compiles() -> None:
    for kind, text in BLOCKS:
        if kind == "python":
            compile(text, "README.md", "exec")


def test_a_taken_port_is_told_in_one_sentence_with_the_mend() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "jobs", "dev", "--port", str(port)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr
