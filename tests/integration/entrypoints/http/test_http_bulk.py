"""Operations on many jobs: preview, start, progress, cancel; each job once."""

from __future__ import annotations

import time
import uuid

import pytest

from jobs.app.bulk import run as bulk_run
from jobs.core.bulk import BULK_HANDLER
from jobs.core.lifecycle.ids import AlarmName
from tests.integration.entrypoints.http.test_http_api import ID, principal, problem, serving_a_new_database
from tests.support import handle_alarm


@pytest.fixture(scope="module")
def api(server):
    with serving_a_new_database(server) as api:
        yield api


@pytest.fixture
def group():
    """A word in the metadata that keeps one test's jobs apart."""
    return uuid.uuid4().hex


def jobs_of(api, group, count=5, **fields):
    return [api.later(metadata={"g": group}, **fields) for _ in range(count)]


def request(group, action, **fields):
    return {"action": action, "filter": {"metadata": {"g": [group]}}} | fields


def start(api, body, **options):
    answer = api.call("POST", "/api/bulk", json=body, **options)
    assert answer.status_code == 202, answer.text
    return answer.json()


def ring(api, operation):
    """Run the operation's job once."""
    job = api.get(operation)
    handle_alarm(api.runtime, AlarmName(uuid.UUID(job["id"]), job["generation"]))
    return api.call("GET", f"/api/bulk/{operation['id']}").json()


def run(api, operation):
    """Run the operation's job until it has ended."""
    for _ in range(100):
        found = ring(api, operation)
        if found["ended_at"]:
            return found
    raise AssertionError(found)


def states(api, jobs):
    return [api.get(job)["status"] for job in jobs]


def audit(api, job):
    return api.call("GET", f"/api/jobs/{job['id']}/audit").json()["audit"]


class TestPreview:
    def test_it_says_how_many_jobs_there_are_and_shows_some_and_changes_nothing(self, api, group):
        jobs = jobs_of(api, group, 12)
        answer = api.call("POST", "/api/bulk", json=request(group, "cancel", preview=True)).json()
        assert (answer["matched"], answer["more"]) == (12, False)
        newest = [job["job_name"] for job in jobs[:1:-1]]
        assert [job["job_name"] for job in answer["sample"]] == newest
        assert "payload" not in answer["sample"][0]
        assert set(states(api, jobs)) == {"Scheduled"}

    @pytest.mark.parametrize(
        ("action", "matched"), [("cancel", 2), ("pause", 1), ("resume", 1), ("run", 1), ("retry", 1)]
    )
    def test_only_jobs_that_the_action_applies_to_are_counted(self, api, group, action, matched):
        _, paused, ended = jobs_of(api, group, 3)
        api.command(paused, "pause")
        api.call("DELETE", f"/api/jobs/{ended['id']}")
        assert api.call("POST", "/api/bulk", json=request(group, action, preview=True)).json()["matched"] == matched

    def test_a_filter_that_leaves_none_matches_none(self, api, group):
        jobs_of(api, group)
        for contradiction in ({"status": ["Completed"]}, {"paused": False}):
            body = request(group, "resume", preview=True)
            body["filter"] |= contradiction
            assert api.call("POST", "/api/bulk", json=body).json() == {"matched": 0, "more": False, "sample": []}

    def test_a_filter_without_a_condition_needs_to_say_that_all_is_meant(self, api):
        for body in ({"action": "cancel"}, {"action": "cancel", "filter": {}, "preview": True},
                     {"action": "cancel", "filter": {"status": [], "metadata": {}}}):  # fmt: skip
            fault = problem(api.call("POST", "/api/bulk", json=body), 422, "invalid-request", "/filter")
            assert "all" in fault["detail"]
        answer = api.call("POST", "/api/bulk", json={"action": "cancel", "all": True, "preview": True})
        assert answer.status_code == 200

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"action": "delete", "all": True}, "/action"),
            ({"all": True}, "/action"),
            ({"action": "cancel", "filter": {"statuses": []}}, "/filter/statuses"),
            ({"action": "cancel", "all": True, "reason": ""}, "/reason"),
            ({"action": "cancel", "all": True, "limit": 5}, "/limit"),
        ],
    )
    def test_what_is_no_operation_is_refused(self, api, body, pointer):
        problem(api.call("POST", "/api/bulk", json=body), 422, "invalid-request", pointer)


