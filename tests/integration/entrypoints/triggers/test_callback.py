"""POST /job/{alarm}: what an alarm leads to, and that a forged one leads to nothing."""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import ANY

import pytest

from jobs.testing import MemoryScheduler
from tests.integration.entrypoints.http.test_http_api import problem, serving, serving_a_new_database
from tests.support import Anything, instant

TOKENS = "new-token,old-token"
TOKEN = {"dapr-api-token": "new-token"}


@pytest.fixture(scope="module")
def api(server):
    with serving_a_new_database(server, callback_tokens=TOKENS) as api:
        yield api


def alarm_of(job, generation=None):
    return f"{uuid.UUID(job['id']).hex}-{generation or job['generation']}"


def ring(api, alarm, headers=TOKEN, **options):
    """Ring as Dapr does, and give the outcome's word."""
    answer = api.call("POST", f"/job/{alarm}", headers=headers, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()["outcome"]


class TestAnAlarm:
    def test_runs_a_due_job_once_however_often_it_rings(self, api):
        job = api.enqueue()
        assert ring(api, alarm_of(job)) == "ran"
        assert ring(api, alarm_of(job)) == "stale"
        done = api.get(job)
        assert (done["status"], done["run_count"]) == ("Completed", 1)

    def test_of_a_job_that_fails_is_answered_200_too_for_the_framework_has_dealt_with_it(self, api):
        job = api.enqueue(handler_name="Fail")
        assert ring(api, alarm_of(job)) == "ran"
        assert api.get(job)["status"] == "Failed"

    def test_that_is_early_does_nothing(self, api):
        job = api.later()
        assert ring(api, alarm_of(job)) == "not-due"
        assert api.get(job) == job

    def test_that_is_a_little_early_waits_and_runs_its_job(self, api):
        """The scheduler's clock may be ahead of the database's; answering at once would use the alarm up."""
        job = api.enqueue(schedule="PT1S")
        assert ring(api, alarm_of(job)) == "ran"
        done = api.get(job)
        assert done["status"] == "Completed"
        [attempt] = api.call("GET", f"/api/jobs/{job['id']}/attempts").json()["attempts"]
        assert instant(attempt["started_at"]) >= instant(job["next_run_at"])

    def test_of_a_paused_or_ended_job_does_nothing(self, api):
        paused, deleted = api.enqueue(), api.enqueue()
        api.command(paused, "pause")
        api.call("DELETE", f"/api/jobs/{deleted['id']}")
        for job, outcome in ((paused, "paused"), (deleted, "stale")):
            before = api.get(job)
            assert ring(api, alarm_of(before)) == outcome
            assert api.get(job) == before

    @pytest.mark.parametrize("generation", [2, 10**17])
    def test_of_another_generation_does_nothing(self, api, generation):
        job = api.enqueue()
        assert ring(api, alarm_of(job, generation)) == "stale"
        assert api.get(job) == job | {"waiting_for_detail": ANY}  # it is due meanwhile

    def test_that_is_old_does_nothing_to_a_recurring_job_with_a_new_schedule(self, api):
        job = api.enqueue(schedule="@every 1h")
        due = api.command(job, "run").json()
        changed = api.call("PATCH", f"/api/jobs/{job['id']}", json={"schedule": "@every 2h"}).json()
        assert [ring(api, alarm_of(each)) for each in (job, due, changed)] == ["stale", "stale", "not-due"]
        assert api.get(job) == changed

    def test_of_a_recurring_job_leaves_the_next_one_to_a_new_generation(self, api):
        job = api.enqueue(schedule="@every 1h")
        due = api.command(job, "run").json()
        assert ring(api, alarm_of(due)) == "ran"
        after = api.get(job)
        assert (after["status"], after["run_count"]) == ("Scheduled", 1)
        assert after["generation"] > due["generation"]
        assert ring(api, alarm_of(due)) == "stale"

    def test_of_a_job_that_nobody_knows_does_nothing(self, api):
        assert ring(api, f"{uuid.uuid4().hex}-1") == "unknown"

    @pytest.mark.parametrize(
        "alarm",
        [
            "x",
            "job",
            "-1",
            "0" * 32,
            "0" * 32 + "-",
            "0" * 32 + "-01",
            "0" * 32 + "-1-1",
            "0" * 32 + "-" + "9" * 40,
            "0" * 32 + "-%D9%A1",
            "g" * 32 + "-1",
            "%ED%A0%80",
            "caf%C3%A9",
            "x" * 4000,
            "a%2Fb",
        ],
    )
    def test_whose_name_is_none_of_ours_does_nothing(self, api, alarm):
        assert ring(api, alarm) == "unknown"

    @pytest.mark.parametrize(
        "body", [b"", b"null", b'{"id": "other", "status": "Completed"}', b"\xff\x00", b"x" * 1_000_000]
    )
    def test_is_judged_by_its_name_alone_whatever_its_body(self, api, body):
        job = api.later()
        headers = TOKEN | {"content-type": "application/json"}
        assert ring(api, alarm_of(job), headers, content=body) == "not-due"
        assert ring(api, alarm_of(api.command(job, "run").json()), headers, content=body) == "ran"

    def test_that_rings_fifty_times_at_once_makes_one_run(self, database_url):
        calls = []

        def slow(args: Anything) -> None:
            calls.append(threading.get_ident())
            time.sleep(0.05)

        with serving(database_url, callback_tokens=TOKENS) as api, ThreadPoolExecutor(50) as callers:
            api.runtime.registry.add_handler("Slow", slow)
            job = api.enqueue(handler_name="Slow")
            outcomes = list(callers.map(lambda _: ring(api, alarm_of(job)), range(50)))
            assert "ran" in outcomes, "and so says whoever rang while it ran"
            assert set(outcomes) <= {"ran", "stale"}
            assert api.get(job)["run_count"] == len(calls) == 1

    def test_with_another_method_leads_nowhere(self, api):
        assert api.call("GET", f"/job/{alarm_of(api.later())}", headers=TOKEN).status_code == 405


class TestTheToken:
    @pytest.mark.parametrize("token", ["new-token", "old-token"])
    def test_may_be_either_of_two_during_a_rotation(self, api, token):
        assert ring(api, alarm_of(api.enqueue()), {"dapr-api-token": token}) == "ran"

    @pytest.mark.parametrize("token", [None, "", "new-toke", "new-token2", "NEW-TOKEN", TOKENS, "t" * 4000])
    def test_that_is_missing_or_wrong_is_refused_and_runs_nothing(self, api, token):
        job = api.enqueue()
        headers = {} if token is None else {"dapr-api-token": token.encode("latin-1")}
        for alarm in (alarm_of(job), "no-alarm-of-ours"):
            answer = api.call("POST", f"/job/{alarm}", headers=headers)
            assert "dapr-api-token" in problem(answer, 401, "bad-callback-token")["detail"]
            assert answer.headers["www-authenticate"]
            assert "new-token" not in answer.text
        assert api.get(job) == job

    def test_that_is_not_configured_keeps_the_callback_closed_in_production(self, api):
        job = api.enqueue()
        with serving(api.url) as closed:
            for headers in ({}, {"dapr-api-token": ""}, TOKEN):
                answer = closed.call("POST", f"/job/{alarm_of(job)}", headers=headers)
                assert "JOBS_CALLBACK_TOKENS" in problem(answer, 401, "bad-callback-token")["detail"]
        assert api.get(job) == job

    def test_need_not_be_configured_on_a_developers_machine(self, api):
        with serving(api.url, environment="Development") as local:
            assert ring(local, alarm_of(api.enqueue()), {}) == "ran"

    def test_is_asked_for_there_too_once_it_is_configured(self, api):
        job = api.enqueue()
        with serving(api.url, environment="Development", callback_tokens="t") as local:
            problem(local.call("POST", f"/job/{alarm_of(job)}"), 401, "bad-callback-token")
            assert ring(local, alarm_of(job), {"dapr-api-token": "t"}) == "ran"


def test_with_the_database_away_the_alarm_is_asked_to_ring_again():
    with serving("postgresql://nobody@127.0.0.1:1/nothing", callback_tokens=TOKENS) as api:
        answer = api.call("POST", f"/job/{uuid.uuid4().hex}-1", headers=TOKEN)
        problem(answer, 503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0
        problem(api.call("POST", f"/job/{uuid.uuid4().hex}-1"), 401, "bad-callback-token")
        assert ring(api, "no-alarm-of-ours") == "unknown"


class TestTrouble:
    def test_with_a_wrong_token_is_told_in_the_log_the_statistics_and_the_readiness(self, database_url, caplog):
        with serving(database_url, callback_tokens=TOKENS) as api:
            assert api.call("GET", "/api/health/ready").json()["status"] == "ready"
            for _ in range(30):
                api.call("POST", f"/job/{uuid.uuid4().hex}-1", headers={"dapr-api-token": "wrong"})
            ready = api.call("GET", "/api/health/ready")
            assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
            [reason] = ready.json()["reasons"]
            assert "APP_API_TOKEN" in reason
            assert api.call("GET", "/api/stats").json()["alarms"]["callbacks_refused"] == 30
        told = [record.getMessage() for record in caplog.records if "callbacks refused" in record.getMessage()]
        assert len(told) == 1

    def test_with_the_scheduler_away_is_told_in_the_statistics_and_the_readiness(self, database_url, monkeypatch):
        scheduler = MemoryScheduler()
        monkeypatch.setattr("jobs.bootstrap.build_scheduler", lambda *_: scheduler)
        with serving(database_url) as api:
            assert api.call("GET", "/api/stats").json()["alarms"] == {
                "available": True,
                "why_not": None,
                "callbacks_refused": 0,
                "messages": None,
            }
            scheduler.available = False
            ready = api.call("GET", "/api/health/ready")
            assert (ready.status_code, ready.json()["status"]) == (200, "degraded"), "jobs are taken, and run late"
            assert "scheduler takes no alarms" in ready.json()["reasons"][0]
            assert "unavailable" in api.call("GET", "/api/stats").json()["alarms"]["why_not"]
            scheduler.available = True
            assert api.call("GET", "/api/health/ready").json() == {"status": "ready", "scheduler": "memory"}
