"""The demo of ``make run``: it waits for the database, and for nothing that its sample jobs do not need."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jobs.entrypoints.devhost.demo import Demo
from tests.support import until

JOB = {"status": "Completed", "run_count": 1, "attempt": 1, "next_run_at": None, "last_error": None, "recurring": False}
SILENT = {
    "status": "unavailable",
    "reason": "of the app's services these do not answer: Client",
    "services": ["Client"],
}
NO_DATABASE = {"status": "unavailable", "reason": "the database cannot be reached"}


class App:
    """Answers as the app does, with what it is told to say of its readiness."""

    def __init__(self) -> None:
        self.ready: tuple[int, object] = (200, {"status": "ready"})
        self.job: tuple[int, object] = (200, JOB)
        self.hung_up = 0
        self.found: list[object] = []
        self.asked: list[str] = []
        self.watchers: set[str | None] = set()

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, object]:
        self.asked.append(f"{method} {path}")
        if path == "/api/health/ready":
            return self.ready
        if method == "POST":
            return 201, {"id": json.loads(body)["job_name"]}
        if path.startswith("/api/jobs?"):
            return 200, {"jobs": self.found, "next": None}
        status, found = self.job
        return status, found | {"id": path.rpartition("/")[2], "job_name": "it"} if isinstance(found, dict) else found


@pytest.fixture
def app(monkeypatch) -> App:
    monkeypatch.setattr("jobs.entrypoints.devhost.demo._POLL_SECONDS", 0.01)
    monkeypatch.setattr("jobs.entrypoints.devhost.demo._JUST_DUE_SECONDS", 60)  # on a busy machine two are too few
    return App()


@pytest.fixture
def demo(app) -> Iterator[Callable[..., Demo]]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if app.hung_up:
                app.hung_up -= 1
                self.close_connection = True
                return
            app.watchers.add(self.headers.get("x-jobs-watcher"))
            status, found = app.answer(self.command, self.path, body)
            text = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_DELETE = do_GET  # noqa: N815  as http.server has it

        def log_message(self, *_: object) -> None: ...

    stop = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def started(start: Callable[[Demo, threading.Event], None] = Demo.start) -> Demo:
            demo = Demo(f"http://127.0.0.1:{server.server_port}")
            start(demo, stop)
            return demo

        yield started
        stop.set()
        for thread in threading.enumerate():
            if thread.name == "jobs-demo":
                thread.join(60)  # it would print into the next test
        server.shutdown()


def test_the_demo_goes_on_where_only_services_do_not_answer(app, demo, capsys):
    app.ready = (503, SILENT)
    demo()
    until(lambda: "GET /api/jobs/welcome" in app.asked)
    assert "these services do not answer: Client" in capsys.readouterr().out


def test_the_demo_waits_for_the_database_says_so_once_and_then_goes_on(app, demo, capsys):
    app.ready = (503, NO_DATABASE)
    demo()
    until(lambda: len(app.asked) > 20)
    assert set(app.asked) == {"GET /api/health/ready"}
    out = capsys.readouterr().out
    assert out.count("the demo waits: ") == 1
    assert "the database cannot be reached" in out
    app.ready = (200, {"status": "ready"})
    until(lambda: "GET /api/jobs/welcome" in app.asked)
    app.job = (503, {"detail": "the database cannot be reached"})
    until(lambda: app.asked.append("mark") or len(app.asked) > 60)
    app.job = (200, JOB | {"status": "Cancelled"})
    until(lambda: "Cancelled" in capsys.readouterr().out)


WAITING = JOB | {"status": "Scheduled", "run_count": 0, "attempt": 0}


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(60, r"Scheduled next at [\d:]+"), (-0.2, r"Scheduled and due"), (-600, r"Scheduled and due since [\d:]+")],
)
def test_a_job_that_is_overdue_is_not_said_to_run_at_an_instant_that_is_past(app, demo, capsys, seconds, told):
    due = datetime.now(UTC) + timedelta(seconds=seconds)
    app.job = (200, WAITING | {"next_run_at": due.isoformat()})
    demo()
    until(lambda: len([each for each in app.asked if each.startswith("GET /api/jobs/")]) > 4)
    lines = [line for line in capsys.readouterr().out.splitlines() if " it " in line]
    assert len(lines) == 2
    assert all(re.search(f"it +{told}$", line) for line in lines), lines


def test_an_app_that_is_only_loaded_again_is_no_reason_for_a_line_and_one_that_stays_away_is(app, demo, capsys):
    app.hung_up = 20
    demo()
    until(lambda: "GET /api/jobs/welcome" in app.asked)
    assert app.hung_up == 0
    assert "the demo waits" not in capsys.readouterr().out
    app.hung_up = 60
    until(lambda: app.hung_up == 0)
    out = capsys.readouterr().out
    assert out.count("the demo waits: GET /api/jobs/") >= 1
    assert "is not answered" in out


def test_the_recurring_job_of_an_earlier_demo_is_cancelled_where_no_demo_is_wanted(app, demo, capsys):
    app.found = [{"id": "left-over"}]
    demo(Demo.cancel_recurring)
    until(lambda: "is cancelled" in capsys.readouterr().out)
    listed = "GET /api/jobs?handler_name=DemoGreeting&job_name=demo-every-15-seconds&status=Scheduled,Running"
    assert app.asked == [listed, "DELETE /api/jobs/left-over"]


def test_each_call_of_the_demo_says_that_it_only_looks(app, demo):
    demo()
    until(lambda: "GET /api/jobs/welcome" in app.asked)
    assert app.watchers == {"demo"}
