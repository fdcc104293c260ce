"""A deployment is tested by a job: on a real app, on ones whose jobs do not end well, and on ones that come up late."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from jobs.bootstrap import build_runtime
from jobs.core.handlers.loading.package import load_handlers
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.retry import RetryPolicy
from jobs.entrypoints.devhost.host.host import DevHost
from jobs.entrypoints.functions import build_app
from jobs.entrypoints.smoke_handler import SMOKE_HANDLER
from jobs.settings import Settings
from tests.infra.linters import ROOT
from tests.infra.snapshots import kept, names
from tests.infra.terraform_files import everything
from tests.support import Anything

NEVER = "0 0 0 1 1 *"
EACH_SECOND = "* * * * * *"
# An Azure CLI that writes down each call, and answers each with what the file beside it says of its first words.
AZ = """#!{python}
import json, pathlib, sys
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    print(json.dumps(sys.argv[1:]), file=calls)
asked, answers = " ".join(sys.argv[1:]), json.loads((here / "answers").read_text())
late = here / "late"
if late.exists() and late.read_text():
    late.write_text(late.read_text()[1:])
    sys.exit("Bad Request")
print(json.dumps(next(answer for words, answer in answers if asked.startswith(words))))
"""
KEYS = [
    ["functionapp keys list", {"systemKeys": {"default": "s"}, "functionKeys": {"default": "of flex"}}],
    ["containerapp function keys list", [{"name": "other", "value": "o"}, {"name": "default", "value": "of dapr"}]],
    ["account get-access-token", {"accessToken": "of a caller"}],
]  # fmt: skip


@pytest.fixture
def smoke(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    (tmp_path / "az").write_text(AZ.format(python=sys.executable))
    (tmp_path / "az").chmod(0o755)
    (tmp_path / "answers").write_text(json.dumps(KEYS))

    def run(*arguments: str, app: str = "func-jobs", **environment: str) -> subprocess.CompletedProcess[str]:
        fixed = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "OPERATIONS_POLL_SECONDS": "0.05"}
        return subprocess.run(
            [sys.executable, "infra/smoke.py", "--resource-group", "jobs", "--app", app, *arguments], cwd=ROOT,
            env=fixed | environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    return run


# --- on the app


@contextmanager
def deployed_app(database_url: str, registry: HandlerRegistry, poll_schedule: str) -> Iterator[str]:
    settings = Settings(
        database_url=database_url, database_tls=False, key_role="manage", poll_schedule=poll_schedule,
        reconcile_schedule=NEVER, shutdown_grace_seconds=1,
    )  # fmt: skip
    runtime = build_runtime(settings, registry)
    try:
        with DevHost(build_app(lambda: runtime, settings), port=0, route_prefix="") as host:
            yield host.url
    finally:
        runtime.close()


def test_a_job_completes_on_an_app_that_has_the_handler_which_infrastructure_adds(database_url, smoke, sql) -> None:
    registry = load_handlers(added_handlers())
    with deployed_app(database_url, registry, EACH_SECOND) as url:
        done = smoke("--url", url)
    assert done.returncode == 0, done.stderr
    [(status, handler)] = sql("select status, handler_name from jobs.jobs")
    assert (status, handler) == ("Completed", SMOKE_HANDLER)


def test_it_fails_where_jobs_are_enqueued_and_not_run_and_says_why(database_url, smoke) -> None:
    with deployed_app(database_url, load_handlers(added_handlers()), NEVER) as url:
        done = smoke("--url", url, "--seconds", "1")
    assert done.returncode == 1
    assert "is still Scheduled after" in done.stderr


def test_it_fails_at_once_where_the_job_does_and_shows_its_attempts(database_url, smoke) -> None:
    registry = HandlerRegistry()

    def broken(args: Anything) -> None:
        raise RuntimeError("no such table")

    registry.add_handler(SMOKE_HANDLER, broken, retry=RetryPolicy(max_retries=0))
    with deployed_app(database_url, registry, EACH_SECOND) as url:
        done = smoke("--url", url)
    assert done.returncode == 1
    assert "ended as Failed" in done.stderr
    assert "no such table" in done.stderr


def test_it_fails_where_the_app_lacks_the_handler_and_says_what_it_was_answered(database_url, smoke) -> None:
    registry = HandlerRegistry()

    def other(args: Anything) -> None:
        pass

    registry.add_handler("Other", other)
    with deployed_app(database_url, registry, EACH_SECOND) as url:
        done = smoke("--url", url, "--seconds", "0.2")
    assert done.returncode == 1
    assert "the API last answered 422" in done.stderr


def test_it_fails_where_nobody_answers(smoke) -> None:
    done = smoke("--url", "http://127.0.0.1:1", "--seconds", "0.2")
    assert done.returncode == 1
    assert "the API last answered no answer" in done.stderr


# --- as a caller


class Comes(BaseHTTPRequestHandler):
    """An app that is not up at first, and then has a job that completes when it is looked at."""

    seen: list[dict[str, str]]

    def do_POST(self) -> None:
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        self.rfile.read(int(self.headers["content-length"]))
        late = len(self.seen) > 2
        self.answer(*((201, {"id": "7", "status": "Scheduled"}) if late else (503, {"detail": "starting"})))

    def do_GET(self) -> None:
        self.answer(200, {"id": "7", "status": "Completed"})

    def answer(self, status: int, body: dict[str, Any]) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def coming() -> Iterator[tuple[str, list[dict[str, str]]]]:
    handler = type("Handler", (Comes,), {"seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", handler.seen
        server.shutdown()


def test_an_app_that_comes_up_late_gets_one_job_by_one_idempotency_key(coming, smoke) -> None:
    url, seen = coming
    assert smoke("--url", url).returncode == 0
    assert len(seen) == 3
    assert len({headers["idempotency-key"] for headers in seen}) == 1


@pytest.mark.parametrize(("app", "key"), [("func-jobs-1a2b3c", "of flex"), ("ca-jobs", "of dapr")])
def test_it_calls_with_the_function_key_that_azure_tells_of(coming, smoke, app: str, key: str) -> None:
    url, seen = coming
    assert smoke("--url", url, app=app).returncode == 0
    assert {headers["x-functions-key"] for headers in seen} == {key}
    assert "authorization" not in seen[0]


def test_a_host_that_cannot_tell_its_keys_yet_is_asked_again(coming, smoke, tmp_path) -> None:
    url, seen = coming
    (tmp_path / "late").write_text("..")
    done = smoke("--url", url)
    assert done.returncode == 0, done.stderr
    assert {headers["x-functions-key"] for headers in seen} == {"of flex"}


def test_one_that_never_does_fails_the_release(coming, smoke, tmp_path) -> None:
    url, seen = coming
    (tmp_path / "late").write_text("." * 1000)
    done = smoke("--url", url, "--seconds", "0.2")
    assert done.returncode == 1
    assert "az functionapp keys list failed" in done.stderr
    assert seen == []


def test_a_key_that_is_given_is_not_asked_for_and_where_callers_sign_in_it_does(coming, smoke, tmp_path) -> None:
    url, seen = coming
    assert smoke("--url", url, "--client-id", "1234", JOBS_API_KEY="mine").returncode == 0
    assert seen[0]["x-functions-key"] == "mine"
    assert seen[0]["authorization"] == "Bearer of a caller"
    [call] = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    assert call[:4] == ["account", "get-access-token", "--scope", "api://1234/.default"]


def test_azds_environment_says_where(coming, smoke) -> None:
    url, _ = coming
    assert {"appName", "appUrl"} <= set(kept("flex_by_default").outputs)
    done = subprocess.run(
        [sys.executable, "infra/smoke.py"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
        env={"PATH": os.environ["PATH"], "AZURE_RESOURCE_GROUP": "rg", "appName": "x", "appUrl": url,
             "JOBS_API_KEY": "k"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_key_is_sent_to_no_address_without_tls(smoke) -> None:
    done = smoke("--url", "http://example.com")
    assert done.returncode == 1
    assert "is not the address of a deployment" in done.stderr


# --- the handler


def added_handlers() -> str:
    """The packages that infrastructure adds to those of the app, which every scenario names alike."""
    made = [one.body for name in names() for one in kept(name).resources if one.kind == "Microsoft.Web/sites"]
    added = {one["value"] for app in made for one in app["properties"]["siteConfig"]["appSettings"]
             if one["name"] == "JOBS_ADDED_HANDLERS"}  # fmt: skip
    [package] = added
    return package


def test_terraform_adds_the_same_handler() -> None:
    [settings] = [one["common_settings"] for one in everything()["locals"] if "common_settings" in one]
    assert settings["JOBS_ADDED_HANDLERS"] == added_handlers()
