"""What a list can be asked for, and what it leaves out."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from jobs.adapters.postgres.connection.database import Database
from jobs.bootstrap.database import database_options
from jobs.settings import Settings
from tests.integration.entrypoints.http.test_http_api import problem, serving_a_new_database


@pytest.fixture(scope="module")
def api(server):
    with serving_a_new_database(server) as api:
        yield api


@pytest.fixture
def group():
    """A word in the metadata that keeps one test's jobs apart."""
    return uuid.uuid4().hex


@pytest.fixture
def ask(api, group):
    """List the names of this test's jobs for a query, oldest first."""

    def ask(**params):
        answer = api.call("GET", "/api/jobs", params={"metadata.g": group} | params)
        assert answer.status_code == 200, answer.text
        return [job["job_name"].removeprefix(group) for job in answer.json()["jobs"][::-1]]

    return ask


@pytest.fixture
def add(api, group):
    def add(name, **fields):
        metadata = {"g": group} | fields.pop("metadata", {})
        return api.enqueue(**{"schedule": "P1D"} | fields, job_name=group + name, metadata=metadata)

    return add


def test_a_list_leaves_payloads_out_unless_they_are_asked_for(api, add, group):
    job = add("one", payload={"n": 1})
    params = {"metadata.g": group}
    [listed] = api.call("GET", "/api/jobs", params=params).json()["jobs"]
    assert "payload" not in listed
    assert listed == {name: value for name, value in job.items() if name != "payload"}
    [whole] = api.call("GET", "/api/jobs", params=params | {"include": "payload"}).json()["jobs"]
    assert whole == job
    problem(api.call("GET", "/api/jobs", params={"include": "result"}), 422, "invalid-request", "/include")


def test_payloads_that_are_left_out_are_not_read_from_the_database(api, monkeypatch):
    database, texts = api.runtime.service._store._database, []
    run = database.run

    def seen(statement, *rest, **more):
        texts.append(statement.sql.decode())
        return run(statement, *rest, **more)

    monkeypatch.setattr(database, "run", seen)
    api.call("GET", "/api/jobs")
    api.call("GET", "/api/jobs", params={"include": "payload"})
    assert ["j.payload as text" in text for text in texts if "order by j.created_at" in text] == [False, True]


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"paused": "true"}, ["paused"]),
        ({"paused": "false"}, ["recurring", "late", "ended"]),
        ({"paused": "true,false"}, ["paused", "recurring", "late", "ended"]),
        ({"recurring": "TRUE"}, ["recurring"]),
        ({"recurring": "false", "paused": "false"}, ["late", "ended"]),
        ({"overdue": "true"}, ["late"]),
        ({"overdue": "false"}, ["paused", "recurring", "ended"]),
        ({"status": "Cancelled, Scheduled", "overdue": "false", "recurring": "false"}, ["paused", "ended"]),
    ],
)
def test_jobs_can_be_found_by_what_they_are(api, add, ask, params, found):
    paused = add("paused")
    api.command(paused, "pause")
    add("recurring", schedule="@daily")
    add("late", schedule="@once")
    api.call("DELETE", f"/api/jobs/{add('ended')['id']}")
    assert ask(**params) == found


