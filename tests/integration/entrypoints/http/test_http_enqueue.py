"""POST /api/jobs and /api/jobs/batch: what is made, what stands in the way, and what a repeat is answered."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.integration.entrypoints.http.test_http_api import problem, serving, serving_a_new_database
from tests.support import instant


@pytest.fixture(scope="module")
def api(server):
    with serving_a_new_database(server) as api:
        yield api


class TestOneJob:
    def test_a_new_job_is_answered_201_with_its_place_and_its_etag(self, api):
        answer = api.post_job(job_name="new")
        assert (answer.status_code, answer.headers["content-type"]) == (201, "application/json")
        job = answer.json()
        assert (job["job_name"], job["status"], job["revision"]) == ("new", "Scheduled", 1)
        assert answer.headers["etag"].startswith('"1.')
        assert answer.headers["location"] == f"/api/jobs/{job['id']}"

    def test_its_place_gives_the_same_job_and_etag(self, api):
        made = api.post_job(schedule="@daily", timezone="Asia/Tokyo", payload={"a": [1, None, 2.5]})
        found = api.client.get(made.headers["location"])
        assert found.json() == made.json()
        assert found.headers["etag"] == made.headers["etag"]

    def test_its_place_does_not_hold_the_function_key(self, api):
        answer = api.post_job(params={"code": "a-secret-key"})
        assert answer.status_code == 201
        assert "secret" not in answer.headers["location"]

    def test_what_means_something_else_elsewhere_is_answered_with_warnings_that_are_not_kept(self, api):
        both_days = {"schedule": "0 0 4 1-7 * 0"}
        answer = api.post_job(job_name="warned", **both_days)
        assert answer.status_code == 201
        [warning] = answer.json()["warnings"]
        assert "day_match" in warning
        place = f"/api/jobs/{answer.json()['id']}"
        assert "warnings" not in api.call("GET", place).json()
        assert "warnings" not in api.post_job(job_name="plain", schedule="@daily").json()
        assert "warnings" not in api.post_job(job_name="chosen", day_match="all", **both_days).json()
        assert api.call("PATCH", place, json=both_days).json()["warnings"] == [warning]
        assert "warnings" not in api.call("PATCH", place, json={"payload": {}}).json()
        [past] = api.post_job(job_name="past", schedule="2020-01-01T00:00:00Z").json()["warnings"]
        assert "is past, so that the job is due at once" in past
        chosen = api.call("PATCH", place, json={"day_match": "all"}).json()
        assert (chosen["day_match"], "warnings" in chosen) == ("all", False)
        jobs = [{"handler_name": "Noop", "job_name": f"in a batch {n}", **both_days} for n in range(2)]
        results = api.call("POST", "/api/jobs/batch", json={"jobs": jobs}).json()["results"]
        assert [result["job"]["warnings"] for result in results] == [[warning]] * 2

    def test_all_faults_of_a_job_are_told_at_once(self, api):
        answer = api.post_job(
            handler_name="Send", job_name="wrong", payload={}, schedule="cron(0 10 * * ? *)", timezone="europe/berlin"
        )
        told = {error["pointer"]: error["detail"] for error in answer.json()["errors"]}
        assert set(told) == {"/payload/to", "/schedule", "/timezone"}
        assert "'0 10 * * *'" in told["/schedule"]

    def test_every_option_is_kept(self, api):
        options = {
            "metadata": {"OrderId": 7, "Tenant": "nørth", "Express": True},
            "timezone": "Europe/Berlin",
            "schedule": "0 30 9 * * MON",
            "max_retries": 9,
            "timeout": "PT5M",
            "misfire": {"policy": "catch_up", "max": 3, "grace": "PT2M"},
            "dst": {"gap": "skip", "overlap": "twice"},
            "day_match": "all",
            "start_at": "2027-01-01T00:00:00Z",
            "end_at": "2028-01-01T00:00:00Z",
            "max_runs": 40,
            "jitter": "PT30S",
            "id": str(uuid.uuid4()),
        }
        job = api.enqueue(**options)
        assert {name: job[name] for name in options} == options
        assert job["scheduled_for"] == "2027-01-04T08:30:00Z"
        assert instant(job["next_run_at"]) >= instant(job["scheduled_for"])
        assert api.get(job) == job

    def test_what_is_left_out_is_the_handlers_own(self, api):
        job = api.enqueue(handler_name="Send", payload={"to": "Ann"})
        assert (job["max_retries"], job["timeout"], job["schedule"]) == (7, "PT1M30S", "@once")

    @pytest.mark.parametrize(
        "payload",
        [
            {"huge": int("9" * 4000)},
            {"text": "\U0001f600 \u202e ' \" \\ \x7f"},
            {"": {"a/b": [], "~": {}}},
            {"small": 5e-324, "fraction": 0.1, "minus": -0.5},
        ],
    )
    def test_a_payload_comes_back_as_it_was(self, api, payload):
        made = api.post_job(payload=payload)
        assert made.json()["payload"] == payload
        assert api.get(made.json())["payload"] == payload

    def test_a_payload_may_be_nested_as_deep_as_is_read(self, api):
        body = b'{"handler_name": "Noop", "job_name": "deep", "payload": {"a": ' + b"[" * 62 + b"]" * 62 + b"}}"
        answer = api.call("POST", "/api/jobs", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 201
        assert api.get(answer.json())["payload"] == answer.json()["payload"]

    @pytest.mark.parametrize(
        "content_type", ["APPLICATION/JSON", "application/json; charset=utf-8", "application/x+json"]
    )
    def test_json_may_come_under_each_of_its_types(self, api, content_type):
        answer = api.post_job(headers={"content-type": content_type})
        assert answer.status_code == 201


class TestANameThatIsHeld:
    def test_the_same_request_again_is_refused_and_names_the_holder(self, api):
        holder, count = api.later(job_name="held"), api.count()
        again = problem(api.post_job(job_name="held", schedule="P1D"), 409, "job-name-taken")
        assert again["holder"] == holder["id"]
        assert holder["id"] in again["detail"]
        assert "on_conflict" in again["detail"]
        assert api.count() == count

    def test_a_running_job_holds_its_name_too(self, api):
        with api.running(job_name="running") as holder:
            assert problem(api.post_job(job_name="running"), 409, "job-name-taken")["holder"] == holder["id"]

    @pytest.mark.parametrize(("handler", "status"), [("Noop", "Completed"), ("Fail", "Failed")])
    def test_the_name_is_free_again_once_the_job_has_ended(self, api, handler, status):
        first = api.enqueue(job_name=f"ends {status}", handler_name=handler)
        assert api.run(first)["status"] == status
        second = api.enqueue(job_name=f"ends {status}", handler_name=handler)
        assert second["id"] != first["id"]

    def test_the_existing_job_can_be_asked_for(self, api):
        holder, count = api.later(job_name="existing", payload={"first": True}), api.count()
        answer = api.post_job(job_name="existing", payload={"first": False}, on_conflict="return_existing")
        assert (answer.status_code, answer.json()) == (200, holder)
        assert answer.headers["location"].endswith(holder["id"])
        assert answer.headers["etag"].startswith('"1.')
        assert api.count() == count

    def test_the_existing_job_can_be_replaced(self, api):
        holder = api.later(job_name="replaced")
        answer = api.post_job(job_name="replaced", on_conflict="replace", schedule="P2D")
        assert (answer.status_code, answer.json()["status"]) == (201, "Scheduled")
        assert api.get(holder)["status"] == "Cancelled"
        assert answer.json()["id"] != holder["id"]

    def test_a_running_job_is_not_replaced(self, api):
        with api.running(job_name="busy") as holder:
            answer = api.post_job(job_name="busy", on_conflict="replace")
            assert problem(answer, 409, "job-name-taken")["holder"] == holder["id"]
        assert api.get(holder)["status"] == "Completed"

    def test_a_replacement_that_is_refused_leaves_the_existing_job_as_it_was(self, api):
        holder, other = api.later(job_name="left"), api.later()
        request = {"job_name": "left", "on_conflict": "replace"}
        problem(api.post_job(**request, id=other["id"]), 409, "job-id-taken")
        problem(api.post_job(**request, schedule="0 0 30 2 *"), 422, "invalid-request", "/schedule")
        assert api.get(holder) == holder

    @pytest.mark.parametrize("choice", ["reject", "return_existing", "replace"])
    def test_a_name_that_is_free_is_taken_whatever_should_happen_otherwise(self, api, choice):
        assert api.post_job(on_conflict=choice).status_code == 201

    def test_of_many_at_once_one_gets_the_name(self, api):
        with ThreadPoolExecutor(8) as callers:
            answers = list(callers.map(lambda _: api.post_job(job_name="contended", schedule="P1D"), range(16)))
        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 15
        [made] = [answer.json()["id"] for answer in answers if answer.status_code == 201]
        assert {answer.json()["holder"] for answer in answers if answer.status_code == 409} == {made}

    def test_an_id_is_never_used_twice_even_after_the_job_has_ended(self, api):
        job_id = str(uuid.uuid4())
        job = api.enqueue(id=job_id)
        assert job_id in problem(api.post_job(id=job_id), 409, "job-id-taken")["detail"]
        api.run(job)
        problem(api.post_job(id=job_id), 409, "job-id-taken")


def wire(answer):
    """All of an answer that the app decides."""
    return answer.status_code, answer.headers["etag"], answer.headers["location"], answer.content


class TestIdempotencyKeys:
    def test_a_repeat_is_given_the_first_answer_byte_for_byte(self, api):
        request = {"job_name": "once", "headers": {"idempotency-key": "k-repeat"}}
        first, count = api.post_job(**request), api.count()
        assert first.status_code == 201
        assert "idempotency-replayed" not in first.headers
        again = api.post_job(**request)
        assert (wire(again), again.headers["idempotency-replayed"]) == (wire(first), "true")
        api.run(first.json())
        assert wire(api.post_job(**request)) == wire(first)
        assert api.count() == count

    def test_the_key_with_another_body_is_refused(self, api):
        headers = {"idempotency-key": "k-other"}
        assert api.post_job(job_name="first body", headers=headers).status_code == 201
        count = api.count()
        problem(api.post_job(job_name="second body", headers=headers), 422, "idempotency-key-reused")
        assert api.count() == count

    def test_many_at_once_make_one_job_and_are_all_given_its_answer(self, api):
        request = {"job_name": "many", "schedule": "P1D", "headers": {"idempotency-key": "k-many"}}
        count = api.count()
        with ThreadPoolExecutor(8) as callers:
            answers = list(callers.map(lambda _: api.post_job(**request), range(12)))
        assert {wire(answer) for answer in answers} == {wire(answers[0])}
        assert answers[0].status_code == 201
        assert api.count() == count + 1

    def test_more_at_once_than_there_are_connections_are_served_by_a_process_that_has_just_started(self, database_url):
        request = {"job_name": "cold", "schedule": "P1D", "headers": {"idempotency-key": "k-cold"}}
        with serving(database_url, database_pool_size=4) as api, ThreadPoolExecutor(6) as callers:
            answers = list(callers.map(lambda _: api.post_job(**request), range(6)))
        assert [answer.status_code for answer in answers] == [201] * 6

    def test_a_request_that_was_refused_has_not_used_its_key_up(self, api):
        headers = {"idempotency-key": "k-refused"}
        problem(api.post_job(job_name="mended", handler_name="Nobody", headers=headers), 422, "invalid-request")
        holder = api.later(job_name="mended")
        problem(api.post_job(job_name="mended", headers=headers), 409, "job-name-taken")
        api.call("DELETE", f"/api/jobs/{holder['id']}")
        assert api.post_job(job_name="mended", headers=headers).status_code == 201

    def test_the_existing_job_that_was_given_is_given_again(self, api):
        holder = api.later(job_name="kept")
        request = {"job_name": "kept", "on_conflict": "return_existing", "headers": {"idempotency-key": "k-kept"}}
        first = api.post_job(**request)
        assert (first.status_code, first.json()["id"]) == (200, holder["id"])
        api.call("DELETE", f"/api/jobs/{holder['id']}")
        assert wire(api.post_job(**request)) == wire(first)

    @pytest.mark.parametrize("key", ["", "k" * 201, "a\tb"])
    def test_a_key_that_is_none_is_refused(self, api, key):
        count = api.count()
        answer = api.post_job(headers={"idempotency-key": key.encode()})
        assert "Idempotency-Key" in problem(answer, 422, "invalid-request")["detail"]
        assert api.count() == count


class TestBatches:
    @staticmethod
    def post(api, *jobs, **options) -> httpx.Response:
        return api.call("POST", "/api/jobs/batch", json={"jobs": jobs}, **options)

    @staticmethod
    def item(name, **fields):
        return {"handler_name": "Noop", "job_name": name} | fields

    def test_each_job_has_a_result_of_its_own_in_the_order_given(self, api):
        answer = self.post(api, *(self.item(f"batch {n}", payload={"n": n}, schedule="P1D") for n in range(5)))
        assert answer.status_code == 200
        results = answer.json()["results"]
        assert [result["status"] for result in results] == [201] * 5
        assert [result["job"]["payload"]["n"] for result in results] == list(range(5))
        assert [api.get(result["job"]) for result in results] == [result["job"] for result in results]

    def test_what_is_wrong_with_one_does_not_stop_the_others(self, api):
        holder, count = api.later(job_name="batch holder"), api.count()
        answer = self.post(
            api,
            self.item("good one"),
            self.item("bad schedule", schedule="61 * * * *"),
            self.item("bad handler", handler_name="Nobody"),
            self.item("bad payload", handler_name="Send", payload={"too": "Ann"}),
            self.item("bad shape", colour="red"),
            "no object",
            self.item("batch holder"),
            self.item("batch holder", on_conflict="return_existing"),
            self.item("good two"),
        )
        results = answer.json()["results"]
        assert answer.text.startswith('{"counts":{"created": 2, "existing": 1, "refused": 6},"results":[')
        assert [result["status"] for result in results] == [201, 422, 422, 422, 422, 422, 409, 200, 201]
        assert api.count() == count + 2
        places = [[fault["pointer"] for fault in result["problem"]["errors"]] for result in results[1:6]]
        assert places == [
            ["/jobs/1/schedule"],
            ["/jobs/2/handler_name"],
            ["/jobs/3/payload/to", "/jobs/3/payload/too"],
            ["/jobs/4/colour"],
            ["/jobs/5"],
        ]
        assert "known here are to, copies" in results[3]["problem"]["errors"][1]["detail"]
        assert results[6]["problem"]["holder"] == results[7]["job"]["id"] == holder["id"]

    def test_of_several_that_want_one_name_the_first_gets_it(self, api):
        jobs = [self.item(f"twin {n % 3}", schedule=f"P{1 + n % 2}D", payload={"n": n}) for n in range(30)]
        results = self.post(api, *jobs).json()["results"]
        assert [result["status"] for result in results] == [201] * 3 + [409] * 27
        holders = [result["job"]["id"] for result in results[:3]]
        assert [result["problem"]["holder"] for result in results[3:]] == holders * 9

    def test_a_batch_holds_up_to_a_thousand_jobs(self, api):
        count = api.count()
        jobs = [self.item(f"of a thousand {n}") for n in range(1001)]
        assert "1000" in problem(self.post(api, *jobs), 413, "too-large")["detail"]
        assert api.count() == count
        assert {result["status"] for result in self.post(api, *jobs[1:]).json()["results"]} == {201}
        assert api.count() == count + 1000

    def test_a_job_in_a_batch_may_be_no_larger_than_one_alone(self, api):
        large = self.item("large", payload={"text": "x" * 200_000})
        too_large = self.item("too large", payload={"text": "x" * 300_000})
        results = self.post(api, large, too_large).json()["results"]
        assert [result["status"] for result in results] == [201, 413]
        assert results[1]["problem"]["type"] == "urn:jobs:problem:too-large"

    def test_a_job_in_a_batch_is_measured_as_it_was_sent(self, api):
        """Not as it would be written anew: with other white space, escapes and numbers."""
        start = '{"handler_name":"Noop","job_name":"as sent %d","payload":{"a":['
        numbers = start % 1 + ",".join(["1.50"] * 50_000) + "]}}"
        escapes = start % 2 + ",".join(["1"] * 100_000) + r',"\u00e9\u00e9"]}}'
        just = start % 3 + '"' + "x" * (256 * 1024 - len(start % 3) - 5) + '"]}}'
        over = (start % 4 + "1" + " " * (256 * 1024 - len(start % 4) - 3)) + "]}}"
        body = f' {{ "\u006aobs" :\n[ {numbers} ,{escapes},{just}\t,\n{over} ] }} '
        sizes = [len(each) for each in (numbers, escapes, just, over)]
        assert (max(sizes[:3]), sizes[3]) == (256 * 1024, 256 * 1024 + 1)
        answer = api.call("POST", "/api/jobs/batch", content=body, headers={"content-type": "application/json"})
        assert [result["status"] for result in answer.json()["results"]] == [201, 201, 201, 413]

    def test_a_batch_of_more_than_four_mebibytes_is_not_read(self, api):
        jobs = [self.item(f"heavy {n}", payload={"text": "x" * 200_000}) for n in range(22)]
        problem(self.post(api, *jobs), 413, "too-large")

    @pytest.mark.parametrize(
        "body", ["{}", '{"jobs": []}', '{"jobs": {}}', '{"jobs": [{}], "a": 1}', "[]", "null", "1"]
    )
    def test_a_body_that_is_no_batch_is_refused(self, api, body):
        answer = api.call("POST", "/api/jobs/batch", content=body, headers={"content-type": "application/json"})
        assert '{"jobs": […]}' in problem(answer, 422, "invalid-request", "/jobs")["detail"]

    def test_a_string_that_cannot_be_stored_is_pointed_at_within_the_batch(self, api):
        count = api.count()
        answer = self.post(api, self.item("fine"), self.item("nul", payload={"text": "a\x00b"}))
        problem(answer, 422, "invalid-request", "/jobs/1/payload/text")
        assert api.count() == count

    def test_an_idempotency_key_is_refused_rather_than_passed_over(self, api):
        answer = self.post(api, self.item("keyed batch"), headers={"idempotency-key": "k"})
        assert "give each job an id" in problem(answer, 422, "invalid-request")["detail"]
