"""No JSON number is rounded: not on its way in, not in the store, not in a handler's hands, and not on its way out."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from jobs import JobContext
from jobs.core.lifecycle.job import Job
from jobs.testing import JobsHarness
from tests.integration.entrypoints.http.test_http_api import problem, serving_a_new_database

JSON = {"content-type": "application/json"}
EXACT = "1234567890123456.78"
LATER = '"P1D"'
NUMBERS = [
    EXACT,
    "-0.10000000000000000000000000000000000001",
    "0.1",
    "123456789012345678901234567890",
    "1e22",
    "1.7976931348623157e308",
    "5e-324",
    "1.00",
    "7",
    "0e0",
]


class Payment(BaseModel):
    amount: Decimal
    anything: Any = None


def exactly(text):
    """Parse JSON with every number as the decimal that stands there."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def pay(args: Payment, ctx: JobContext) -> None:
    seen.append((args, dict(ctx.metadata)))
    ctx.result = {"paid": args.amount, "anything": args.anything, "rate": ctx.metadata.get("rate")}


seen: list[Any] = []


@pytest.fixture(scope="module")
def api(server):
    with serving_a_new_database(server) as api:
        api.runtime.registry.add_handler("Pay", pay)
        yield api


def post(api, fields, path="/api/jobs", **headers):
    return api.call("POST", path, content=fields, headers=JSON | headers)


def body(name, number, **more):
    rest = "".join(f', "{key}": {value}' for key, value in more.items())
    return (
        f'{{"handler_name": "Noop", "job_name": "{name}", "payload": {{"n": {number}}}, '
        f'"metadata": {{"n": {number}, "list": [{number}]}}{rest}}}'
    )


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_comes_back_as_it_was_sent_from_every_call(api, number):
    wanted = {"n": Decimal(number)}
    answers = [post(api, body(f"exact {number}", number, schedule=LATER), **{"idempotency-key": number}).text]
    answers.append(post(api, body(f"exact {number}", number, schedule=LATER), **{"idempotency-key": number}).text)
    path = f"/api/jobs/{exactly(answers[0])['id']}"
    answers.append(api.call("GET", path).text)
    update = f'{{"payload": {{"n": {number}}}, "metadata": {{"n": {number}, "list": [{number}]}}}}'
    answers.append(api.call("PATCH", path, content=update, headers=JSON).text)
    batch = post(api, f'{{"jobs": [{body(f"batch {number}", number, schedule=LATER)}]}}', "/api/jobs/batch")
    found = [exactly(answer) for answer in answers] + [result["job"] for result in exactly(batch.text)["results"]]
    assert [job["payload"] for job in found] == [wanted] * 5
    found += exactly(api.call("GET", "/api/jobs", params={"metadata.n": number}).text)["jobs"]
    assert [job["metadata"] for job in found] == [wanted | {"list": [Decimal(number)]}] * 7


def test_jobs_are_found_by_a_number_that_no_float_is(api):
    for last in "123":
        post(api, body(f"near {last}", f"0.1234567890123456789{last}", schedule=LATER))
    page = api.call("GET", "/api/jobs", params={"metadata.n": "0.12345678901234567892"})
    assert [job["job_name"] for job in page.json()["jobs"]] == ["near 2"]


def test_a_handler_is_given_every_digit_and_so_is_who_reads_its_result(api):
    sent = (
        f'{{"handler_name": "Pay", "job_name": "pay", "metadata": {{"rate": {EXACT}}}, '
        f'"payload": {{"amount": {EXACT}, "anything": [{EXACT}, 0.5]}}}}'
    )
    job = api.run(post(api, sent).json())
    assert job["status"] == "Completed"
    args, metadata = seen.pop()
    assert (args.amount, args.anything, metadata) == (Decimal(EXACT), [Decimal(EXACT), 0.5], {"rate": Decimal(EXACT)})
    wanted = {"paid": Decimal(EXACT), "anything": [Decimal(EXACT), Decimal("0.5")], "rate": Decimal(EXACT)}
    assert exactly(api.call("GET", f"/api/jobs/{job['id']}").text)["result"] == wanted
    [attempt] = exactly(api.call("GET", f"/api/jobs/{job['id']}/attempts").text)["attempts"]
    assert attempt["result"] == wanted


def test_the_same_holds_in_a_harness_without_a_database():
    with JobsHarness([]) as jobs:
        jobs.runtime.registry.add_handler("Pay", pay)
        ran = jobs.run_handler("Pay", {"amount": Decimal(EXACT), "anything": [Decimal(EXACT)]})
        ran.check()
        assert seen.pop()[0].anything == [Decimal(EXACT)]
        assert ran.result == {"paid": Decimal(EXACT), "anything": [Decimal(EXACT)], "rate": None}
        found = jobs.jobs
    assert [type(job) for job in found] == [Job]
    assert found[0].payload["amount"] == Decimal(EXACT)


@pytest.mark.parametrize("number", ["1e309", "-1e400", "1e-400", "-0.0", "-0", "9" * 4001, "0." + "1" * 4000])
def test_a_number_that_would_not_come_back_is_refused_with_the_mend(api, number):
    detail = problem(post(api, body("refused", number)), 400, "malformed-json")["detail"]
    assert "send" in detail
    update = f'{{"jobs": [{body("refused", number)}]}}'
    problem(post(api, update, "/api/jobs/batch"), 400, "malformed-json")


@pytest.mark.parametrize("field", ["payload", "metadata"])
def test_a_small_request_is_no_large_row(api, field):
    """256 KiB of 1e308 would be 13.5 MB in the database, at every read and at every claim."""
    numbers = ",".join(["1e308"] * 43_600)
    sent = f'{{"handler_name": "Noop", "job_name": "inflated", "{field}": {{"a": [{numbers}]}}}}'
    assert "without exponents" in problem(post(api, sent), 422, "invalid-request", f"/{field}")["detail"]
    job = api.later()
    update = f'{{"{field}": {{"a": [{numbers}]}}}}'
    answer = api.call("PATCH", f"/api/jobs/{job['id']}", content=update, headers=JSON)
    problem(answer, 422, "invalid-request", f"/{field}")
    assert api.get(job) == job


@pytest.mark.parametrize("field", ["start_at", "timeout", "jitter", "max_retries"])
def test_a_number_with_many_digits_is_no_instant_and_no_count(api, field):
    answer = post(api, body("odd", "1", **{field: EXACT}))
    problem(answer, 422, "invalid-request", f"/{field}")
