"""Failures by cause, and workers: what operators ask for when something is wrong."""

from __future__ import annotations

import pytest

from tests.integration.entrypoints.http.test_http_api import problem, serving_a_new_database
from tests.support import instant, until


@pytest.fixture(scope="module")
def api(server):
    with serving_a_new_database(server) as api:
        yield api


def failures(api, **params):
    answer = api.call("GET", "/api/failures", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


class TestFailures:
    def test_many_failures_of_one_cause_are_one_row_whose_jobs_can_be_found_and_retried(self, api):
        assert failures(api) == {"window": "P1D", "failures": [], "more": False, "count_to": 10_000, "at_least": []}
        jobs = [api.enqueue(handler_name="Fail") for _ in range(3)]
        ran = [api.run(job) for job in jobs]
        [group] = failures(api)["failures"]
        assert (group["kind"], group["message"], group["count"], group["jobs_failed"], group["handlers"]) == (
            "LookupError", "the address is unknown", 3, 3, ["Fail"],
        )  # fmt: skip
        assert group["place"].startswith("fail, test_http_api.py")
        assert group["sample"]["job_id"] == jobs[-1]["id"]
        assert instant(group["first_at"]) <= instant(group["last_at"])
        assert {job["failure"] for job in ran} == {group["failure"]}
        found = api.call("GET", "/api/jobs", params={"failure": group["failure"]}).json()["jobs"]
        assert {job["id"] for job in found} == {job["id"] for job in jobs}
        searched = api.call("POST", "/api/jobs/search", json={"failure": group["failure"], "limit": 1}).json()
        assert len(searched["jobs"]) == 1
        chosen = {"failure": [group["failure"]], "status": ["Failed"]}
        preview = api.call("POST", "/api/bulk", json={"action": "retry", "filter": chosen, "preview": True})
        assert preview.json()["matched"] == 3
        operation = api.call("POST", "/api/bulk", json={"action": "retry", "filter": chosen}).json()
        api.run(operation)
        assert {api.get(job)["status"] for job in jobs} == {"Scheduled"}
        [group] = failures(api)["failures"]
        assert (group["count"], group["jobs_failed"]) == (3, 0)

    def test_a_window_and_handlers_can_be_given(self, api):
        api.run(api.enqueue(handler_name="Fail"))
        assert failures(api, handler_name="Fail,Other")["failures"] != []
        assert failures(api, handler_name="Other")["failures"] == []
        assert failures(api, window="PT1H", limit="1")["window"] == "PT1H"

    @pytest.mark.parametrize(
        ("params", "pointer"),
        [
            ({"window": "PT0S"}, "/window"), ({"window": "yesterday"}, "/window"), ({"limit": "0"}, "/limit"),
            ({"limit": "201"}, "/limit"), ({"by": "x"}, "/by"), ({"handler_name": "a,,b"}, "/handler_name"),
        ],
    )  # fmt: skip
    def test_what_is_no_question_about_failures_is_refused(self, api, params, pointer):
        problem(api.call("GET", "/api/failures", params=params), 422, "invalid-request", pointer)


class TestWorkers:
    def test_a_worker_is_listed_with_what_it_runs_and_gone_once_it_has_ended(self, server):
        with serving_a_new_database(server, app_version="7.1") as api:
            assert api.call("GET", "/api/workers").json() == {"workers": [], "more": False, "versions": []}
            api.runtime.watch()
            [worker] = until(lambda: api.call("GET", "/api/workers").json()["workers"])
            assert (worker["status"], worker["app_version"], worker["leases"]) == ("live", "7.1", 0)
            assert worker["concurrency"] == 16
            with api.running() as job:
                [worker] = api.call("GET", "/api/workers").json()["workers"]
                assert (worker["name"], worker["leases"], worker["handlers"]) == (job["worker"], 1, {"Wait": 1})
                assert instant(worker["oldest_run_at"]) == instant(job["started_at"])
            [version] = api.call("GET", "/api/workers").json()["versions"]
            assert (version["app_version"], version["workers"]) == ("7.1", 1)
            assert version["handlers"] == {"Fail": 1, "Noop": 1, "Send": 1, "Wait": 1}
            api.runtime.start_nothing_more()
            until(lambda: api.call("GET", "/api/workers").json()["workers"][0]["status"] == "draining")
            api.runtime.presence.close()
            assert api.call("GET", "/api/workers").json()["workers"] == []


class TestHandlers:
    def test_handlers_are_told_of_with_how_they_fared_only_on_request(self, server):
        with serving_a_new_database(server) as api:
            plain = api.call("GET", "/api/handlers").json()["handlers"]
            assert all("figures" not in each for each in plain)
            for handler in ("Noop", "Noop", "Fail"):
                api.run(api.enqueue(handler_name=handler))
            until(lambda: api.runtime.reconciler.run() and api.runtime.series.last_counted())
            api.runtime.presence.report()
            answer = api.call("GET", "/api/handlers", params={"include": "figures"})
            found = {each["name"]: each.pop("figures") for each in answer.json()["handlers"]}
            assert (found["Noop"]["succeeded"], found["Noop"]["success_rate"], found["Noop"]["use"]) == (2, 1.0, None)
            assert (found["Fail"]["failed"], found["Fail"]["success_rate"]) == (1, 0.0)
            assert 0 <= found["Noop"]["durations"]["p99_seconds"] < 60
            idle = found["Send"]
            assert (idle["started"], idle["success_rate"], idle["durations"]) == (0, None, None)
            [version] = idle["versions"]
            assert (version["version"], version["workers"]) == (1, 1)
            problem(api.call("GET", "/api/handlers", params={"include": "all"}), 422, "invalid-request", "/include")
