"""What holds for every call of the HTTP API; and ``serving``, with which all HTTP tests serve the app.

The app is the real one, on a development host that speaks HTTP over sockets, with a real database. Its timers never
tick, so a job runs when a test rings its alarm and at no other time.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import socket
import threading
import uuid
from contextlib import contextmanager
from datetime import timedelta

import httpx
import pytest
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from jobs.adapters.postgres.connection.database import Database
from jobs.bootstrap import build_runtime
from jobs.bootstrap.database import database_options
from jobs.core.errors import ConfigurationError, LeaseLost
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.retry import RetryPolicy
from jobs.entrypoints.devhost.host.host import DevHost
from jobs.entrypoints.functions import build_app
from jobs.settings import Settings
from tests.conformance import Conformance
from tests.support import PATIENCE_SECONDS, Anything, handle_alarm

NEVER = "0 0 0 29 2 1"  # a leap day that is a Monday
TRACE_PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE_ID = re.compile("[0-9a-f]{32}")
_numbers = itertools.count(1)


class Letter(BaseModel):
    model_config = ConfigDict(extra="forbid")

    to: str = Field(min_length=1)
    copies: int = 1


class Gate:
    """Where the handler ``Wait`` waits until it is let through."""

    def __init__(self):
        self.entered, self.opened = threading.Event(), threading.Event()

    def reset(self):
        self.entered.clear()
        self.opened.clear()


class Api:
    """A served app as a caller and as its operator has it."""

    def __init__(self, url, runtime, client, gate):
        self.url, self.runtime, self.client, self.gate = url, runtime, client, gate

    def call(self, method, path, **options):
        return self.client.request(method, path, **options)

    def post_job(self, headers=None, params=None, **fields):
        body = {"handler_name": "Noop", "job_name": f"job {next(_numbers)}"} | fields
        return self.client.post("/api/jobs", json=body, headers=headers, params=params)

    def enqueue(self, **fields):
        answer = self.post_job(**fields)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def later(self, **fields):
        """Enqueue a job that is due tomorrow."""
        return self.enqueue(schedule="P1D", **fields)

    def get(self, job):
        answer = self.client.get(f"/api/jobs/{job['id']}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def command(self, job, verb, **options):
        return self.client.post(f"/api/jobs/{job['id']}/{verb}", **options)

    def run(self, job):
        """Ring the job's present alarm, and read what became of it."""
        handle_alarm(self.runtime, AlarmName(uuid.UUID(job["id"]), self.get(job)["generation"]))
        return self.get(job)

    @contextmanager
    def running(self, **fields):
        """A job whose handler is at work until the block ends."""
        self.gate.reset()
        job = self.enqueue(handler_name="Wait", **fields)
        thread = threading.Thread(target=self.run, args=[job])
        thread.start()
        try:
            assert self.gate.entered.wait(60)
            yield self.get(job)
        finally:
            self.gate.opened.set()
            thread.join(60)

    def count(self):
        """How many jobs there are, whatever their state."""
        return sum(self.client.get("/api/stats").json()["jobs"].values())


def handlers(gate):
    registry = HandlerRegistry()

    def noop(args: Anything) -> None:
        """Do nothing."""

    def send(args: Letter) -> None:
        """Send a letter.

        This second line is for readers of the code.
        """

    def fail(args: Anything) -> None:
        raise LookupError("the address is unknown")

    def wait(args: Anything) -> None:
        gate.entered.set()
        gate.opened.wait(60)

    registry.add_handler("Noop", noop)
    registry.add_handler("Send", send, retry=RetryPolicy(max_retries=7), timeout=timedelta(seconds=90))
    registry.add_handler("Fail", fail, retry=RetryPolicy(max_retries=0))
    registry.add_handler("Wait", wait)
    return registry


@contextmanager
def serving(url, *, longest_run=None, **settings):
    """Serve the app on the database at ``url``; ``longest_run`` is the host's functionTimeout, None without end."""
    gate = Gate()
    fixed = {"database_tls": False, "poll_schedule": NEVER, "reconcile_schedule": NEVER, "shutdown_grace_seconds": 1}
    fixed["key_role"] = "manage"
    chosen = Settings(**fixed | settings, database_url=url)
    runtime = build_runtime(chosen, handlers(gate), longest_run=longest_run)
    try:
        app = build_app(lambda: runtime, chosen)
        hooks = {"response": [Conformance(runtime.registry).check]}  # each answer of each test is in the document
        with (
            DevHost(app, port=0, route_prefix="") as host,
            httpx.Client(verify=False, base_url=host.url, event_hooks=hooks, timeout=PATIENCE_SECONDS) as client,
        ):
            yield Api(url, runtime, client, gate)
    finally:
        runtime.close()


