"""A local start loads the app again when one of its files changes, and writes what any terminal can show."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import textwrap
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jobs.entrypoints.devhost.dapr import free_ports
from jobs.entrypoints.devhost.port import take_port
from jobs.entrypoints.devhost.reload import app_process
from tests.support import ROOT, until
from tests.warm import WarmProcess

HANDLER = textwrap.dedent("""
    import logging
    import time
    from pathlib import Path

    from pydantic import BaseModel

    from jobs import JobContext, handler


    class WaitArgs(BaseModel):
        until: str | None = None


    @handler("Wait")
    def wait(args: WaitArgs, ctx: JobContext) -> None:
        logging.getLogger(__name__).info("version 1 runs")
        while args.until and not Path(args.until).exists():
            time.sleep(0.05)
""")

HANGING = """
import time
from pathlib import Path

Path("{}").touch()
time.sleep(3600)
"""


class Start:
    """A running ``python -m jobs dev``."""

    def __init__(self, folder: Path, process: WarmProcess, port: int) -> None:
        self.folder, self.process, self.port = folder, process, port
        self.handler = folder / "shop" / "wait.py"

    def said(self) -> str:
        return "".join((self.folder / name).read_bytes().decode("cp1252") for name in ("stderr", "stdout"))

    def wait_for(self, text: str, times: int = 1) -> None:
        until(lambda: self.said().count(text) >= times or self.process.poll() is not None)
        assert self.said().count(text) >= times, self.said()

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def enqueue(self, name: str, **payload: Any) -> str:
        return self.call("/api/jobs", {"handler_name": "Wait", "job_name": name, "payload": payload})["id"]

    def change(self, before: str, after: str) -> None:
        self.handler.write_text(self.handler.read_text().replace(before, after))


@pytest.fixture
def start(tmp_path: Path, database_url: str) -> Iterator[Callable[..., Start]]:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "wait.py").write_text(HANDLER)
    for file in ("host.json", "function_app.py"):
        shutil.copy(ROOT / file, tmp_path)
    started: list[WarmProcess] = []

    def run(*arguments: str, **settings: str) -> Start:
        [port] = free_ports(1)
        ours = {name: value for name, value in os.environ.items() if not name.startswith("JOBS_")}
        settings = {"JOBS_HANDLERS": "shop", "JOBS_DATABASE_URL": database_url, "PYTHONPATH": str(ROOT)} | settings
        command = ["-m", "jobs", "dev", "--port", str(port), *arguments]
        process = WarmProcess(command, cwd=tmp_path, env=ours | settings, output=tmp_path)
        started.append(process)
        return Start(tmp_path, process, port)

    yield run
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.direct
def test_a_change_is_served_a_running_job_is_handed_over_and_a_syntax_error_leaves_the_app_as_it_was(start, tmp_path):
    app = start("--reload")
    app.wait_for("Ctrl-C stops it")
    job = app.enqueue("long", until=str(tmp_path / "now"))
    app.wait_for("version 1 runs")
    claimed_at = app.call(f"/api/jobs/{job}")["started_at"]
    app.change("version 1", "version 2")
    app.wait_for("changed: shop/wait.py; loading the app again")
    app.wait_for("the app runs with the change")
    app.wait_for(f"[Wait/long/{job}] version 2 runs")
    went_down = "this instance of the app was stopped, as by a reload, while the handler was running"
    app.wait_for(f"given back, to be run again at once, since {went_down}: Wait/long ({job})")
    (tmp_path / "now").touch()
    until(lambda: app.call(f"/api/jobs/{job}")["status"] == "Completed")
    attempts = app.call(f"/api/jobs/{job}/attempts")["attempts"]
    assert sorted(each["outcome"] for each in attempts) == ["Released", "Succeeded"]
    assert [each["started_at"] for each in attempts if each["outcome"] == "Released"] == [claimed_at]

    app.change("def wait(", "def wait((")
    app.wait_for("the app as it was goes on; it is loaded again when a file changes")
    [fault] = [line for line in app.said().splitlines() if "SyntaxError" in line]
    assert re.match(r"\d\d:\d\d:\d\d ERROR +jobs\.dev: the handler module shop\.wait cannot be imported", fault)
    app.enqueue("meanwhile")
    app.wait_for("version 2 runs", 2)

    app.change("def wait((", "def wait(")
    app.wait_for("the app runs with the change", 2)
    app.process.send_signal(signal.SIGINT)
    assert app.process.wait(60) == 0
    assert "Traceback" not in app.said()


@pytest.mark.direct
def test_no_connection_is_refused_or_cut_off_while_a_change_is_loaded(start):
    app = start("--reload")
    app.wait_for("Ctrl-C stops it")
    stop = threading.Event()
    answered: list[str] = []

    def call_all_the_time() -> None:
        while not stop.is_set():
            answered.append(app.call("/api/health/live")["status"])

    with ThreadPoolExecutor(4) as callers:
        calling = [callers.submit(call_all_the_time) for _ in range(4)]
        try:
            for times in (1, 2, 3):
                app.change(f"version {times}", f"version {times + 1}")
                app.wait_for("the app runs with the change", times)
        finally:
            stop.set()
        for each in calling:
            each.result()
    assert answered


@pytest.mark.direct
def test_an_app_that_was_killed_is_started_again_after_a_pause_and_takes_changes_as_before(start):
    app = start("--reload")
    app.wait_for("Ctrl-C stops it")
    lives = 'logging.getLogger(__name__).info("version 1 runs")'
    dies = "Path('died').exists() or (Path('died').touch(), __import__('signal').raise_signal(9))"  # once
    app.change(lives, dies)
    app.wait_for("the app runs with the change")
    later = {"handler_name": "Wait", "job_name": "deadly", "schedule": "PT2S", "payload": {}}
    app.call("/api/jobs", later)  # which is answered before it kills
    app.wait_for("the app was killed, by SIGKILL; it is started again in 1 s, or when a file changes")
    app.wait_for("the app runs again")
    assert app.call("/api/jobs")["jobs"][0]["job_name"] == "deadly"
    app.change(dies, lives.replace("1", "3"))
    app.wait_for("the app runs with the change", 2)
    app.enqueue("lives")
    app.wait_for("version 3 runs")


@pytest.mark.direct
def test_a_start_and_a_reload_say_what_only_development_has_and_which_jobs_lost_their_handler(start, tmp_path):
    (tmp_path / "requirements-dev.txt").write_text("httpx==0.28.1\n")
    app = start("--reload")
    app.wait_for("Ctrl-C stops it")
    app.call("/api/jobs", {"handler_name": "Wait", "job_name": "later", "schedule": "P1D"})
    assert "have no handler here" not in app.said()
    app.change("import time", "import time, httpx")
    app.change('@handler("Wait")', '@handler("WaitFor")')
    app.wait_for("shop.wait imports httpx, and only requirements-dev.txt brings httpx")
    app.wait_for(
        "jobs in the database have no handler here, and wait until there is one: 1 of Wait (is it WaitFor now?)"
    )
    app.process.send_signal(signal.SIGINT)
    assert app.process.wait(60) == 0

    app = start("--no-reload")
    app.wait_for("shop.wait imports httpx, and only requirements-dev.txt brings httpx")
    app.wait_for("1 of Wait (is it WaitFor now?)")


@pytest.mark.direct
def test_an_app_that_cannot_be_loaded_at_the_start_ends_it_with_the_reason_said_once(start, tmp_path):
    (tmp_path / "shop" / "broken.py").write_text("import no_such_package\n")
    app = start("--reload")
    assert app.process.wait(60) == 1
    [fault] = [line for line in app.said().splitlines() if "no_such_package" in line]
    assert re.match(r"\d\d:\d\d:\d\d ERROR ", fault)
    assert "Traceback" not in app.said()


@pytest.mark.direct
def test_a_load_that_hangs_ends_with_the_change_that_mends_it(start, tmp_path):
    hanging = HANGING.format(tmp_path / "hangs") + "class WaitArgs("
    app = start("--reload")
    app.wait_for("Ctrl-C stops it")
    app.change("class WaitArgs(", hanging)
    until((tmp_path / "hangs").exists)
    app.change(hanging, "class WaitArgs(")
    app.wait_for("changed: shop/wait.py; loading the app again", 2)
    app.wait_for("the app runs with the change")


@pytest.mark.direct
def test_a_load_that_hangs_is_not_waited_for_at_the_end(start, tmp_path, monkeypatch):
    (tmp_path / "shop" / "slow.py").write_text(HANGING.format(tmp_path / "hangs"))
    for name, value in {"JOBS_HANDLERS": "shop", "PYTHONPATH": str(ROOT)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(app_process, "_END_SECONDS", 3600.0)
    with take_port(0) as listening:
        loading = app_process.AppProcess(0, listening)
    assert not loading.is_loaded((tmp_path / "hangs").exists)
    loading.end()
    assert loading.process.returncode == -signal.SIGKILL


@pytest.mark.direct
def test_a_load_that_hangs_at_the_start_ends_with_the_change_that_mends_it(start, tmp_path):
    slow = tmp_path / "shop" / "slow.py"
    slow.write_text(HANGING.format(tmp_path / "hangs"))
    app = start("--reload")
    until((tmp_path / "hangs").exists)
    slow.unlink()
    app.wait_for("Ctrl-C stops it")


@pytest.mark.direct
def test_the_app_ends_when_the_start_is_killed(start):
    app = start("--reload")
    app.wait_for("Ctrl-C stops it")
    app.process.kill()
    app.process.wait()

    def ended() -> bool:
        try:
            app.call("/api/health/live")
        except OSError:
            return True
        return False

    until(ended)


@pytest.mark.direct
def test_without_reload_a_change_waits_for_the_next_start(start):
    app = start("--no-reload", "--demo")
    app.wait_for("Completed")
    app.change("version 1", "version 2")
    app.process.send_signal(signal.SIGINT)
    assert app.process.wait(60) == 0
    assert "changed" not in app.said()


@pytest.mark.direct
def test_a_start_without_the_demo_cancels_its_recurring_job_and_shows_a_command_that_the_app_can_run(start):
    app = start("--demo", "--no-reload")
    app.wait_for("run 1 Succeeded ->")
    app.process.send_signal(signal.SIGINT)
    assert app.process.wait(60) == 0
    app = start("--no-reload")
    app.wait_for("demo-every-15-seconds of an earlier demo is cancelled")
    [job] = app.call("/api/jobs?job_name=demo-every-15-seconds")["jobs"]
    assert job["status"] == "Cancelled"
    app.wait_for("Ctrl-C stops it")
    [body] = re.findall(r"-d '(.*)'", app.said())
    hello = app.call("/api/jobs", json.loads(body))["id"]
    until(lambda: app.call(f"/api/jobs/{hello}")["status"] == "Completed")
    assert "UnknownHandler" not in app.said()


@pytest.mark.direct
def test_the_demo_can_be_read_on_a_terminal_of_windows(start):
    app = start("--demo", PYTHONIOENCODING="cp1252")
    app.wait_for("> welcome                  Completed")
    app.wait_for("run 1 Succeeded ->")
    app.process.send_signal(signal.SIGINT)
    assert app.process.wait(60) == 0
    assert "UnicodeEncodeError" not in app.said()
    assert "\\u" not in app.said(), "nothing had to be escaped"
    assert " GET /api/jobs/" not in app.said(), "the demo's own reads are not logged"
