"""Reasons, the audit, editing while retrying, and sensitive values that nobody is shown."""

from __future__ import annotations

import json
import logging
import uuid
from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict

from jobs import Sensitive
from jobs.core.errors import InvalidInput
from jobs.core.handlers.context import JobContext
from jobs.core.lifecycle.retry import RetryPolicy
from tests.integration.entrypoints.http.test_http_api import ID, principal, problem, serving_a_new_database

MASK = "**********"
SECRET = "4111-1111"


class Payment(BaseModel):
    model_config = ConfigDict(extra="forbid")

    card: Annotated[str, Sensitive()]
    amount: int = 1


@pytest.fixture(scope="module")
def api(server):
    with serving_a_new_database(server) as api:
        seen = api.seen = []

        def pay(args: Payment, ctx: JobContext) -> None:
            seen.append((args.card, ctx.idempotency_key))
            if args.amount < 0:
                raise LookupError("it cannot be paid")

        api.runtime.registry.add_handler("Pay", pay, retry=RetryPolicy(max_retries=0))
        yield api


@pytest.fixture(scope="module")
def guarded(server):
    with serving_a_new_database(server, easy_auth=True) as api:
        yield api


def audit(api, job, **params):
    answer = api.call("GET", f"/api/jobs/{job['id']}/audit", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()["audit"]


def pay(api, **fields):
    return api.enqueue(handler_name="Pay", **{"payload": {"card": SECRET, "amount": 7}} | fields)


class TestReasons:
    @pytest.mark.parametrize(
        ("verb", "action"), [("pause", "pause"), ("resume", "resume"), ("run", "run-now"), ("retry", "retry")]
    )
    def test_the_reason_for_a_change_is_kept(self, api, verb, action):
        job = api.later()
        if verb == "resume":
            api.command(job, "pause")
        if verb == "retry":
            api.call("DELETE", f"/api/jobs/{job['id']}")
        assert api.command(job, verb, json={"reason": "on call"}).status_code == 200
        newest = audit(api, job)[0]
        assert (newest["action"], newest["reason"]) == (action, "on call")

    def test_so_is_that_for_an_update_and_for_a_cancellation(self, api):
        job = api.later()
        assert api.call("PATCH", f"/api/jobs/{job['id']}", json={"max_retries": 1, "reason": "a"}).status_code == 200
        assert api.call("DELETE", f"/api/jobs/{job['id']}", params={"reason": "b"}).status_code == 200
        assert [(entry["action"], entry["reason"]) for entry in audit(api, job)] == [("cancel", "b"), ("update", "a")]

    def test_a_change_needs_no_reason_and_no_body(self, api):
        job = api.later()
        assert api.command(job, "pause").status_code == 200
        assert api.command(job, "resume", json={}).status_code == 200
        assert [entry["reason"] for entry in audit(api, job)] == [None, None]

    @pytest.mark.parametrize("reason", ["", "x" * 501, 7])
    def test_what_is_no_reason_is_refused_and_nothing_changes(self, api, reason):
        job = api.later()
        problem(api.command(job, "pause", json={"reason": reason}), 422, "invalid-request", "/reason")
        answer = api.call("PATCH", f"/api/jobs/{job['id']}", json={"max_retries": 1, "reason": reason})
        problem(answer, 422, "invalid-request", "/reason")
        problem(api.command(job, "pause", json={"reasons": "a"}), 422, "invalid-request", "/reasons")
        problem(api.call("DELETE", f"/api/jobs/{job['id']}", params={"why": "a"}), 422, "invalid-request", "/why")
        assert api.get(job) == job

    def test_a_reason_alone_changes_nothing(self, api):
        job = api.later()
        assert api.call("PATCH", f"/api/jobs/{job['id']}", json={"reason": "none"}).json() == job
        assert audit(api, job) == []


class TestAudit:
    def test_who_changed_what_and_what_it_was_before(self, guarded):
        body = {"handler_name": "Noop", "job_name": "kept", "payload": {"n": 1}, "schedule": "P1D"}
        job = guarded.call("POST", "/api/jobs", json=body, headers=principal("Jobs.Manage")).json()
        change = {"payload": {"n": 2}, "max_retries": 9, "reason": "a typo"}
        guarded.call("PATCH", f"/api/jobs/{job['id']}", json=change, headers=principal("Jobs.Manage", name="bob"))
        answer = guarded.call("GET", f"/api/jobs/{job['id']}/audit", headers=principal("Jobs.Read"))
        [entry] = answer.json()["audit"]
        assert entry["before"] == {"payload": {"n": 1}, "max_retries": job["max_retries"]}
        assert (entry["actor"], entry["action"], entry["reason"], entry["revision"]) == ("bob", "update", "a typo", 2)
        assert (entry["job_id"], entry["job_name"], entry["handler_name"]) == (job["id"], "kept", "Noop")

    def test_numbers_of_the_old_payload_are_exact(self, api):
        rest = '"handler_name": "Noop", "job_name": "exact", "schedule": "P1D"'
        body = f'{{{rest}, "payload": {{"n": 1234567890123456789.10}}}}'
        job = api.call("POST", "/api/jobs", content=body, headers={"content-type": "application/json"}).json()
        assert api.call("PATCH", f"/api/jobs/{job['id']}", json={"payload": {}}).status_code == 200
        assert '"n":1234567890123456789.10' in api.call("GET", f"/api/jobs/{job['id']}/audit").text

    def test_timing_is_kept_as_the_api_writes_it(self, api):
        job = api.later(jitter="PT30S")
        api.call("PATCH", f"/api/jobs/{job['id']}", json={"schedule": "@daily", "jitter": None})
        assert audit(api, job)[0]["before"] == {"schedule": "P1D", "jitter": "PT30S"}

    def test_all_changes_are_listed_newest_first_and_page_by_page(self, api):
        word = uuid.uuid4().hex
        jobs = [api.later(job_name=f"{word} {number}") for number in range(3)]
        for job in jobs:
            api.command(job, "pause", json={"reason": word})
        found, path = [], "/api/audit?limit=2&action=pause,resume"
        while path:
            page = api.call("GET", path).json()
            found += [entry["job_name"] for entry in page["audit"] if entry["reason"] == word]
            path = page["next"]
        assert found == [job["job_name"] for job in jobs[::-1]]

    def test_filters_and_faults(self, api):
        assert api.call("GET", "/api/audit", params={"actor": "nobody"}).json() == {"audit": [], "next": None}
        for params, pointer in (
            ({"since": "x"}, "/since"), ({"after": "x"}, "/after"), ({"limit": "0"}, "/limit"),
            ({"cursor": "x"}, "/cursor"), ({"job_id": ID}, "/job_id"),
        ):  # fmt: skip
            problem(api.call("GET", "/api/audit", params=params), 422, "invalid-request", pointer)

    def test_the_audit_of_an_unknown_job_is_answered_404(self, api):
        problem(api.call("GET", f"/api/jobs/{ID}/audit"), 404, "job-not-found")


class TestEditAndRetry:
    def test_an_ended_job_runs_again_with_another_payload_as_a_new_run(self, api):
        job = api.run(pay(api, payload={"card": SECRET, "amount": -1}))
        assert job["status"] == "Failed"
        answer = api.command(job, "retry", json={"payload": {"card": "5500", "amount": 2}, "reason": "corrected"})
        assert answer.json()["status"] == "Scheduled"
        assert api.run(answer.json())["status"] == "Completed"
        (first, key), (second, other_key) = api.seen[-2:]
        assert (first, second) == (SECRET, "5500")
        assert key != other_key  # the same key with another payload would be answered with the old effect
        newest = audit(api, job)[0]
        assert (newest["action"], newest["reason"]) == ("retry", "corrected")
        assert newest["before"] == {"payload": {"card": MASK, "amount": -1}}

    def test_without_a_payload_it_is_the_same_run(self, api):
        job = api.run(pay(api, payload={"card": SECRET, "amount": -1}))
        api.run(api.command(job, "retry", json={}).json())
        assert api.seen[-1] == api.seen[-2]

    def test_a_payload_that_the_handler_does_not_take_is_refused_and_nothing_changes(self, api):
        job = api.run(pay(api, payload={"card": SECRET, "amount": -1}))
        answer = api.command(job, "retry", json={"payload": {"card": "1", "amunt": 2}})
        fault = problem(answer, 422, "invalid-request", "/payload/amunt")["errors"][0]
        assert "is 'amount' meant?" in fault["detail"]
        assert api.get(job) == job

    def test_a_job_that_has_not_ended_is_not_retried_with_any_payload(self, api):
        job = pay(api, schedule="P1D")
        problem(api.command(job, "retry", json={"payload": {"card": "1"}}), 409, "conflict")


def test_text_of_a_query_that_cannot_be_stored_is_refused_at_its_place(api):
    job = pay(api, schedule="P1D")
    path = f"/api/jobs/{job['id']}"
    for method, asked, pointer in (
        ("DELETE", f"{path}?reason=%00", "/reason"),
        ("GET", f"{path}/audit?actor=%00", "/actor"),
        ("GET", f"{path}/attempts?cursor=%00", "/cursor"),
        ("GET", "/api/series?handler_name=%00", "/handler_name"),
    ):
        problem(api.call(method, asked), 422, "invalid-request", pointer)
    assert api.get(job)["status"] == "Scheduled"


class TestSensitiveValues:
    def test_no_answer_has_them(self, api):
        answer = api.post_job(handler_name="Pay", payload={"card": SECRET}, headers={"idempotency-key": "pay"})
        job = answer.json()
        path = f"/api/jobs/{job['id']}"
        batch = {"jobs": [{"handler_name": "Pay", "job_name": "of a batch", "payload": {"card": SECRET}}]}
        answers = [
            answer,
            api.post_job(handler_name="Pay", payload={"card": SECRET}, headers={"idempotency-key": "pay"}),
            api.call("POST", "/api/jobs/batch", json=batch),
            api.call("GET", path),
            api.call("GET", "/api/jobs", params={"include": "payload"}),
            api.call("POST", "/api/jobs/search", json={"payloads": True}),
            api.command(job, "pause"),
            api.call("PATCH", path, json={"payload": {"card": SECRET, "amount": 3}}),
            api.call("GET", f"{path}/audit"),
            api.call("GET", "/api/audit"),
        ]
        assert not [each.request.url for each in answers if SECRET in each.text]
        assert api.get(job)["payload"] == {"card": MASK, "amount": 3}

    def test_the_handler_is_given_them(self, api):
        api.run(pay(api))
        assert api.seen[-1][0] == SECRET

    def test_a_mask_that_is_sent_back_leaves_the_value_as_it_is(self, api):
        job = pay(api, schedule="P1D")
        shown = api.get(job)["payload"] | {"amount": 8}
        assert api.call("PATCH", f"/api/jobs/{job['id']}", json={"payload": shown}).status_code == 200
        assert api.runtime.service.get(uuid.UUID(job["id"])).payload == {"card": SECRET, "amount": 8}

    def test_a_mask_is_no_value_of_a_new_job(self, api):
        refused = api.post_job(handler_name="Pay", payload={"card": MASK})
        problem(refused, 422, "invalid-request", "/payload/card")

    def test_no_log_and_no_refusal_has_them(self, api, caplog):
        caplog.set_level(logging.DEBUG, "jobs")
        job = pay(api, payload={"card": SECRET, "amount": -1})
        api.run(job)
        refused = api.post_job(handler_name="Pay", payload={"card": [SECRET], "amount": 1})
        problem(refused, 422, "invalid-request", "/payload/card")
        assert SECRET not in caplog.text + refused.text + json.dumps(api.get(job))
        with pytest.raises(InvalidInput) as raised:
            api.runtime.registry.require("Pay").read_arguments(json.dumps({"card": [SECRET]}))
        assert SECRET not in str(raised.value)

    def test_forms_are_told_which_fields_they_are(self, api):
        [arguments] = [each["arguments"] for each in api.call("GET", "/api/handlers").json()["handlers"]
                       if each["name"] == "Pay"]  # fmt: skip
        assert arguments["properties"]["card"]["writeOnly"]
