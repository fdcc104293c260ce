"""What can be asked: jobs, one job, its history, fire times to come, handlers, statistics."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import BaseModel

from jobs.core.handlers.registry import HandlerRegistry
from jobs.entrypoints.devhost.host.host import DevHost
from jobs.entrypoints.functions import build_app
from jobs.settings import Settings
from tests.integration.entrypoints.http.test_http_api import ID, NEVER, problem, serving, serving_a_new_database
from tests.support import Anything, instant


@pytest.fixture(scope="module")
def api(server):
    with serving_a_new_database(server) as api:
        yield api


@pytest.fixture
def group():
    """A word in the metadata that keeps one test's jobs apart."""
    return uuid.uuid4().hex


def listed(api, **params):
    answer = api.call("GET", "/api/jobs", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def names(api, **params):
    return [job["job_name"] for job in listed(api, **params)["jobs"]]


def without_payload(job):
    return {name: value for name, value in job.items() if name != "payload"}


def cursor(moment, job_id):
    """A cursor as the API writes them, of a place that it may never have given."""
    return base64.urlsafe_b64encode(f"{moment} {job_id}".encode()).decode()


class TestList:
    def test_jobs_come_newest_first_each_as_a_read_gives_it(self, api, group):
        jobs = [api.later(metadata={"g": group}) for _ in range(3)]
        answer = listed(api, include="payload", **{"metadata.g": group})
        assert answer == {"jobs": jobs[::-1], "next": None}

    def test_one_or_several_states_can_be_asked_for(self, api, group):
        waiting, done, failed = (
            api.enqueue(handler_name=handler, metadata={"g": group}) for handler in ("Noop", "Noop", "Fail")
        )
        api.run(done)
        api.run(failed)
        key = {"metadata.g": group}
        assert names(api, status="Completed", **key) == [done["job_name"]]
        assert names(api, status="Completed,Failed", **key) == [failed["job_name"], done["job_name"]]
        assert names(api, status="Scheduled, Failed", **key) == [failed["job_name"], waiting["job_name"]]
        assert names(api, status=["Scheduled", "Failed"], **key) == [failed["job_name"], waiting["job_name"]]
        assert names(api, status="Running", **key) == []

    def test_jobs_can_be_found_by_handler_and_by_name(self, api, group):
        first = api.later(job_name=f"näme & {group}", handler_name="Send", payload={"to": "Ann"}, metadata={"g": group})
        api.later(metadata={"g": group})
        assert names(api, handler_name="Send", **{"metadata.g": group}) == [first["job_name"]]
        assert names(api, job_name=first["job_name"]) == [first["job_name"]]
        assert names(api, job_name=first["job_name"], handler_name="Noop") == []

    @pytest.mark.parametrize(
        ("stored", "asked"),
        [
            (7, "7"),
            ("7", "7"),
            (7, "7.0"),
            (-0.5, "-0.5"),
            (True, "true"),
            ("true", "true"),
            (None, "null"),
            ("a b/ü&=%", "a b/ü&=%"),
            ('"quoted"', '"quoted"'),
            ("text", '"text"'),
            (int("9" * 400), "9" * 400),
            ("1e400", "1e400"),
            ("NaN", "NaN"),
            ("[1]", "[1]"),
        ],
    )
    def test_metadata_is_found_as_text_number_and_boolean(self, api, group, stored, asked):
        job = api.later(metadata={"g": group, "Key": stored})
        assert names(api, **{"metadata.g": group, "metadata.Key": asked}) == [job["job_name"]]

    @pytest.mark.parametrize(
        ("stored", "asked"), [(7, "8"), (True, "1"), ("a", "A"), (None, "0"), ([1], "1"), ({}, "{}")]
    )
    def test_other_metadata_is_not_found(self, api, group, stored, asked):
        api.later(metadata={"g": group, "Key": stored})
        assert names(api, **{"metadata.g": group, "metadata.Key": asked}) == []
        assert names(api, **{"metadata.g": group, "metadata.key": asked}) == []

    def test_several_metadata_must_all_hold_up_to_eight(self, api, group):
        keys = {f"k{n}": n for n in range(7)}
        job = api.later(metadata={"g": group} | keys)
        asked = {"metadata.g": group} | {f"metadata.{key}": str(value) for key, value in keys.items()}
        assert names(api, **asked) == [job["job_name"]]
        assert names(api, **asked | {"metadata.k6": "5"}) == []
        answer = api.call("GET", "/api/jobs", params=asked | {"metadata.k9": "9"})
        problem(answer, 422, "invalid-request", "/metadata")

    def test_jobs_due_before_an_instant_are_found(self, api, group):
        soon, _, done = (api.enqueue(schedule=each, metadata={"g": group}) for each in ("PT1H", "P3D", "@once"))
        api.run(done)
        for bound in (datetime.now(UTC) + timedelta(days=1), datetime.now(UTC).astimezone() + timedelta(days=1)):
            assert names(api, due_before=bound.isoformat(), **{"metadata.g": group}) == [soon["job_name"]]

    def test_following_the_next_links_gives_every_job_once_and_never_the_function_key(self, api, group):
        jobs = [api.later(metadata={"g": group}) for _ in range(7)]
        found, path = [], f"/api/jobs?limit=3&metadata.g={group}&Code=secret&clientId=me&status=Scheduled"
        sizes = []
        while path:
            page = api.call("GET", path).json()
            sizes.append(len(page["jobs"]))
            found += page["jobs"]
            path = page["next"]
            if path:
                assert parse_qs(urlsplit(path).query).keys() == {"limit", "metadata.g", "status", "cursor"}
        assert found == [without_payload(job) for job in jobs[::-1]]
        assert sizes == [3, 3, 1]

    def test_a_page_that_is_just_full_has_no_next(self, api, group):
        for _ in range(2):
            api.later(metadata={"g": group})
        assert listed(api, limit=2, **{"metadata.g": group})["next"] is None

    def test_jobs_of_one_batch_are_told_apart_by_the_cursor(self, api, group):
        jobs = [{"handler_name": "Noop", "job_name": f"{group} {n}", "metadata": {"g": group}} for n in range(5)]
        api.call("POST", "/api/jobs/batch", json={"jobs": jobs})
        page = listed(api, limit=2, **{"metadata.g": group})
        found = page["jobs"]
        while page["next"]:
            page = api.call("GET", page["next"]).json()
            found += page["jobs"]
        assert sorted(job["job_name"] for job in found) == [job["job_name"] for job in jobs]

    def test_a_page_has_fifty_jobs_unless_asked_otherwise_and_at_most_500(self, api, group):
        jobs = [{"handler_name": "Noop", "job_name": f"{group} {n}", "metadata": {"g": group}} for n in range(51)]
        api.call("POST", "/api/jobs/batch", json={"jobs": jobs})
        assert len(listed(api, **{"metadata.g": group})["jobs"]) == 50
        assert len(listed(api, limit=500, **{"metadata.g": group})["jobs"]) == 51

    @pytest.mark.parametrize(
        ("params", "pointer", "words"),
        [
            ({"limit": "0"}, "/limit", "1"),
            ({"limit": "501"}, "/limit", "500"),
            ({"limit": "many"}, "/limit", "integer"),
            ({"limit": "9" * 5000}, "/limit", ""),
            ({"limit": ["1", "2"]}, "/limit", "integer"),
            ({"status": "Done"}, "/status", "there are Scheduled, Running, Completed, Failed, Cancelled"),
            ({"status": "Scheduled,completed"}, "/status", "is 'Completed' meant?"),
            ({"due_before": "2026-01-01T00:00:00"}, "/due_before", "offset"),
            ({"due_before": "tomorrow"}, "/due_before", "write date, time and offset"),
            ({"cursor": "???"}, "/cursor", "next link"),
            ({"cursor": "ü"}, "/cursor", "next link"),
            ({"cursor": cursor("0001-01-01T00:00:00+10:00", ID)}, "/cursor", "next link"),
            ({"cursor": cursor("9999-12-31T23:00:00-23:59", ID)}, "/cursor", "next link"),
            ({"cursor": "MjAyNi0wMS0wMSBub3QtYW4taWQ"}, "/cursor", "next link"),
            ({"color": "red"}, "/color", "metadata.KEY"),
            ({"metadata": "x"}, "/metadata", "metadata.KEY"),
            ({"job_name": "a\x00b"}, "/job_name", "NUL"),
            ({"metadata.a": "x\x00"}, "/metadata.a", "NUL"),
        ],
    )
    def test_a_question_that_cannot_be_read_is_refused(self, api, params, pointer, words):
        body = problem(api.call("GET", "/api/jobs", params=params), 422, "invalid-request", pointer)
        assert words in body["detail"]

    @pytest.mark.parametrize(
        "moment", ["2026-01-01T00:00:00+23:59", "2026-01-01T00:00:00-16:30:15", "9999-12-31", "0001-01-01T00:00:00Z"]
    )
    def test_a_cursor_may_name_its_instant_in_any_offset(self, api, moment):
        assert api.call("GET", "/api/jobs", params={"cursor": cursor(moment, ID)}).status_code == 200

    @pytest.mark.parametrize(
        "value", ['"\\u0000"', '"\\ud800"', "1e400", "-Infinity", "[" * 5000, "9" * 4500, '{"a": 1}']
    )
    def test_metadata_that_no_job_can_have_finds_none(self, api, group, value):
        assert listed(api, **{"metadata.g": group, "metadata.Key": value}) == {"jobs": [], "next": None}

    def test_a_plus_that_was_not_escaped_in_an_instant_is_read_as_it_was_meant(self, api, group):
        job = api.enqueue(schedule="2098-12-01T05:59:59Z", metadata={"g": group})
        for bound, found in (
            ("2098-12-01T09:00:00+03:00", [without_payload(job)]),
            ("2098-12-01T09:00:00.5+04:00", []),
        ):
            assert api.call("GET", f"/api/jobs?due_before={bound}&metadata.g={group}").json()["jobs"] == found


class TestOneJob:
    def test_a_job_comes_with_its_etag(self, api):
        job = api.later()
        answer = api.call("GET", f"/api/jobs/{job['id']}")
        assert (answer.status_code, answer.json()) == (200, job)
        assert answer.headers["etag"].startswith('"1.')

    @pytest.mark.parametrize("path", ["", "/attempts"])
    def test_an_unknown_job_is_answered_404(self, api, path):
        assert ID in problem(api.call("GET", f"/api/jobs/{ID}{path}"), 404, "job-not-found")["detail"]

    @pytest.mark.parametrize("word", ["not-an-id", "1", f"{ID}0", ID[:-1], "%7f", "urn:uuid:" + ID])
    def test_what_is_no_id_leads_nowhere(self, api, word):
        assert api.call("GET", f"/api/jobs/{word}").status_code == 404
        assert api.call("GET", f"/api/jobs/{word}/attempts").status_code == 404


class TestAttempts:
    def test_a_job_that_never_ran_has_no_history(self, api):
        job = api.later()
        assert api.call("GET", f"/api/jobs/{job['id']}/attempts").json() == {"attempts": [], "next": None}

    def test_the_history_has_each_attempt_the_newest_first(self, api):
        job = api.enqueue(handler_name="Fail", max_retries=1)
        api.run(job)
        api.command(job, "run")
        assert api.run(job)["status"] == "Failed"
        last, first = api.call("GET", f"/api/jobs/{job['id']}/attempts").json()["attempts"]
        assert (first["run"], first["attempt"], first["outcome"]) == (1, 1, "Failed")
        assert (last["run"], last["attempt"], last["outcome"]) == (1, 2, "Failed")
        assert "LookupError: the address is unknown" in last["error"]
        assert last["traceback"].startswith("Traceback (most recent call last):")
        assert last["traceback"].endswith("LookupError: the address is unknown")
        assert instant(first["started_at"]) <= instant(first["finished_at"]) <= instant(last["started_at"])
        assert first["worker"]


class TestPreview:
    @staticmethod
    def ask(api, **fields):
        return api.call("POST", "/api/schedules/preview", json=fields)

    def test_the_next_runs_come_in_utc_and_in_local_time_with_the_schedule_in_words(self, api):
        answer = self.ask(api, schedule="30 9 * * MON", timezone="Europe/Berlin", after="2026-07-01T00:00:00Z", count=2)
        assert answer.status_code == 200
        body = answer.json()
        assert body["kind"] == "recurring"
        assert body["description"] == "At 09:30, only on Monday, in Europe/Berlin"
        assert body["runs"] == [
            {"at": "2026-07-06T07:30:00Z", "local": "2026-07-06T09:30:00+02:00", "note": None},
            {"at": "2026-07-13T07:30:00Z", "local": "2026-07-13T09:30:00+02:00", "note": None},
        ]

    def test_a_skipped_local_time_is_marked_as_a_gap(self, api):
        request = {"schedule": "30 2 * * *", "timezone": "Europe/Berlin", "after": "2026-03-28T12:00:00Z", "count": 2}
        gap, following = self.ask(api, **request).json()["runs"]
        assert gap == {"at": "2026-03-29T01:00:00Z", "local": "2026-03-29T03:00:00+02:00", "note": "gap"}
        assert following["note"] is None
        [first, *_] = self.ask(api, **request, dst={"gap": "skip"}).json()["runs"]
        assert first["at"] == "2026-03-30T00:30:00Z"

    def test_a_local_time_that_comes_twice_is_marked_as_an_overlap(self, api):
        request = {"schedule": "30 2 * * *", "timezone": "Europe/Berlin", "after": "2026-10-24T12:00:00Z", "count": 2}
        once = self.ask(api, **request).json()["runs"]
        assert [(run["at"], run["note"]) for run in once] == [
            ("2026-10-25T00:30:00Z", "overlap"),
            ("2026-10-26T01:30:00Z", None),
        ]
        twice = self.ask(api, **request, dst={"overlap": "twice"}).json()["runs"]
        assert [(run["at"], run["note"]) for run in twice] == [
            ("2026-10-25T00:30:00Z", "overlap"),
            ("2026-10-25T01:30:00Z", "overlap"),
        ]

    @pytest.mark.parametrize(
        ("schedule", "kind", "at"),
        [
            ("@once", "one-time", "2026-07-01T00:00:00Z"),
            ("PT90M", "one-time", "2026-07-01T01:30:00Z"),
            ("2026-12-01T09:00:00+03:00", "one-time", "2026-12-01T06:00:00Z"),
            ("@every 1h30m", "recurring", "2026-07-01T01:30:00Z"),
            ("@yearly", "recurring", "2027-01-01T00:00:00Z"),
            ("15 30 9 * * *", "recurring", "2026-07-01T09:30:15Z"),
            ("0 0 29 2 *", "recurring", "2028-02-29T00:00:00Z"),
        ],
    )
    def test_every_form_of_schedule_can_be_previewed(self, api, schedule, kind, at):
        body = self.ask(api, schedule=schedule, after="2026-07-01T02:00:00+02:00").json()
        assert (body["kind"], body["runs"][0]["at"]) == (kind, at)
        assert len(body["runs"]) == (5 if kind == "recurring" else 1)

    def test_it_begins_now_unless_told_otherwise_and_gives_up_to_a_hundred(self, api):
        runs = self.ask(api, schedule="* * * * * *", count=100).json()["runs"]
        assert len(runs) == 100
        assert abs(datetime.fromisoformat(runs[0]["at"]) - datetime.now(UTC)) < timedelta(seconds=30)

    @pytest.mark.parametrize(
        ("fields", "pointer"),
        [
            ({"schedule": "not a schedule at all"}, "/schedule"),
            ({"schedule": "0 0 30 2 *"}, "/schedule"),
            ({"schedule": "* * * * * * *"}, "/schedule"),
            ({"schedule": "@every 10ms"}, "/schedule"),
            ({"schedule": "R R * * *"}, "/schedule"),
            ({"schedule": "*" * 200}, "/schedule"),
            ({"schedule": "\u0660 0 * * *"}, "/schedule"),
            ({"schedule": "2026-12-01T09:00:00"}, "/schedule"),
            ({"schedule": None}, "/schedule"),
            ({}, "/schedule"),
            ({"schedule": "@daily", "timezone": "Nowhere/Land"}, "/timezone"),
            ({"schedule": "@daily", "timezone": "../../etc/passwd"}, "/timezone"),
            ({"schedule": "@daily", "count": 0}, "/count"),
            ({"schedule": "@daily", "count": 101}, "/count"),
            ({"schedule": "@daily", "after": "2026-12-01T09:00:00"}, "/after"),
            ({"schedule": "@daily", "dst": {"gap": "ignore"}}, "/dst/gap"),
            ({"schedule": "@daily", "day_match": "either"}, "/day_match"),
            ({"schedule": "@daily", "max_runs": 0}, "/max_runs"),
            ({"schedule": "@daily", "start_at": "2026-12-01T09:00:00"}, "/start_at"),
            ({"schedule": "PT1H", "max_runs": 1}, "/max_runs"),
            ({"schedule": "@daily", "start_at": "2026-12-01T09:00:00Z", "end_at": "2026-12-01T09:00:00Z"}, "/end_at"),
            ({"schedule": "@daily", "dst": {"gaps": "skip"}}, "/dst/gaps"),
            ({"schedule": "@daily", "cron": "x"}, "/cron"),
            ({"schedule": "P1D", "after": "9999-12-31T23:00:00Z"}, "/after"),
            ({"schedule": "@every 1h", "after": "0001-01-01T00:00:00Z", "timezone": "America/New_York"}, "/after"),
            ({"schedule": "@once", "after": "9999-12-31T23:00:00Z", "timezone": "Asia/Tokyo"}, "/after"),
        ],
    )
    def test_what_cannot_be_previewed_is_refused(self, api, fields, pointer):
        problem(self.ask(api, **fields), 422, "invalid-request", pointer)

    def test_it_takes_the_bounds_of_a_job_and_every_counts_from_start_at(self, api):
        request = {"schedule": "@every 1h", "start_at": "2026-06-01T09:00:00Z", "after": "2026-06-01T08:17:23Z"}
        body = self.ask(api, **request).json()
        assert [run["at"][11:16] for run in body["runs"]] == ["09:00", "10:00", "11:00", "12:00", "13:00"]
        assert body["description"] == "Every 1 hour, counted from 2026-06-01T09:00:00Z"
        bounded = self.ask(api, **request, end_at="2026-06-01T11:30:00Z").json()["runs"]
        assert [run["at"][11:16] for run in bounded] == ["09:00", "10:00", "11:00"]
        assert len(self.ask(api, **request, max_runs=2).json()["runs"]) == 2
        [once] = self.ask(api, schedule="PT1H", start_at="2026-06-02T00:00:00Z", after=request["after"]).json()["runs"]
        assert once["at"] == "2026-06-02T00:00:00Z"

    def test_it_warns_of_what_means_something_else_elsewhere(self, api):
        assert self.ask(api, schedule="@daily").json()["warnings"] == []
        [warning] = self.ask(api, schedule="0 14 */10 * 1-5").json()["warnings"]
        assert "ixie cron" in warning
        assert self.ask(api, schedule="0 14 */10 * 1-5", day_match="all").json()["warnings"] == []

    def test_all_faults_are_told_at_once(self, api):
        answer = self.ask(api, schedule="rate(5 hours)", timezone="W. Europe Standard Time", count=0)
        told = {error["pointer"]: error["detail"] for error in answer.json()["errors"]}
        assert set(told) == {"/schedule", "/timezone", "/count"}
        assert "'@every 5h'" in told["/schedule"]
        assert "Europe/Berlin" in told["/timezone"]

    def test_a_schedule_with_no_run_left_gives_none(self, api):
        answer = self.ask(api, schedule="0 0 1 1 *", after="9999-06-01T00:00:00Z")
        assert (answer.status_code, answer.json()["runs"]) == (200, [])


class TestHandlers:
    def test_each_handler_comes_with_the_schema_of_its_arguments(self, api):
        answer = api.call("GET", "/api/handlers")
        assert answer.status_code == 200
        found = {handler["name"]: handler for handler in answer.json()["handlers"]}
        assert list(found) == ["Fail", "Noop", "Send", "Wait"]
        send = found["Send"]
        assert (send["description"], send["max_retries"], send["timeout"]) == ("Send a letter.", 7, "PT1M30S")
        assert send["arguments"]["required"] == ["to"]
        assert send["arguments"]["properties"]["copies"] == {"default": 1, "title": "Copies", "type": "integer"}
        assert send["arguments"]["additionalProperties"] is False
        assert (found["Fail"]["description"], found["Fail"]["timeout"]) == (None, "PT25M")

    def test_a_model_without_a_schema_does_not_hide_the_other_handlers(self):
        registry = HandlerRegistry()
        registry.add_handler("Odd", odd)
        registry.add_handler("Plain", plain)
        runtime = SimpleNamespace(registry=registry, views=SimpleNamespace(timeout_of=lambda spec: spec.timeout))
        app = build_app(lambda: runtime, Settings(poll_schedule=NEVER, reconcile_schedule=NEVER, key_role="manage"))
        with DevHost(app, port=0, route_prefix="") as host:
            odd_one, plain_one = httpx.get(f"{host.url}/api/handlers").json()["handlers"]
        assert "no JSON Schema" in odd_one["arguments"]["description"]
        assert plain_one["arguments"]["type"] == "object"


class Odd(BaseModel):
    call: Callable[[], None]


def odd(args: Odd) -> None:
    pass


def plain(args: Anything) -> None:
    pass


class TestStats:
    def test_the_counts_the_lateness_and_the_rates_are_told(self, database_url):
        with serving(database_url) as api:
            assert api.call("GET", "/api/stats").json()["jobs"] == {}
            done, failed, _due, paused = (api.enqueue(handler_name=name) for name in ("Noop", "Fail", "Noop", "Noop"))
            api.later()
            api.run(done)
            api.run(failed)
            api.command(paused, "pause")
            answer = api.call("GET", "/api/stats")
            assert answer.status_code == 200
            stats = answer.json()
        assert stats["scheduler"] == "timer"
        assert stats["jobs"] == {"Scheduled": 3, "Completed": 1, "Failed": 1}
        assert stats["handlers"] == {"Noop": {"Scheduled": 3, "Completed": 1}, "Fail": {"Failed": 1}}
        assert stats["missing_handlers"] == {}
        assert stats["paused"] == 1
        assert stats["due"]["count"] == 1
        assert 0 <= stats["due"]["latest_by_seconds"] < 30
        assert stats["recent"]["window"] == "PT5M"
        assert {name: each["count"] for name, each in stats["recent"]["attempts"].items()} == {
            "Succeeded": 1,
            "Failed": 1,
        }
        assert json.dumps(stats)

    def test_the_active_jobs_of_handlers_that_this_release_lacks_are_counted(self, database_url, sql):
        with serving(database_url) as api:
            for name in ("Noop", "Noop", "Fail"):
                api.enqueue(handler_name=name)
            sql("update jobs.jobs set handler_name = 'Renamed' where handler_name = 'Noop'")
            sql(
                "update jobs.jobs set handler_name = 'Gone', status = 'Cancelled', handled_at = now(), "
                "next_run_at = null where handler_name = 'Fail'"
            )
            stats = api.call("GET", "/api/stats").json()
        assert stats["handlers"] == {"Gone": {"Cancelled": 1}, "Renamed": {"Scheduled": 2}}
        assert stats["missing_handlers"] == {"Renamed": 2}


class TestLargePages:
    def test_a_page_of_500_large_jobs_is_a_megabyte_and_the_rest_follows(self, api, group):
        metadata = {"g": group, "text": "x" * 250 * 1024}
        jobs = [api.later(metadata=metadata)["id"] for _ in range(9)]
        found, path, sizes = [], f"/api/jobs?limit=500&metadata.g={group}&code=secret", []
        while path:
            answer = api.call("GET", path)
            sizes.append(len(answer.content))
            found += [job["id"] for job in answer.json()["jobs"]]
            path = answer.json()["next"]
            assert path is None or path.startswith("/api/jobs?limit=500&")
        assert max(sizes) <= 1024 * 1024
        assert found == jobs[::-1]

    def test_a_history_has_pages_and_links_too(self, api):
        job = api.enqueue(handler_name="Fail", max_retries=6)
        for _ in range(4):
            api.command(job, "run")
            api.run(job)
        found, path, count = [], f"/api/jobs/{job['id']}/attempts?limit=3&code=secret", 0
        while path:
            page = api.call("GET", path).json()
            found += [attempt["attempt"] for attempt in page["attempts"]]
            path, count = page["next"], count + 1
            assert path is None or path.startswith(f"/api/jobs/{job['id']}/attempts?limit=3&cursor=")
        assert (found, count) == ([4, 3, 2, 1], 2)

    @pytest.mark.parametrize(
        ("params", "pointer"), [({"limit": "0"}, "/limit"), ({"cursor": "x"}, "/cursor"), ({"color": "red"}, "/color")]
    )
    def test_a_question_about_a_history_that_cannot_be_read_is_refused(self, api, params, pointer):
        job = api.later()
        problem(api.call("GET", f"/api/jobs/{job['id']}/attempts", params=params), 422, "invalid-request", pointer)