def test_jobs_can_be_found_by_when_they_were_created_and_ended_and_are_due(api, add, ask):
    first, second = add("first", schedule="PT1H"), add("second", schedule="PT2H")
    ended = api.call("DELETE", f"/api/jobs/{add('ended')['id']}").json()
    assert ask(created_before=second["created_at"]) == ["first"]
    assert ask(created_after=second["created_at"]) == ["second", "ended"], "after includes the instant itself"
    assert ask(due_before=second["next_run_at"]) == ["first"]
    assert ask(due_after=second["next_run_at"]) == ["second"]
    assert ask(due_after=first["next_run_at"], due_before=second["next_run_at"]) == ["first"]
    assert ask(ended_after=ended["handled_at"]) == ["ended"]
    assert ask(ended_before=ended["handled_at"]) == []
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert ask(ended_before=tomorrow.replace("+", " ")) == ["ended"], "a plus that was not escaped"
    for name in ("created_after", "created_before", "ended_after", "ended_before", "due_after", "due_before"):
        for wrong in ("yesterday", f"{tomorrow},{tomorrow}"):
            problem(api.call("GET", "/api/jobs", params={name: wrong}), 422, "invalid-request", f"/{name}")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("{g}mail-1", ["mail-1"]),
        ("{g}mail-*", ["mail-1", "mail-2"]),
        ("{g}mail-1,{g}report*", ["mail-1", "report%_"]),
        (r"{g}star\*", ["star*"]),
        ("{g}star*", ["star*", "stars"]),
        (r"{g}a\,b", ["a,b"]),
        (r"{g}a\,*", ["a,b"]),
        (r"{g}back\\slash", ["back\\slash"]),
        (r"{g}back\slash", ["back\\slash"]),
        ("{g}report%*", ["report%_"]),
        ("{g}%*", []),
        ("{g}MAIL*", []),
        ("*", ["mail-1", "mail-2", "report%_", "star*", "stars", "a,b", "back\\slash"]),
    ],
)
def test_a_name_can_be_given_whole_or_by_its_beginning(add, ask, group, asked, found):
    for name in ("mail-1", "mail-2", "report%_", "star*", "stars", "a,b", "back\\slash"):
        add(name)
    assert ask(job_name=asked.replace("{g}", group)) == found


def test_a_comma_means_any_of_these_in_every_filter(api, add, ask):
    parents = [add("mail", handler_name="Send", payload={"to": "x"}), add("noop", metadata={"k": "a,b"})]
    add("other", handler_name="Fail", metadata={"k": 7})
    children = [_child(api, add, parent["id"], number) for number, parent in enumerate(parents)]
    assert ask(handler_name="Send,Fail") == ["mail", "other"]
    assert ask(status="Failed,Scheduled") == ask()
    assert ask(**{"metadata.k": "7,8"}) == ["other"]
    assert ask(**{"metadata.k": r"a\,b,7"}) == ["noop", "other"]
    assert ask(parent_id=parents[0]["id"]) == children[:1]
    assert ask(parent_id=",".join(parent["id"] for parent in parents)) == children


def _child(api, add, parent_id, number):
    job = add(f"child {number}")
    database = Database(database_options(Settings(database_url=api.url)))
    with database.engine.begin() as connection:
        values = {"parent": parent_id, "id": job["id"]}
        connection.execute(sa.text("update jobs.jobs set parent_id = :parent where id = :id"), values)
    database.close()
    return f"child {number}"


@pytest.mark.parametrize(
    ("params", "pointer", "words"),
    [
        ({"paused": "yes"}, "/paused", "neither true nor false"),
        ({"overdue": "true,"}, "/overdue", "empty"),
        ({"job_name": "a,,b"}, "/job_name", r"\,"),
        ({"handler_name": ",a"}, "/handler_name", "empty"),
        ({"parent_id": "7"}, "/parent_id/0", "UUID"),
        ({"metadata.k": ",".join(map(str, range(51)))}, "/metadata.k", "up to 50"),
        ({"name": "x"}, "/name", "created_before"),
    ],
)
def test_a_filter_that_cannot_be_read_is_refused(api, params, pointer, words):
    body = problem(api.call("GET", "/api/jobs", params=params), 422, "invalid-request", pointer)
    assert words in body["detail"]


def test_a_page_of_a_parents_follow_ups_costs_an_index_scan(api):
    database = Database(database_options(Settings(database_url=api.url)))
    with database.engine.begin() as connection:
        connection.execute(sa.text("set local enable_seqscan = off"))
        plan = connection.execute(
            sa.text(
                "explain select id from jobs.jobs j where j.parent_id = cast(:id as uuid) "
                "order by j.created_at desc, j.id desc limit 50"
            ),
            {"id": uuid.uuid4()},
        )
        assert "jobs_by_parent" in str(plan.all())
    database.close()
