"""Who may do what: one table, and no way past it."""

from __future__ import annotations

import json
import re
import uuid

import httpx
import pytest
import sqlalchemy as sa

from jobs.adapters.postgres.connection.database import Database
from jobs.app.commands.callers import Caller
from jobs.bootstrap.database import database_options
from jobs.core.commands import EnqueueJob
from jobs.core.errors import InvalidInput
from jobs.core.handlers.context import JobContext
from jobs.core.handlers.registry import HandlerRegistry
from jobs.entrypoints.devhost.host.host import DevHost
from jobs.entrypoints.functions import build_app
from jobs.entrypoints.http.routes import ROUTES, Role
from jobs.settings import Settings
from jobs.testing import JobsHarness
from tests.integration.entrypoints.http.test_http_api import principal, problem, serving_a_new_database
from tests.support import Anything

OPEN = {"dashboard_page", "health_live", "health_ready", "ring_alarm"}
HELD = {None: [], Role.READ: ["Jobs.Read"], Role.ENQUEUE: ["Jobs.Enqueue"], Role.MANAGE: ["Jobs.Manage"]}


def http_functions():
    """Every HTTP function of the app: its name, methods and route."""
    app = build_app(lambda: pytest.fail("nothing is called"), Settings(scheduler="timer"))
    for function in app.get_functions():
        trigger = json.loads(function.get_function_json())["bindings"][0]
        if trigger["type"] == "httpTrigger":
            methods = [str(getattr(method, "value", method)) for method in trigger["methods"]]
            yield function.get_function_name(), methods, trigger["route"]


ALL = list(http_functions())


@pytest.fixture(scope="module")
def guarded(server):
    """The app with Easy Auth in front of it."""
    with serving_a_new_database(server, easy_auth=True) as api:
        yield api


@pytest.fixture
def rows(guarded):
    """Read every row of every table of the app."""
    database = Database(database_options(Settings(database_url=guarded.url)))
    tables = ("jobs", "job_attempts", "job_audit", "idempotency_keys", "locks", "limit_starts", "job_operations")

    def read():
        with database.engine.connect() as connection:
            return [connection.execute(sa.text(f"select * from jobs.{name} order by 1")).all() for name in tables]

    yield read
    database.close()


def test_the_table_of_roles_has_every_http_function_and_no_other():
    assert sorted(name for name, _, _ in ALL) == sorted(ROUTES)
    assert {name for name, route in ROUTES.items() if route.role is None} == OPEN


def test_no_function_can_be_registered_that_the_table_does_not_have(monkeypatch):
    monkeypatch.delitem(ROUTES, "pause_job")
    with pytest.raises(KeyError, match="pause_job"):
        build_app(lambda: None, Settings(scheduler="timer"))


@pytest.mark.parametrize(("name", "methods", "route"), ALL, ids=[name for name, _, _ in ALL])
def test_a_caller_with_less_than_the_table_asks_for_is_refused_and_nothing_changes(guarded, rows, name, methods, route):
    needed = ROUTES[name].role
    waiting = guarded.call(
        "POST",
        "/api/jobs",
        json={"handler_name": "Noop", "job_name": f"of {name}", "schedule": "P1D"},
        headers=principal("Jobs.Manage"),
    ).json()
    before = rows()
    path = "/" + re.sub(r"\{id[^}]*\}", waiting["id"], route).replace("{alarm}", f"{uuid.uuid4().hex}-1")
    lesser = [] if needed is None else [held for role, held in HELD.items() if _rank(role) < _rank(needed)]
    body = {"handler_name": "Noop", "job_name": "new"}
    for held in lesser:
        for method in methods:
            answer = guarded.call(method, path, json=body, headers=principal(*held))
            assert answer.status_code == 403
            assert method == "HEAD" or needed in problem(answer, 403, "forbidden")["detail"]
            assert guarded.call(method, path, json=body).status_code == 401
    assert rows() == before
    if needed is not None:
        answer = guarded.call(methods[0], path, json=body, headers=principal(*HELD[needed]))
        assert answer.status_code not in {401, 403}


def _rank(role):
    return list(HELD).index(role)