@contextmanager
def serving_a_new_database(server, **settings):
    """Serve the app on a database of its own, for the tests of a module that keep out of each other's way by names."""
    name = f"http_{uuid.uuid4().hex}"
    with server.admin.connect() as connection:
        connection.execute(sa.text(f"create database {name} template jobs_template"))
    with serving(server.url(name), **settings) as api:
        yield api
    with server.admin.connect() as connection:
        connection.execute(sa.text(f"drop database {name} with (force)"))


def problem(answer, status, kind, pointer=None):
    """Check that ``answer`` is a problem of that kind (at that place), and give its body."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    body = answer.json()
    assert (body["type"], body["status"]) == (f"urn:jobs:problem:{kind}", status), body
    assert body["title"]
    assert body["detail"]
    if pointer is not None:
        assert pointer in [fault["pointer"] for fault in body["errors"]], body
    return body


@pytest.fixture(scope="module")
def api(server):
    with serving_a_new_database(server, callback_tokens="t") as api:
        yield api


@pytest.fixture(scope="module")
def guarded(server):
    """The app with Easy Auth in front of it."""
    with serving_a_new_database(server, easy_auth=True) as api:
        yield api


@pytest.fixture(scope="module")
def cut_off():
    """The app with a database that cannot be reached."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with serving(f"postgresql://nobody@127.0.0.1:{port}/nothing") as api:
        yield api


def principal(*roles, name="ann@example.com", claim="roles", **headers):
    claims = [{"typ": "aud", "val": "api://jobs"}, *({"typ": claim, "val": role} for role in roles)]
    header = base64.b64encode(json.dumps({"auth_typ": "aad", "claims": claims}).encode()).decode()
    named = {"x-ms-client-principal-name": name} if name else {}
    return {"x-ms-client-principal": header} | named | headers


ID = "01920000-0000-7000-8000-000000000000"
JOB = {"handler_name": "Noop", "job_name": "somebody's"}
CALLS = [
    ("POST", "/api/jobs", JOB, "Jobs.Enqueue"),
    ("POST", "/api/jobs/batch", {"jobs": [JOB]}, "Jobs.Enqueue"),
    ("GET", "/api/jobs", None, "Jobs.Read"),
    ("POST", "/api/jobs/search", {}, "Jobs.Read"),
    ("GET", f"/api/jobs/{ID}", None, "Jobs.Read"),
    ("GET", f"/api/jobs/{ID}/attempts", None, "Jobs.Read"),
    ("GET", f"/api/jobs/{ID}/audit", None, "Jobs.Read"),
    ("GET", "/api/audit", None, "Jobs.Read"),
    ("GET", "/api/failures", None, "Jobs.Read"),
    ("GET", "/api/workers", None, "Jobs.Read"),
    ("GET", "/api/stats", None, "Jobs.Read"),
    ("GET", "/api/series", None, "Jobs.Read"),
    ("PATCH", f"/api/jobs/{ID}", {"schedule": "P1D"}, "Jobs.Manage"),
    ("DELETE", f"/api/jobs/{ID}", None, "Jobs.Manage"),
    ("POST", f"/api/jobs/{ID}/run", None, "Jobs.Manage"),
    ("POST", "/api/bulk", {"action": "cancel", "filter": {"job_name": ["none"]}}, "Jobs.Manage"),
    ("GET", f"/api/bulk/{ID}", None, "Jobs.Read"),
    ("DELETE", f"/api/bulk/{ID}", None, "Jobs.Manage"),
    ("POST", f"/api/jobs/{ID}/pause", None, "Jobs.Manage"),
    ("POST", f"/api/jobs/{ID}/resume", None, "Jobs.Manage"),
    ("POST", f"/api/jobs/{ID}/retry", None, "Jobs.Manage"),
]
OFFLINE_CALLS = [
    ("GET", "/api/handlers", None, "Jobs.Read"),
    ("POST", "/api/schedules/preview", {"schedule": "@daily"}, "Jobs.Read"),
]
ROLES = ["Jobs.Read", "Jobs.Enqueue", "Jobs.Manage"]
a_call = pytest.mark.parametrize(("method", "path", "body", "role"), CALLS + OFFLINE_CALLS)