class TestOperations:
    def test_each_job_is_changed_with_who_and_why_and_by_which_operation(self, api, group):
        jobs = jobs_of(api, group)
        answer = api.call("POST", "/api/bulk", json=request(group, "cancel", reason="cleared out"))
        operation = answer.json()
        assert answer.headers["location"] == f"/api/bulk/{operation['id']}"
        assert (operation["status"], operation["matched"]) == ("Scheduled", 5)
        assert states(api, jobs) == ["Scheduled"] * 5, "it is durable, and nothing has happened yet"
        done = run(api, operation)
        assert done["status"] == "Completed"
        assert done["counts"] == {"changed": 5, "unchanged": 0, "refused": 0}
        assert states(api, jobs) == ["Cancelled"] * 5
        for job in jobs:
            [entry] = audit(api, job)
            assert (entry["action"], entry["reason"], entry["operation"]) == ("cancel", "cleared out", operation["id"])

    def test_the_actor_of_each_change_is_who_started_it(self, server):
        with serving_a_new_database(server, easy_auth=True) as api:
            headers = principal("Jobs.Manage", name="ann@example.com")
            body = {"handler_name": "Noop", "job_name": "a", "schedule": "P1D"}
            job = api.call("POST", "/api/jobs", json=body, headers=headers).json()
            body = {"action": "pause", "filter": {"handler_name": ["Noop"]}}
            operation = api.call("POST", "/api/bulk", json=body, headers=headers).json()
            handle_alarm(api.runtime, AlarmName(uuid.UUID(operation["id"]), 1))
            path = f"/api/jobs/{job['id']}/audit"
            [entry] = api.call("GET", path, headers=headers).json()["audit"]
            assert (entry["actor"], entry["action"]) == ("ann@example.com", "pause")

    @pytest.mark.parametrize(
        ("action", "before", "after"),
        [
            ("pause", [], ("Scheduled", True)),
            ("resume", ["pause"], ("Scheduled", False)),
            ("run", [], ("Scheduled", False)),
            ("retry", ["cancel"], ("Scheduled", False)),
        ],
    )
    def test_every_action_does_what_it_does_to_one_job(self, api, group, action, before, after):
        jobs = jobs_of(api, group, 2)
        for job in jobs:
            for verb in before:
                if verb == "cancel":
                    api.call("DELETE", f"/api/jobs/{job['id']}")
                else:
                    api.command(job, verb)
        assert run(api, start(api, request(group, action)))["counts"]["changed"] == 2
        found = [api.get(job) for job in jobs]
        assert [(job["status"], job["paused"]) for job in found] == [after] * 2
        if action in {"run", "retry"}:
            assert all(job["next_run_at"] < jobs[0]["next_run_at"] for job in found)

    def test_jobs_that_come_later_are_not_part_of_it(self, api, group):
        early = jobs_of(api, group, 2)
        operation = start(api, request(group, "cancel"))
        late = jobs_of(api, group, 2)
        assert run(api, operation)["counts"]["changed"] == 2
        assert states(api, early + late) == ["Cancelled"] * 2 + ["Scheduled"] * 2

    def test_what_may_not_be_changed_is_refused_and_the_rest_goes_on(self, api, group):
        ended = jobs_of(api, group, 3)
        for job in ended:
            api.call("DELETE", f"/api/jobs/{job['id']}")
        api.later(job_name=ended[1]["job_name"])  # has its name now
        done = run(api, start(api, request(group, "retry")))
        assert done["counts"] == {"changed": 2, "unchanged": 0, "refused": 1}
        assert states(api, ended) == ["Scheduled", "Cancelled", "Scheduled"]

    def test_it_goes_page_by_page_and_lets_others_run_between(self, api, group, monkeypatch):
        monkeypatch.setattr(_work(api), "_page", 2)
        monkeypatch.setattr(_work(api), "_slice_seconds", -1.0)
        jobs = jobs_of(api, group, 3)
        operation = start(api, request(group, "cancel"))
        assert ring(api, operation)["status"] == "Scheduled", "its time was over before the first page"
        monkeypatch.setattr(_work(api), "_slice_seconds", 60.0)
        assert run(api, operation)["counts"]["changed"] == 3
        assert states(api, jobs) == ["Cancelled"] * 3

    def test_operations_are_no_part_of_operations(self, server):
        with serving_a_new_database(server) as api:
            api.later()
            body = {"action": "cancel", "all": True}
            first, second = start(api, body), start(api, body)
            assert run(api, second)["counts"]["changed"] == 1
            assert api.get(first)["status"] == "Scheduled"

    def test_the_default_timeout_of_handlers_does_not_cut_it_short(self, server, group, monkeypatch):
        with serving_a_new_database(server, default_timeout_seconds=0.2) as api:
            job = api.later(metadata={"g": group})
            operation = start(api, request(group, "cancel"))
            cancel = _work(api)._actions["cancel"]

            def slow(job_id, **options):
                time.sleep(1)
                return cancel(job_id, **options)

            monkeypatch.setitem(_work(api)._actions, "cancel", slow)
            ring(api, operation)
            history = api.call("GET", f"/api/jobs/{operation['id']}/attempts").json()["attempts"]
            assert [attempt["outcome"] for attempt in history] == ["Succeeded"]
            assert states(api, [job]) == ["Cancelled"]

    def test_a_repeated_call_with_an_id_starts_no_second_one(self, api, group):
        jobs_of(api, group)
        body = request(group, "cancel", id=str(uuid.uuid4()))
        start(api, body)
        problem(api.call("POST", "/api/bulk", json=body), 409, "job-id-taken")

    def test_it_can_be_stopped_before_it_begins(self, api, group):
        jobs = jobs_of(api, group)
        operation = start(api, request(group, "cancel"))
        answer = api.call("DELETE", f"/api/bulk/{operation['id']}", params={"reason": "a mistake"})
        assert (answer.status_code, answer.json()["status"]) == (200, "Cancelled")
        assert states(api, jobs) == ["Scheduled"] * 5

    def test_another_job_is_no_operation(self, api):
        job = api.later()
        for method in ("GET", "DELETE"):
            for job_id in (job["id"], ID):
                problem(api.call(method, f"/api/bulk/{job_id}"), 404, "job-not-found")
        assert api.get(job)["status"] == "Scheduled"

    def test_nobody_enqueues_an_operation_as_a_job_and_no_list_of_handlers_has_it(self, api):
        problem(api.post_job(handler_name=BULK_HANDLER, payload={}), 422, "invalid-request", "/handler_name")
        assert BULK_HANDLER not in api.call("GET", "/api/handlers").text
        assert BULK_HANDLER not in api.call("GET", "/api/stats").json()["missing_handlers"]