@pytest.mark.parametrize("setting", ["easy_auth", "roles"])
def test_either_setting_switches_roles_on(setting):
    app = build_app(lambda: pytest.fail("nobody is admitted"), Settings(scheduler="timer", **{setting: True}))
    with DevHost(app, port=0, route_prefix="") as host:
        assert httpx.get(f"{host.url}/api/jobs").status_code == 401


# --- without sign-in


def asked(headers=None, method="GET", path="/api/handlers", **settings):
    """What an app with these settings, and no sign-in before it, answers to a call."""
    app = build_app(lambda: None, Settings(scheduler="timer", **settings))
    with DevHost(app, port=0, route_prefix="") as host:
        return httpx.request(method, host.url + path, headers=headers, json={} if method == "POST" else None)


@pytest.mark.parametrize(("name", "methods", "route"), ALL, ids=[name for name, _, _ in ALL])
def test_without_a_setting_nothing_but_the_probes_and_the_callback_answers(name, methods, route):
    path = "/" + re.sub(r"\{id[^}]*\}", str(uuid.uuid4()), route).replace("{alarm}", f"{uuid.uuid4().hex}-1")
    answer = asked(method=methods[0], path=path)
    if name in OPEN:
        assert answer.status_code != 403
    else:
        assert "JOBS_KEY_ROLE" in problem(answer, 403, "api-closed")["detail"]


@pytest.mark.parametrize("host", ["localhost", "localhost:7071", "127.0.0.1:7071", "127.8.9.10", "[::1]:7071"])
def test_on_a_developers_machine_the_api_answers_to_that_machines_own_names(host):
    assert asked({"host": host}, environment="Development", path="/api/none").status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "localhost.evil", "", "[::2]"])
def test_to_no_other_name_does_it_answer_even_there(host):
    problem(asked({"host": host}, environment="Development"), 403, "api-closed")


@pytest.mark.parametrize("given", ["read", "enqueue", "manage"])
def test_a_function_key_is_good_for_what_the_setting_says_and_for_no_more(server, given):
    with serving_a_new_database(server, key_role=given) as api:
        ranks = ["read", "enqueue", "manage"]
        calls = [("GET", "/api/jobs"), ("POST", "/api/jobs"), ("POST", f"/api/jobs/{uuid.uuid4()}/pause")]
        for needed, (method, path) in zip(ranks, calls, strict=True):
            refused = api.call(method, path, json={}).status_code == 403
            assert refused == (ranks.index(needed) > ranks.index(given)), (given, needed)


def test_who_may_enqueue_by_key_may_replace_nobodys_job(server):
    with serving_a_new_database(server, key_role="enqueue") as api:
        api.post_job(job_name="held", schedule="P1D")
        problem(api.post_job(job_name="held", schedule="P1D", on_conflict="replace"), 403, "forbidden")


# --- replace


def enqueue(api, role, name, **fields):
    body = {"handler_name": "Noop", "schedule": "P1D"} | fields
    return api.call("POST", "/api/jobs", json=body, headers=principal(role, name=name))


def test_who_may_enqueue_may_replace_their_own_job_and_nobody_elses(guarded):
    theirs = enqueue(guarded, "Jobs.Enqueue", "ann@example.com", job_name="shared").json()
    refused = enqueue(guarded, "Jobs.Enqueue", "bob@example.com", job_name="shared", on_conflict="replace")
    assert "Jobs.Manage" in problem(refused, 403, "forbidden")["detail"]
    assert guarded.runtime.service.get(uuid.UUID(theirs["id"])).status == "Scheduled"
    own = enqueue(guarded, "Jobs.Enqueue", "ann@example.com", job_name="shared", on_conflict="replace")
    assert own.status_code == 201
    assert enqueue(
        guarded, "Jobs.Manage", "bob@example.com", job_name="shared", on_conflict="replace"
    ).status_code == 201  # fmt: skip


def test_who_may_enqueue_may_not_replace_what_nobody_known_has_enqueued(guarded):
    guarded.runtime.service.enqueue(_command("nobody's"))
    refused = enqueue(guarded, "Jobs.Enqueue", None, job_name="nobody's", on_conflict="replace")
    problem(refused, 403, "forbidden")