class TestEasyAuth:
    @a_call
    def test_a_caller_without_a_principal_is_told_to_sign_in(self, guarded, method, path, body, role):
        answer = guarded.call(method, path, json=body)
        assert "sign in" in problem(answer, 401, "unauthenticated")["detail"]
        assert answer.headers["www-authenticate"] == "Bearer"

    @a_call
    def test_a_role_opens_what_it_is_for_and_what_a_lesser_one_opens(self, guarded, method, path, body, role):
        for held in ROLES:
            answer = guarded.call(method, path, json=body, headers=principal(held))
            if ROLES.index(held) < ROLES.index(role):
                assert role in problem(answer, 403, "forbidden")["detail"]
            else:
                assert answer.status_code in {200, 201, 202, 404, 409}, answer.text

    @pytest.mark.parametrize(
        "header",
        [
            "%%%",
            "bm90IGpzb24=",
            "W10=",
            "e30=",
            "eyJjbGFpbXMiOiBbMV19",
            base64.b64encode(b"[" * 3000),
        ],
    )
    def test_a_principal_that_cannot_be_read_is_none(self, guarded, header):
        answer = guarded.call("GET", "/api/jobs", headers={"x-ms-client-principal": header})
        problem(answer, 401, "unauthenticated")

    def test_a_principal_without_a_role_may_do_nothing(self, guarded):
        problem(guarded.call("GET", "/api/jobs", headers=principal("Other.Role")), 403, "forbidden")

    def test_roles_may_come_under_the_long_name_of_the_claim(self, guarded):
        headers = principal("Jobs.Read", claim="http://schemas.microsoft.com/ws/2008/06/identity/claims/role")
        assert guarded.call("GET", "/api/jobs", headers=headers).status_code == 200

    def test_who_enqueued_is_kept_on_the_job(self, guarded):
        answer = guarded.post_job(headers=principal("Jobs.Enqueue", name="bob@example.com"))
        assert answer.json()["created_by"] == "bob@example.com"

    def test_an_app_without_a_name_is_known_by_its_object_id(self, guarded):
        headers = principal("Jobs.Enqueue", name=None) | {"x-ms-client-principal-id": "3f2504e0"}
        assert guarded.post_job(headers=headers).json()["created_by"] == "3f2504e0"

    def test_who_changed_a_job_is_kept_beside_it(self, guarded):
        job = guarded.post_job(headers=principal("Jobs.Enqueue"), schedule="P1D").json()
        guarded.command(job, "pause", headers=principal("Jobs.Manage", name="eve@example.com"))
        database = Database(database_options(Settings(database_url=guarded.url)))
        with database.engine.connect() as connection:
            query = sa.text("select actor, action from jobs.job_audit where job_id = :id")
            assert connection.execute(query, {"id": job["id"]}).all() == [("eve@example.com", "pause")]
        database.close()

    def test_two_callers_may_use_the_same_idempotency_key(self, guarded):
        made = {
            guarded.post_job(headers=principal("Jobs.Enqueue", name=name) | {"idempotency-key": "k"}).json()["id"]
            for name in ("ann@example.com", "bob@example.com")
        }
        assert len(made) == 2

    def test_the_probes_and_the_callback_need_no_principal(self, guarded):
        assert guarded.call("GET", "/api/health/live").status_code == 200
        assert guarded.call("GET", "/api/health/ready").status_code == 200
        problem(guarded.call("POST", f"/job/{ID}"), 401, "bad-callback-token")

    def test_without_easy_auth_its_headers_are_anybodys_and_so_are_not_looked_at(self, api):
        answer = api.post_job(headers=principal(name="mallory@example.com"))
        assert (answer.status_code, answer.json()["created_by"]) == (201, None)