class TestDeath:
    """An attempt dies in the middle of a page; the next one goes on, and each job is changed once."""

    @pytest.mark.parametrize("dies_after", range(5))
    def test_each_job_is_changed_once_and_counted_once(self, api, group, monkeypatch, dies_after):
        jobs = jobs_of(api, group, 4)
        for job in jobs:
            api.call("DELETE", f"/api/jobs/{job['id']}")
        work = _work(api)
        monkeypatch.setattr(work, "_page", 3)
        operation = start(api, request(group, "retry"))
        retry, calls = work._actions["retry"], []

        def dying(job_id, **options):
            if len(calls) == dies_after:
                calls.append(None)
                raise Death
            calls.append(job_id)
            return retry(job_id, **options)

        monkeypatch.setitem(work._actions, "retry", dying)
        ring(api, operation)  # fails in the middle, as if its worker had died there
        for job in jobs[2:]:  # what was retried already ends again, so that it is in the operation's filter once more
            if api.get(job)["status"] == "Scheduled":
                api.call("DELETE", f"/api/jobs/{job['id']}")
        done = run(api, api_run_now(api, operation))
        assert done["counts"] == {"changed": 4, "unchanged": 0, "refused": 0}
        for job in jobs:
            entries = [entry for entry in audit(api, job) if entry["operation"] == operation["id"]]
            assert len(entries) == 1

    def test_an_attempt_that_was_taken_over_stops(self, api, group, monkeypatch):
        jobs_of(api, group, 2)
        operation = start(api, request(group, "pause"))
        monkeypatch.setattr(api.runtime.bulk._store, "advance", lambda *_: False)
        assert ring(api, operation)["status"] == "Scheduled"
        monkeypatch.undo()
        assert run(api, operation)["counts"]["changed"] == 2


class Death(Exception):
    """In place of the end of a process."""


def _work(api):
    return api.runtime.injector._built_in[bulk_run.BulkWork]


def api_run_now(api, operation):
    api.command(operation, "run")
    return operation
