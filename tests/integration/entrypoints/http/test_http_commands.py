"""PATCH, DELETE, run, pause, resume and retry: what each does to a job, and when it is refused."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.entrypoints.http.test_http_api import ID, problem, serving_a_new_database
from tests.support import instant


@pytest.fixture(scope="module")
def api(server):
    with serving_a_new_database(server) as api:
        yield api


BODY = {"PATCH": {"max_retries": 1}}
"""What a change of each method sends; most need no body."""


def patch(api, job, headers=None, **changes):
    return api.call("PATCH", f"/api/jobs/{job['id']}", json=changes, headers=headers)


def delete(api, job, **options):
    return api.call("DELETE", f"/api/jobs/{job['id']}", **options)


def ended(api, **fields):
    job = api.run(api.enqueue(**fields))
    assert job["handled_at"]
    return job


class TestPatch:
    def test_a_new_schedule_takes_effect_at_once_under_a_new_generation(self, api):
        job = api.later()
        answer = patch(api, job, schedule="2099-01-01T12:00:00+03:00")
        changed = answer.json()
        assert answer.status_code == 200
        assert (changed["next_run_at"], changed["generation"], changed["revision"]) == ("2099-01-01T09:00:00Z", 2, 2)
        assert answer.headers["etag"].startswith('"2.')
        assert api.get(job) == changed

    def test_what_is_not_named_stays(self, api):
        job = api.later(metadata={"a": 1}, payload={"b": 2}, max_retries=4, timeout="PT7S")
        changed = patch(api, job, max_retries=5).json()
        assert changed == job | {name: changed[name] for name in ("max_retries", "revision", "updated_at")}
        assert changed["max_retries"] == 5

    def test_every_part_can_be_changed(self, api):
        changes = {
            "schedule": "0 0 * * *",
            "timezone": "America/New_York",
            "dst": {"gap": "skip", "overlap": "twice"},
            "misfire": {"policy": "skip", "max": None, "grace": "PT5M"},
            "start_at": "2098-01-01T00:00:00Z",
            "end_at": "2099-01-01T00:00:00Z",
            "max_runs": 3,
            "jitter": "PT1M",
            "payload": {"to": "Bob", "copies": 2},
            "metadata": {"Tenant": "b"},
            "max_retries": 0,
            "timeout": "PT10S",
        }
        job = api.later(handler_name="Send", payload={"to": "Ann"})
        changed = patch(api, job, **changes).json()
        assert {name: changed[name] for name in changes} == changes
        assert changed["recurring"]

    def test_null_takes_back_what_may_be_absent(self, api):
        job = api.later(timeout="PT5S", jitter="PT5S", start_at="2099-01-01T00:00:00Z")
        changed = patch(api, job, timeout=None, jitter=None, start_at=None).json()
        assert (changed["timeout"], changed["jitter"], changed["start_at"]) == ("PT25M", None, None), "the app's own"

    @pytest.mark.parametrize("field", ["schedule", "timezone", "dst", "misfire", "metadata", "max_retries"])
    def test_null_for_what_every_job_has_is_refused(self, api, field):
        problem(patch(api, api.later(), **{field: None}), 422, "invalid-request", f"/{field}")

    def test_no_change_is_no_new_revision(self, api):
        job = api.later()
        assert patch(api, job).json() == job

    def test_the_revision_named_by_if_match_must_be_the_jobs(self, api):
        job = api.later()
        assert patch(api, job, {"if-match": '"1"'}, max_retries=1).status_code == 200
        answer = patch(api, job, {"if-match": '"1"'}, max_retries=2)
        assert "revision 2" in problem(answer, 412, "precondition-failed")["detail"]
        assert api.get(job)["max_retries"] == 1
        assert patch(api, job, {"if-match": 'W/"2"'}, max_retries=3).status_code == 200
        assert patch(api, job, {"if-match": "*"}, max_retries=4).status_code == 200

    @pytest.mark.parametrize("tag", ['"abc"', '"1", "2"', "-1", '"' + "9" * 40 + '"'])
    def test_an_if_match_that_this_api_never_gave_is_refused(self, api, tag):
        job = api.later()
        answer = patch(api, job, {"if-match": tag}, max_retries=1)
        assert "ETag" in problem(answer, 422, "invalid-request")["detail"]
        assert api.get(job) == job

    def test_of_two_at_once_that_name_the_same_revision_one_wins(self, api):
        job = api.later()
        with ThreadPoolExecutor(8) as callers:
            answers = list(callers.map(lambda n: patch(api, job, {"if-match": '"1"'}, max_retries=n), range(8)))
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7
        assert api.get(job)["revision"] == 2

    @pytest.mark.parametrize(
        ("changes", "pointer"),
        [
            ({"schedule": "61 * * * *"}, "/schedule"),
            ({"schedule": "0 0 30 2 *"}, "/schedule"),
            ({"schedule": 5}, "/schedule"),
            ({"timezone": "Mars/Olympus"}, "/timezone"),
            ({"payload": {"to": ""}}, "/payload/to"),
            ({"payload": {"to": "Ann", "cc": "Bob"}}, "/payload/cc"),
            ({"payload": [1]}, "/payload"),
            ({"payload": {"to": "\x00"}}, "/payload/to"),
            ({"metadata": []}, "/metadata"),
            ({"max_retries": -1}, "/max_retries"),
            ({"timeout": "PT0S"}, "/timeout"),
            ({"max_runs": 1}, "/max_runs"),
            ({"end_at": "2030-01-01T00:00:00"}, "/end_at"),
            ({"handler_name": "Noop"}, "/handler_name"),
            ({"job_name": "other"}, "/job_name"),
            ({"status": "Completed"}, "/status"),
        ],
    )
    def test_a_wrong_change_is_refused_and_changes_nothing(self, api, changes, pointer):
        job = api.later(handler_name="Send", payload={"to": "Ann"})
        problem(patch(api, job, **changes), 422, "invalid-request", pointer)
        assert api.get(job) == job

    def test_a_job_that_has_ended_is_not_changed(self, api):
        assert "retry it" in problem(patch(api, ended(api), schedule="P1D"), 409, "conflict")["detail"]

    def test_a_one_time_job_is_not_changed_while_it_runs(self, api):
        with api.running() as job:
            assert "running" in problem(patch(api, job, schedule="P1D"), 409, "conflict")["detail"]

    def test_a_recurring_job_that_runs_takes_the_new_schedule_from_its_next_run_on(self, api):
        job = api.enqueue(handler_name="Wait", schedule="@every 1h")
        api.command(job, "run")
        with ThreadPoolExecutor(1) as worker:
            api.gate.reset()
            running = worker.submit(api.run, job)
            assert api.gate.entered.wait(60)
            changed = patch(api, job, schedule="2 2 2 2 *")
            api.gate.opened.set()
            after = running.result(60)
        assert (changed.status_code, changed.json()["status"]) == (200, "Running")
        assert (after["status"], after["run_count"], after["next_run_at"][4:19]) == ("Scheduled", 1, "-02-02T02:02:00")


class TestDelete:
    def test_a_waiting_job_is_cancelled_at_once(self, api):
        job = api.later()
        answer = delete(api, job)
        assert (answer.status_code, answer.json()["status"]) == (200, "Cancelled")
        assert answer.json()["handled_at"]
        assert answer.headers["etag"].startswith('"2.')

    def test_deleting_what_has_ended_is_no_error_and_changes_nothing(self, api):
        for job in (ended(api), ended(api, handler_name="Fail"), delete(api, api.later()).json()):
            answer = delete(api, job)
            assert (answer.status_code, answer.json()) == (200, job)

    def test_a_running_job_is_asked_to_end_and_deleting_it_again_asks_no_more(self, api):
        with api.running() as job:
            answer = delete(api, job)
            assert (answer.status_code, answer.json()["status"]) == (202, "Running")
            assert answer.json()["cancel_requested_at"]
            again = delete(api, job)
            assert (again.status_code, again.json()) == (202, answer.json())
        assert api.get(job)["status"] in {"Cancelled", "Completed"}

    def test_the_revision_named_by_if_match_must_be_the_jobs(self, api):
        job = api.later()
        problem(delete(api, job, headers={"if-match": '"2"'}), 412, "precondition-failed")
        assert api.get(job)["status"] == "Scheduled"
        assert delete(api, job, headers={"if-match": '"1"'}).status_code == 200


class TestRun:
    def test_a_waiting_job_becomes_due_now(self, api):
        job = api.later()
        answer = api.command(job, "run")
        assert (answer.status_code, answer.json()["generation"]) == (200, 2)
        assert instant(answer.json()["next_run_at"]) < instant(job["next_run_at"])
        assert api.run(job)["status"] == "Completed"

    def test_a_recurring_job_keeps_its_schedule(self, api):
        job = api.enqueue(schedule="0 0 1 1 *")
        api.command(job, "run")
        after = api.run(job)
        assert (after["status"], after["run_count"]) == ("Scheduled", 1)
        assert after["next_run_at"] == job["next_run_at"]

    def test_a_job_that_runs_is_paused_or_has_ended_is_not_run(self, api):
        paused = api.later()
        api.command(paused, "pause")
        assert "resume" in problem(api.command(paused, "run"), 409, "conflict")["detail"]
        problem(api.command(ended(api), "run"), 409, "conflict")
        with api.running() as job:
            problem(api.command(job, "run"), 409, "conflict")


class TestPauseAndResume:
    def test_a_paused_job_is_not_run_until_it_is_resumed(self, api):
        job = api.enqueue()
        answer = api.command(job, "pause")
        assert (answer.status_code, answer.json()["paused"], answer.json()["status"]) == (200, True, "Scheduled")
        assert api.run(job)["status"] == "Scheduled"
        answer = api.command(job, "resume")
        assert (answer.status_code, answer.json()["paused"]) == (200, False)
        assert api.run(job)["status"] == "Completed"

    def test_doing_it_twice_changes_nothing(self, api):
        job = api.later()
        for verb in ("pause", "resume"):
            once = api.command(job, verb).json()
            twice = api.command(job, verb)
            assert (twice.status_code, twice.json()) == (200, once)

    @pytest.mark.parametrize("verb", ["pause", "resume"])
    def test_a_job_that_has_ended_can_be_neither(self, api, verb):
        assert "ended" in problem(api.command(ended(api), verb), 409, "conflict")["detail"]


class TestRetry:
    def test_a_job_that_has_ended_starts_again(self, api):
        for job in (ended(api, handler_name="Fail"), ended(api), delete(api, api.later()).json()):
            answer = api.command(job, "retry")
            assert (answer.status_code, answer.json()["status"], answer.json()["attempt"]) == (200, "Scheduled", 0)
            assert answer.json()["handled_at"] is None
            assert api.run(job)["status"] in {"Failed", "Completed"}

    def test_an_active_job_is_not_retried(self, api):
        problem(api.command(api.later(), "retry"), 409, "conflict")
        with api.running() as job:
            problem(api.command(job, "retry"), 409, "conflict")

    def test_a_job_whose_name_is_in_use_again_is_not_retried(self, api):
        first = ended(api, job_name="used again")
        second = api.later(job_name="used again")
        assert problem(api.command(first, "retry"), 409, "job-name-taken")["holder"] == second["id"]
        assert api.get(first) == first


COMMANDS = [
    ("PATCH", ""),
    ("DELETE", ""),
    ("POST", "/run"),
    ("POST", "/pause"),
    ("POST", "/resume"),
    ("POST", "/retry"),
]
each_command = pytest.mark.parametrize(("method", "path"), COMMANDS)


class TestEveryCommand:
    @each_command
    def test_an_unknown_job_is_answered_404(self, api, method, path):
        body = {"max_retries": 1} if method == "PATCH" else None
        answer = api.call(method, f"/api/jobs/{ID}{path}", json=body)
        assert ID in problem(answer, 404, "job-not-found")["detail"]

    @each_command
    def test_what_is_no_id_leads_nowhere(self, api, method, path):
        assert api.call(method, f"/api/jobs/not-an-id{path}", json=BODY.get(method)).status_code == 404

    @each_command
    def test_if_match_is_honoured(self, api, method, path):
        job = api.later()
        headers = {"if-match": '"9"'}
        answer = api.call(
            method,
            f"/api/jobs/{job['id']}{path}",
            json=BODY.get(method),
            headers=headers,
        )
        assert answer.status_code == 412, answer.text
        assert api.get(job) == job

    @each_command
    def test_an_id_may_be_written_in_each_way_that_the_host_lets_through(self, api, method, path):
        job = api.later()
        if path == "/retry":
            delete(api, job)
        for written in (job["id"].upper(), uuid.UUID(job["id"]).hex, f"{{{job['id']}}}", f"({job['id']})"):
            answer = api.call(method, f"/api/jobs/{written}{path}", json=BODY.get(method))
            assert answer.status_code in {200, 409}, answer.text