class TestWithTheDatabaseAway:
    @pytest.mark.parametrize(("method", "path", "body", "role"), CALLS)
    def test_a_call_is_answered_503_with_when_to_try_again(self, cut_off, method, path, body, role):
        answer = cut_off.call(method, path, json=body)
        assert "try again" in problem(answer, 503, "unavailable")["detail"]
        assert int(answer.headers["retry-after"]) > 0
        assert "127.0.0.1" not in answer.text

    def test_so_is_an_enqueue_under_an_idempotency_key(self, cut_off):
        problem(cut_off.post_job(headers={"idempotency-key": "k"}), 503, "unavailable")

    @pytest.mark.parametrize(("method", "path", "body", "role"), OFFLINE_CALLS)
    def test_what_needs_no_database_is_answered_as_ever(self, cut_off, method, path, body, role):
        after = {"after": "2026-01-01T00:00:00Z"} if body else {}
        assert cut_off.call(method, path, json=(body or {}) | after).status_code == 200

    def test_a_wrong_request_is_told_so_all_the_same(self, cut_off):
        problem(cut_off.call("POST", "/api/jobs", json={}), 422, "invalid-request", "/handler_name")

    def test_the_app_is_live_but_not_ready(self, cut_off):
        assert cut_off.call("GET", "/api/health/live").json() == {"status": "live"}
        ready = cut_off.call("GET", "/api/health/ready")
        assert ready.status_code == 503
        assert ready.json() == {"status": "unavailable", "reason": "the database cannot be reached"}
        assert int(ready.headers["retry-after"]) > 0


class TestReadiness:
    def test_a_migrated_database_makes_the_app_ready(self, api):
        answer = api.call("GET", "/api/health/ready")
        assert (answer.status_code, answer.json()) == (200, {"status": "ready", "scheduler": "timer"})

    def test_a_database_without_the_schema_does_not(self, database_url):
        with serving(database_url, database_schema="elsewhere") as api:
            answer = api.call("GET", "/api/health/ready")
        assert answer.status_code == 503
        assert "python -m jobs db upgrade" in answer.json()["reason"]
        assert int(answer.headers["retry-after"]) > 0

    def test_an_app_that_is_not_configured_says_which_setting_is_missing(self):
        def unconfigured():
            raise ConfigurationError("JOBS_DATABASE_URL is not set; set it")

        app = build_app(unconfigured, Settings(poll_schedule=NEVER, reconcile_schedule=NEVER, key_role="manage"))
        with DevHost(app, port=0, route_prefix="") as host, httpx.Client(verify=False, base_url=host.url) as client:
            assert "JOBS_DATABASE_URL" in problem(client.get("/api/jobs"), 503, "not-configured")["detail"]
            assert client.get("/api/health/ready").status_code == 503
            assert client.get("/api/health/live").status_code == 200


class TestTraces:
    def test_the_callers_trace_context_is_kept_on_the_job(self, api):
        assert api.post_job(headers={"traceparent": TRACE_PARENT}).json()["trace_parent"] == TRACE_PARENT

    def test_a_problem_names_the_callers_trace(self, api):
        answer = api.call("GET", f"/api/jobs/{ID}", headers={"traceparent": TRACE_PARENT})
        assert problem(answer, 404, "job-not-found")["trace_id"] == "0af7651916cd43dd8448eb211c80319c"

    def test_without_a_trace_a_problem_names_the_invocation(self, api):
        assert TRACE_ID.fullmatch(problem(api.call("GET", f"/api/jobs/{ID}"), 404, "job-not-found")["trace_id"])

    @pytest.mark.parametrize(
        "header",
        [
            "x" * 55,
            "-" * 55,
            TRACE_PARENT.upper(),
            TRACE_PARENT + "-00",
            "ff" + TRACE_PARENT[2:],
            f"00-{'0' * 32}-b7ad6b7169203331-01",
            f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        ],
    )
    def test_what_is_no_trace_context_is_left_out(self, api, header):
        host_s = api.post_job(headers={"traceparent": header}).json()["trace_parent"]
        assert host_s.split("-")[1] not in header.lower()
        answer = api.call("GET", f"/api/jobs/{ID}", headers={"traceparent": header})
        assert TRACE_ID.fullmatch(problem(answer, 404, "job-not-found")["trace_id"])


