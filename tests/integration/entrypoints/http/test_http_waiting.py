"""Waiting for the end of a job, asking only for what has changed, and searching by a body."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from jobs.adapters.postgres.connection.database import Database
from jobs.bootstrap.database import database_options
from jobs.core.errors import StoreUnavailable
from jobs.entrypoints.http.exchange import LONGEST_WAIT_SECONDS
from jobs.settings import Settings
from tests.integration.entrypoints.http.test_http_api import problem, serving_a_new_database
from tests.support import until

WAIT = {"prefer": "wait=20"}
MOMENT = {"prefer": "wait=0"}


@pytest.fixture(scope="module")
def api(server):
    with serving_a_new_database(server) as api:
        yield api


@pytest.fixture
def in_background():
    with ThreadPoolExecutor(60) as threads:
        yield threads.submit


def waiting(api, count=1):
    """Wait until so many callers wait."""
    until(lambda: len(api.runtime.ends) == count)


class TestWaiting:
    def test_an_enqueue_is_answered_once_the_job_has_ended(self, api, in_background):
        call = in_background(api.post_job, job_name="awaited", headers=WAIT)
        waiting(api)
        [job] = api.call("GET", "/api/jobs", params={"job_name": "awaited"}).json()["jobs"]
        api.run(job)
        answer = call.result()
        assert (answer.status_code, answer.json()["status"]) == (201, "Completed")
        assert answer.headers["preference-applied"] == "wait=20"
        assert answer.headers["location"] == f"/api/jobs/{job['id']}"
        assert "retry-after" not in answer.headers

    def test_an_enqueue_whose_job_goes_on_is_answered_202_with_when_to_try_again(self, api):
        answer = api.post_job(headers=MOMENT, schedule="P1D")
        assert (answer.status_code, answer.json()["status"]) == (202, "Scheduled")
        assert answer.headers["location"] == f"/api/jobs/{answer.json()['id']}"
        assert answer.headers["preference-applied"] == "wait=0"
        assert int(answer.headers["retry-after"]) > 0

    def test_a_read_is_answered_once_the_job_has_ended(self, api, in_background):
        job = api.enqueue()
        call = in_background(api.call, "GET", f"/api/jobs/{job['id']}", headers=WAIT)
        waiting(api)
        api.run(job)
        answer = call.result()
        assert (answer.status_code, answer.json()["status"]) == (200, "Completed")
        assert answer.headers["preference-applied"] == "wait=20"

    def test_a_read_of_a_job_that_goes_on_is_answered_with_when_to_try_again(self, api):
        job = api.later()
        answer = api.call("GET", f"/api/jobs/{job['id']}", headers=MOMENT)
        assert (answer.status_code, answer.json()) == (200, job)
        assert int(answer.headers["retry-after"]) > 0

    def test_a_read_of_a_job_that_has_ended_waits_for_nothing(self, api):
        job = api.run(api.enqueue())
        answer = api.call("GET", f"/api/jobs/{job['id']}", headers=WAIT)
        assert (answer.status_code, answer.json()) == (200, job)
        assert "preference-applied" not in answer.headers

    def test_a_repeat_under_an_idempotency_key_waits_for_the_same_job(self, api, in_background):
        body = {"job_name": "once", "headers": WAIT | {"idempotency-key": "waits"}}
        first = in_background(api.post_job, **body)
        waiting(api)
        second = in_background(api.post_job, **body)
        waiting(api, 2)
        [job] = api.call("GET", "/api/jobs", params={"job_name": "once"}).json()["jobs"]
        api.run(job)
        answers = [first.result(), second.result()]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert {answer.json()["id"] for answer in answers} == {job["id"]}
        assert sorted("idempotency-replayed" in answer.headers for answer in answers) == [False, True]

    def test_a_refused_enqueue_does_not_wait(self, api):
        problem(api.post_job(headers=WAIT, handler_name="Unknown"), 422, "invalid-request")

    @pytest.mark.parametrize(
        "preference", ["wait", "wait=", "wait=-1", "wait=1.5", "wait=soon", "respond-async", "x=1"]
    )
    def test_what_is_no_wait_is_not_heeded(self, api, preference):
        answer = api.post_job(headers={"prefer": preference}, schedule="P1D")
        assert answer.status_code == 201
        assert "preference-applied" not in answer.headers

    @pytest.mark.parametrize(
        ("preference", "applied"),
        [("wait=999999", LONGEST_WAIT_SECONDS), ("respond-async, wait=7", 7), ('Wait = "3"; x=y', 3)],
    )
    def test_a_wait_is_read_however_it_is_written_and_bounded(self, api, in_background, preference, applied):
        job = api.enqueue()
        call = in_background(api.call, "GET", f"/api/jobs/{job['id']}", headers={"prefer": preference})
        waiting(api)
        api.run(job)
        assert call.result().headers["preference-applied"] == f"wait={applied}"

    def test_fifty_callers_who_wait_hold_up_no_other_call(self, api, in_background):
        job = api.enqueue()
        calls = [in_background(api.call, "GET", f"/api/jobs/{job['id']}", headers=WAIT) for _ in range(50)]
        waiting(api, 50)
        for _ in range(40):  # more than there are threads, were each who waits to hold one
            api.later()
        assert len(api.runtime.ends) == 50
        api.run(job)
        assert {call.result().json()["status"] for call in calls} == {"Completed"}

    def test_beyond_the_bound_a_call_is_answered_at_once_and_says_that_it_did_not_wait(self, api, monkeypatch):
        monkeypatch.setattr(api.runtime.ends, "_most", 0)
        answer = api.post_job(headers=WAIT, schedule="P1D")
        assert answer.status_code == 202
        assert "preference-applied" not in answer.headers
        assert int(answer.headers["retry-after"]) > 0

    def test_an_enqueue_is_no_failure_where_the_database_goes_away_during_the_wait(self, api, monkeypatch):
        def away(_job_id):
            raise StoreUnavailable("away")

        monkeypatch.setattr(api.runtime.service, "get", away)
        answer = api.post_job(headers=MOMENT, schedule="P1D")
        assert answer.status_code == 202
        assert answer.json()["status"] == "Scheduled"


class TestNotModified:
    @pytest.mark.parametrize("path", ["/api/jobs", "/api/stats", "/api/handlers", "/api/openapi.json", "/api/docs"])
    def test_what_has_not_changed_is_answered_304_without_a_body(self, api, path, monkeypatch):
        still = api.runtime.housekeeping.stats()
        monkeypatch.setattr(api.runtime.housekeeping, "stats", lambda: still)
        first = api.call("GET", path)
        again = api.call("GET", path, headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])

    def test_a_job_that_has_changed_is_answered_anew(self, api):
        job = api.later()
        path = f"/api/jobs/{job['id']}"
        tag = api.call("GET", path).headers["etag"]
        assert api.call("GET", path, headers={"if-none-match": f'W/"x", W/{tag}'}).status_code == 304
        api.command(job, "pause")
        assert api.call("GET", path, headers={"if-none-match": tag}).json()["paused"]

    def test_progress_which_has_no_revision_changes_the_tag_of_a_job_and_not_what_if_match_compares(self, api):
        with api.running() as job:
            path = f"/api/jobs/{job['id']}"
            tag = api.call("GET", path).headers["etag"]
            _report_progress(api, job)
            changed = api.call("GET", path, headers={"if-none-match": tag})
            assert (changed.status_code, changed.json()["progress"]) == (200, 0.5)
            assert changed.headers["etag"] != tag
            assert api.command(job, "pause", headers={"if-match": tag}).status_code == 200

    def test_a_write_is_no_read_and_takes_no_notice(self, api):
        job = api.later()
        assert api.command(job, "pause", headers={"if-none-match": "*"}).status_code == 200


def _report_progress(api, job):
    database = Database(database_options(Settings(database_url=api.url)))
    with database.engine.begin() as connection:
        connection.execute(sa.text("update jobs.jobs set progress = 0.5 where id = :id"), {"id": job["id"]})
    database.close()


class TestSearch:
    @pytest.fixture
    def group(self):
        return uuid.uuid4().hex

    def search(self, api, **body):
        answer = api.call("POST", "/api/jobs/search", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def names(self, api, **body):
        return [job["job_name"] for job in self.search(api, **body)["jobs"]]

    def test_values_are_found_by_their_exact_type_and_objects_by_a_part_of_them(self, api, group):
        text = api.later(metadata={"g": group, "id": "7", "of": {"country": "DE", "city": "Köln, Süd"}})
        number = api.later(metadata={"g": group, "id": 7, "of": {"country": "FR"}})
        mark = {"g": [group]}
        assert self.names(api, metadata=mark | {"id": ["7"]}) == [text["job_name"]]
        assert self.names(api, metadata=mark | {"id": [7]}) == [number["job_name"]]
        assert self.names(api, metadata=mark | {"of": [{"city": "Köln, Süd"}]}) == [text["job_name"]]
        assert self.names(api, metadata=mark | {"id": [7, "7"]}) == [number["job_name"], text["job_name"]]

    def test_more_alternatives_than_a_query_string_takes_can_be_given(self, api, group):
        made = [api.later(job_name=f"{group} {place}") for place in range(3)]
        names = [job["job_name"] for job in made] + [f"{group} none {place}" for place in range(500)]
        assert self.names(api, job_name=names) == [job["job_name"] for job in made[::-1]]

    def test_the_other_filters_are_those_of_the_list(self, api, group):
        job = api.later(job_name=f"{group} a", metadata={"g": group})
        api.command(job, "pause")
        assert self.names(api, metadata={"g": [group]}, paused=True, status=["Scheduled"]) == [job["job_name"]]
        assert self.names(api, metadata={"g": [group]}, paused=False) == []
        assert self.names(api, job_name_prefix=[f"{group} "], due_after="2000-01-01T00:00:00Z") == [job["job_name"]]

    def test_payloads_are_left_out_unless_asked_for(self, api, group):
        api.later(job_name=group, payload={"a": 1})
        [bare] = self.search(api, job_name=group)["jobs"]
        [full] = self.search(api, job_name=group, payloads=True)["jobs"]
        assert "payload" not in bare
        assert full["payload"] == {"a": 1}

    def test_pages_go_on_by_the_cursor(self, api, group):
        made = [api.later(metadata={"g": group})["job_name"] for _ in range(5)]
        body = {"metadata": {"g": [group]}, "limit": 2}
        found, cursor = [], None
        while True:
            page = self.search(api, **body, **({"cursor": cursor} if cursor else {}))
            found += [job["job_name"] for job in page["jobs"]]
            if (cursor := page["cursor"]) is None:
                break
        assert found == made[::-1]

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"statuses": []}, "/statuses"),
            ({"status": ["Done"]}, "/status/0"),
            ({"limit": 0}, "/limit"),
            ({"cursor": "x"}, "/cursor"),
            ({"parent_id": ["x"]}, "/parent_id/0"),
            ({"created_after": "yesterday"}, "/created_after"),
        ],
    )
    def test_what_is_no_search_is_refused(self, api, body, pointer):
        problem(api.call("POST", "/api/jobs/search", json=body), 422, "invalid-request", pointer)