def test_a_batch_replaces_no_more_than_a_single_call_would(guarded):
    enqueue(guarded, "Jobs.Enqueue", "ann@example.com", job_name="of a batch")
    item = {"handler_name": "Noop", "job_name": "of a batch", "on_conflict": "replace"}
    answer = guarded.call("POST", "/api/jobs/batch", json={"jobs": [item]}, headers=principal("Jobs.Enqueue", name="b"))
    [result] = answer.json()["results"]
    assert (result["status"], result["problem"]["type"]) == (403, "urn:jobs:problem:forbidden")


def _command(name):
    return EnqueueJob(handler_name="Noop", job_name=name, schedule="P1D")


# --- reserved metadata


@pytest.fixture(scope="module")
def api(server):
    with serving_a_new_database(server) as api:
        yield api


MARK = {"jobs.owner": "shop"}


@pytest.mark.parametrize("extra", [{}, {"headers": {"idempotency-key": "k"}}, {"on_conflict": "replace"}])
def test_reserved_metadata_is_refused_when_a_job_is_enqueued(api, extra):
    answer = api.post_job(metadata=MARK | {"Domain": "Orders"}, **extra)
    fault = problem(answer, 422, "invalid-request", "/metadata/jobs.owner")["errors"][0]
    assert "the framework's own" in fault["detail"]


def test_reserved_metadata_is_refused_in_a_batch_and_to_python_callers(api):
    item = {"handler_name": "Noop", "job_name": "marked", "metadata": {"jobs.anything": 1}}
    [result] = api.call("POST", "/api/jobs/batch", json={"jobs": [item]}).json()["results"]
    assert result["problem"]["errors"][0]["pointer"] == "/jobs/0/metadata/jobs.anything"
    with pytest.raises(InvalidInput, match="the framework's own"):
        api.runtime.service.enqueue(_command("marked").model_copy(update={"metadata": MARK}))


def test_reserved_metadata_stays_as_it_is_whatever_a_patch_says(api):
    made = api.runtime.service.enqueue(
        _command("owned").model_copy(update={"metadata": MARK}), caller=Caller(may_set_reserved=True)
    )
    path = f"/api/jobs/{made.id}"
    for metadata in ({"jobs.owner": "other"}, {"jobs.new": 1}, {"jobs.owner": None}):
        problem(api.call("PATCH", path, json={"metadata": metadata}), 422, "invalid-request")
    assert api.call("PATCH", path, json={"metadata": {"a": 1}}).json()["metadata"] == MARK | {"a": 1}
    read = api.call("GET", path).json()["metadata"]
    assert api.call("PATCH", path, json={"metadata": read | {"b": 2}}).json()["metadata"] == read | {"b": 2}


def test_a_handler_cannot_mark_its_follow_ups():
    registry = HandlerRegistry()

    def mark(args: Anything, ctx: JobContext) -> None:
        ctx.enqueue(_command("child").model_copy(update={"handler_name": "Mark", "metadata": MARK}))

    registry.add_handler("Mark", mark)
    with JobsHarness(registry) as jobs:
        assert "the framework's own" in jobs.run_handler("Mark").error


# --- pages of other sites


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_write_that_another_sites_page_has_a_browser_send_is_refused_and_changes_nothing(api, site):
    job = api.later()
    for method, path in (("POST", f"/api/jobs/{job['id']}/pause"), ("DELETE", f"/api/jobs/{job['id']}")):
        problem(api.call(method, path, headers={"sec-fetch-site": site}), 403, "cross-site")
    problem(api.post_job(headers={"sec-fetch-site": site}), 403, "cross-site")
    assert api.get(job)["revision"] == job["revision"]


def test_reads_and_what_the_apps_own_page_or_no_page_sends_are_admitted(api):
    job = api.later()
    assert api.call("GET", f"/api/jobs/{job['id']}", headers={"sec-fetch-site": "cross-site"}).status_code == 200
    for site in ("same-origin", "none"):
        assert api.command(job, "pause", headers={"sec-fetch-site": site}).status_code == 200


@pytest.mark.parametrize("name", ["x-functions-key", "authorization"])
def test_so_is_what_brings_a_credential_that_only_a_page_with_leave_can_send(api, name):
    job = api.later()
    assert api.command(job, "pause", headers={"sec-fetch-site": "cross-site", name: "given"}).status_code == 200