class TestFaultsOfOurs:
    """What was not raised on purpose is told by its trace id alone, and found in the log by that."""

    @pytest.fixture(autouse=True)
    def broken(self, api, monkeypatch):
        def fail(*_arguments, **_options):
            raise ZeroDivisionError("the inner cause")

        for name in ("get", "enqueue_many"):
            monkeypatch.setattr(api.runtime.service, name, fail)
        monkeypatch.setattr(api.runtime.pool, "handle_alarm", fail)

    def check(self, answer, caplog):
        trace_id = problem(answer, 500, "internal-error")["trace_id"]
        assert TRACE_ID.fullmatch(trace_id)
        assert "inner" not in answer.text
        [logged] = [record for record in caplog.records if record.levelname == "ERROR"]
        assert trace_id in logged.getMessage()
        assert "Traceback (most recent call last):" in logged.getMessage()
        return trace_id

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", f"/api/jobs/{ID}", None),
            ("POST", "/api/jobs/batch", {"jobs": [JOB]}),
            ("POST", f"/job/{ID.replace('-', '')}-1", None),
        ],
    )
    def test_the_line_in_the_log_has_the_trace_id_of_the_answer(self, api, caplog, monkeypatch, method, path, body):
        token = {"dapr-api-token": "t"}
        self.check(api.call(method, path, json=body, headers=token), caplog)
        caplog.clear()
        traced = api.call(method, path, json=body, headers=token | {"traceparent": TRACE_PARENT})
        assert self.check(traced, caplog) == TRACE_PARENT.split("-")[1]

    def test_so_has_that_of_one_job_of_a_batch(self, api, caplog, monkeypatch):
        lost = LeaseLost(uuid.UUID(ID), 1)  # which no enqueue raises
        monkeypatch.setattr(api.runtime.service, "enqueue_many", lambda _, **options: [lost])
        answer = api.call("POST", "/api/jobs/batch", json={"jobs": [JOB]}, headers={"traceparent": TRACE_PARENT})
        [result] = answer.json()["results"]
        assert (result["status"], result["problem"]["trace_id"]) == (500, TRACE_PARENT.split("-")[1])
        assert TRACE_PARENT.split("-")[1] in caplog.text


MOMENT = re.compile(r"\d{4}-\d\d-\d\dT")
UTC_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def texts(value, path=""):
    if isinstance(value, dict):
        return [found for key, child in value.items() for found in texts(child, f"{path}/{key}")]
    if isinstance(value, list):
        return [found for child in value for found in texts(child, path)]
    return [(path, value)] if isinstance(value, str) else []


def test_every_instant_is_in_utc_with_z_and_every_duration_iso_8601_whatever_the_databases_zone(server, database_url):
    with server.admin.connect() as connection:
        name = sa.make_url(database_url).database
        connection.execute(sa.text(f"alter database {name} set timezone to 'Asia/Kathmandu'"))
    with serving(database_url) as api:
        # The options have what is read back from the row, not only what came with the request.
        job = api.enqueue(
            schedule="@every 90m",
            timezone="Asia/Tokyo",
            start_at="2026-01-01T09:00:00+09:00",
            end_at="2096-01-01T09:00:00+09:00",
            jitter="90s",
            timeout=90,
            misfire={"policy": "skip", "grace": "2m"},
        )
        api.command(job, "run")
        api.run(job)
        answers = [
            job,
            api.get(job),
            api.call("GET", "/api/jobs").json(),
            api.call("GET", f"/api/jobs/{job['id']}/attempts").json(),
            api.call("POST", "/api/jobs/batch", json={"jobs": [JOB]}).json(),
            api.call("PATCH", f"/api/jobs/{job['id']}", json={"schedule": "@daily"}).json(),
            api.call("POST", "/api/schedules/preview", json={"schedule": "@daily", "timezone": "Asia/Tokyo"}).json(),
            api.call("GET", "/api/handlers").json(),
            api.call("GET", "/api/stats").json(),
        ]
    moments = [(path, text) for path, text in texts(answers) if MOMENT.match(text) and path != "/runs/local"]
    assert len(moments) > 30
    assert [each for each in moments if not UTC_MOMENT.fullmatch(each[1])] == []
    assert (job["jitter"], job["timeout"], job["misfire"]["grace"]) == ("PT1M30S", "PT1M30S", "PT2M")
    assert answers[1]["start_at"] == "2026-01-01T00:00:00Z"
    [described] = [each for each in answers[7]["handlers"] if each["name"] == "Send"]
    assert described["timeout"] == "PT1M30S"


def test_calls_need_a_function_key_but_for_the_probes_the_callback_and_the_dashboards_empty_frame():
    app = build_app(lambda: None, Settings())
    levels = {
        function.get_function_name(): str(function.get_trigger().get_dict_repr()["authLevel"])
        for function in app.get_functions()
        if function.get_trigger().get_dict_repr()["type"] == "httpTrigger"
    }
    anonymous = {name for name, level in levels.items() if level.endswith("ANONYMOUS")}
    assert anonymous == {"health_live", "health_ready", "ring_alarm", "dashboard_page"}
    assert all(level.endswith("FUNCTION") for name, level in levels.items() if name not in anonymous)
