"""What is refused, in which words; that nothing is written then; and that no body whatever brings the service down."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from jobs.entrypoints.http.problems import fields_of
from tests.integration.entrypoints.http.test_http_api import problem, serving, serving_a_new_database
from tests.sizes import examples

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def service(server):
    with serving_a_new_database(server) as api:
        yield api


@pytest.fixture
def api(service):
    """The service, to which a test may write nothing, and which must be alive afterwards."""
    before = service.count()
    yield service
    assert service.count() == before
    assert service.call("GET", "/api/health/live").status_code == 200
    assert service.post_job().status_code == 201


def send(api, body, headers=JSON):
    content = body if isinstance(body, bytes) else body.encode()
    return api.call("POST", "/api/jobs", content=content, headers=headers)


def with_payload(text):
    return f'{{"handler_name": "Noop", "job_name": "refused", "payload": {text}}}'


class TestBodiesThatAreNotRead:
    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"", "the body is empty; send a JSON object"),
            (b" \n\t", "the body is empty"),
            (b'{"handler_name": "Noop",}', "line 1, column"),
            (b'{"a": 1}{"b": 2}', "Extra data at line 1, column 9"),
            (b"handler_name=Noop", "line 1, column 1"),
            (b'{"handler_name": "Noop"', "line 1, column"),
            (b"{'handler_name': 'Noop'}", "line 1, column 2"),
            (b'{"a": "line\nbreak"}', "line 1, column"),
            (b'{"a": "\xff\xfe"}', "not UTF-8"),
            ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
            (b"\xef\xbb\xbf{}", "line 1, column 1"),
            (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
            (with_payload('{"a": NaN}'), "NaN is not JSON"),
            (with_payload('{"a": Infinity}'), "Infinity is not JSON"),
            (with_payload('{"a": -Infinity}'), "-Infinity is not JSON"),
            (with_payload('{"a": 1e400}'), "too large"),
            (with_payload('{"a": 1, "b": 2, "a": 3}'), 'the key "a" stands twice'),
            ('{"job_name": "a", "job_name": "b"}', 'the key "job_name" stands twice'),
            (with_payload('{"a": ' + "9" * 4001 + "}"), "4000 are the most"),
            (with_payload('{"a": -' + "9" * 4001 + "}"), "4000 are the most"),
            (with_payload("[" * 64 + "]" * 64), "nested deeper than 64 levels"),
            (with_payload('{"a":' * 64 + "1" + "}" * 64), "nested deeper than 64 levels"),
            (b"[" * 100_000 + b"]" * 100_000, "nested deeper than 64 levels"),
        ],
    )
    def test_what_is_no_json_that_can_be_accepted_is_refused_with_the_place(self, api, body, words):
        assert words in problem(send(api, body), 400, "malformed-json")["detail"]

    def test_a_body_of_more_than_256_kibibytes_is_not_read(self, api):
        body = with_payload('"' + "x" * 300 * 1024 + '"')
        detail = problem(send(api, body), 413, "too-large")["detail"]
        assert str(len(body)) in detail
        assert "262144" in detail

    @pytest.mark.parametrize(
        "headers",
        [{}, *({"content-type": each} for each in ("", "text/plain", "application/x-www-form-urlencoded", "json"))],
    )
    def test_a_body_of_another_type_is_not_read(self, api, headers):
        body = b'{"handler_name": "Noop", "job_name": "refused"}'
        assert (
            "content-type: application/json"
            in problem(send(api, body, headers), 415, "unsupported-media-type")["detail"]
        )

    @pytest.mark.parametrize("method", ["PUT", "GET", "HEAD", "DELETE"])
    def test_another_method_is_told_which_there_are(self, api, method):
        answer = api.call(method, "/api/jobs/batch")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")
        if method != "HEAD":
            problem(answer, 405, "method-not-allowed")

    def test_a_body_in_chunks_is_answered_with_how_to_send_it(self, api):
        for path in ("/api/jobs", "/api/jobs/batch", "/api/schedules/preview"):
            answer = api.call("POST", path, content=iter([b"{}"]), headers=JSON)
            assert "Content-Length" in problem(answer, 411, "length-required")["detail"]


class TestRequestsThatAreWrong:
    @pytest.mark.parametrize("body", ["[]", "null", "1", '"text"', "true", "[{}]"])
    def test_json_that_is_no_object_is_refused(self, api, body):
        refused = problem(send(api, body), 422, "invalid-request", "")
        assert "send a JSON object" in refused["detail"]
        assert "EnqueueJob" not in refused["detail"]

    @pytest.mark.parametrize(
        ("fields", "pointer", "words"),
        [
            ({"handler_name": "Nobody"}, "/handler_name", "registered are: Fail, Noop, Send, Wait"),
            ({"handler_name": None}, "/handler_name", "string"),
            ({"handler_name": ""}, "/handler_name", "at least 1 character"),
            ({"handler_name": "x" * 201}, "/handler_name", "at most 200 characters"),
            ({"job_name": ""}, "/job_name", "at least 1 character"),
            ({"job_name": 7}, "/job_name", "string"),
            ({"job_name": "a\x00b"}, "/job_name", "NUL"),
            ({"job_name": "\ud800"}, "/job_name", "surrogate"),
            ({"handler_name": "a\x00b"}, "/handler_name", "NUL"),
            ({"payload": {"deep": [{"a/b": "\x00"}]}}, "/payload/deep/0/a~1b", "NUL"),
            ({"payload": {"\x00": 1}}, "/payload", "NUL"),
            ({"payload": {"pair": "\udc00\ud800"}}, "/payload/pair", "surrogate"),
            ({"metadata": {"Key": "\x00"}}, "/metadata/Key", "NUL"),
            ({"metadata": {"": 1}}, "/metadata/", "at least 1 character"),
            ({"metadata": []}, "/metadata", "JSON object"),
            ({"metadata": None}, "/metadata", "JSON object"),
            ({"payload": [1]}, "/payload", "JSON object"),
            ({"payload": None}, "/payload", "JSON object"),
            ({"payload": "text"}, "/payload", "JSON object"),
            ({"handler_name": "Send", "payload": {}}, "/payload/to", "the field 'to' is missing"),
            ({"handler_name": "Send", "payload": {"to": 5}}, "/payload/to", "string"),
            ({"handler_name": "Send", "payload": {"to": "A", "copies": "many"}}, "/payload/copies", "integer"),
            ({"handler_name": "Send", "payload": {"to": "A", "cc": 1}}, "/payload/cc", "known here are to, copies"),
            ({"schedule": "61 * * * *"}, "/schedule", "minute"),
            ({"schedule": "0 0 30 2 *"}, "/schedule", "never matches"),
            ({"schedule": "* * * * * * *"}, "/schedule", "fields"),
            ({"schedule": "soon"}, "/schedule", "accepted are"),
            ({"schedule": "2026-12-01T09:00:00"}, "/schedule", "offset"),
            ({"schedule": "@every 1ms"}, "/schedule", "1 second"),
            ({"schedule": "*" * 129}, "/schedule", "128"),
            ({"timezone": "Mars/Olympus"}, "/timezone", "Europe/Berlin"),
            ({"id": "seven"}, "/id", "UUID"),
            ({"max_retries": -1}, "/max_retries", "0"),
            ({"max_retries": 1001}, "/max_retries", "1000"),
            ({"max_retries": "some"}, "/max_retries", "integer"),
            ({"timeout": "soon"}, "/timeout", "PT30S"),
            ({"timeout": []}, "/timeout", "PT30S"),
            ({"timeout": "PT0S"}, "/timeout", "above zero"),
            ({"timeout": "P400D"}, "/timeout", "P366D"),
            ({"jitter": -1}, "/jitter", "above zero"),
            ({"misfire": "forget"}, "/misfire", "'run_once'"),
            ({"misfire": {"policy": "catch_up"}}, "/misfire", "max"),
            ({"misfire": {"polizy": "skip"}}, "/misfire/polizy", "known here are policy, max, grace"),
            ({"dst": {"gap": "ignore"}}, "/dst/gap", "'shift'"),
            ({"dst": "skip"}, "/dst", '{"gap": "shift", "overlap": "once"}'),
            ({"misfire": 5}, "/misfire", '{"policy": "catch_up", "max": 10, "grace": "PT1M"}'),
            ({"retry": 3}, "/retry", '{"base": "PT10S", "factor": 2, "cap": "PT1H", "jitter": true}'),
            ({"retries": 3}, "/retries", "is 'max_retries' meant?"),
            ({"start_at": "2026-12-01"}, "/start_at", "offset"),
            ({"start_at": "2026-12-01T09:00:00"}, "/start_at", "offset"),
            ({"start_at": "whenever"}, "/start_at", "offset"),
            ({"start_at": "2026-13-01T09:00:00Z"}, "/start_at", "offset"),
            ({"schedule": "@daily", "end_at": "2020-01-01T00:00:00Z"}, "/schedule", "never runs"),
            (
                {"schedule": "@daily", "start_at": "2030-01-02T00:00:00Z", "end_at": "2030-01-01T00:00:00Z"},
                "/end_at",
                "later than start_at",
            ),
            ({"schedule": "P1D", "max_runs": 2}, "/max_runs", "recurring"),
            ({"schedule": "@daily", "max_runs": 0}, "/max_runs", "1"),
            ({"on_conflict": "ignore"}, "/on_conflict", "'return_existing'"),
        ],
    )
    def test_a_wrong_field_is_refused_with_its_place_and_what_would_be_right(self, api, fields, pointer, words):
        body = {"handler_name": "Noop", "job_name": "refused"} | fields
        refused = problem(send(api, json.dumps(body)), 422, "invalid-request", pointer)
        assert words in refused["detail"]
        assert "Value error" not in refused["detail"]

    def test_a_missing_field_is_named(self, api):
        refused = problem(send(api, "{}"), 422, "invalid-request", "/handler_name")
        assert "the field 'handler_name' is missing" in refused["detail"]
        assert "the field 'job_name' is missing" in refused["detail"]

    def test_an_unknown_field_is_named_and_the_known_ones_are_listed(self, api):
        refused = problem(send(api, '{"handlername": "Noop", "job_name": "x"}'), 422, "invalid-request", "/handlername")
        [unknown] = [fault["detail"] for fault in refused["errors"] if fault["pointer"] == "/handlername"]
        assert unknown.startswith("there is no field 'handlername'; known here are ")
        for name in ("handler_name", "job_name", "payload", "schedule", "metadata", "on_conflict"):
            assert name in unknown

    def test_fields_are_listed_of_models_within_models_and_of_one_within_itself(self):
        assert fields_of(Tree, "/payload") == {
            "/payload": ("leaf", "left", "right", "inner"),
            "/payload/inner": ("label", "Back"),
        }

    def test_every_fault_is_told_at_once(self, api):
        body = {"handler_name": "", "job_name": 1, "schedule": [], "max_retries": "x", "colour": "red"}
        refused = problem(send(api, json.dumps(body)), 422, "invalid-request")
        assert {fault["pointer"] for fault in refused["errors"]} == {f"/{name}" for name in body}
        assert refused["detail"].endswith("; and 2 more")

    @pytest.mark.parametrize(
        ("handler_name", "payload", "pointers"),
        [
            ("Send", {"copies": "many"}, ["/job_name", "/max_retries", "/payload/copies", "/payload/to"]),
            ("Send", None, ["/job_name", "/max_retries", "/payload"]),
            ("Sendd", {}, ["/handler_name", "/job_name", "/max_retries"]),
            (7, {"copies": "many"}, ["/handler_name", "/job_name", "/max_retries"]),
        ],
    )
    def test_the_faults_of_handler_and_payload_are_told_beside_those_of_the_other_fields(
        self, api, handler_name, payload, pointers
    ):
        body = {"handler_name": handler_name, "payload": payload, "max_retries": -1}
        refused = problem(send(api, json.dumps(body)), 422, "invalid-request")
        batch = api.call("POST", "/api/jobs/batch", json={"jobs": [body]}).json()["results"][0]["problem"]
        assert sorted(fault["pointer"] for fault in refused["errors"]) == pointers
        assert [fault["detail"] for fault in batch["errors"]] == [fault["detail"] for fault in refused["errors"]]

    def test_a_thousand_faults_are_not_all_told(self, api):
        body = {"handler_name": "Noop", "job_name": "refused"} | {f"field {n}": n for n in range(5000)}
        answer = send(api, json.dumps(body))
        assert len(problem(answer, 422, "invalid-request")["errors"]) == 100
        assert "and 4997 more" in answer.json()["detail"]

    @pytest.mark.parametrize(
        "fields",
        [
            {"schedule": "@daily", "start_at": "0001-01-01T00:00:00Z", "end_at": "2020-01-01T00:00:00Z"},
            {"schedule": "0001-01-01T00:00:00", "timezone": "Asia/Tokyo"},
            {"schedule": "9999-12-31T23:59:59", "timezone": "America/New_York"},
        ],
    )
    def test_the_first_and_the_last_instant_of_the_calendar_are_refused_like_any_other(self, api, fields):
        body = {"handler_name": "Noop", "job_name": "refused"} | fields
        problem(send(api, json.dumps(body)), 422, "invalid-request")


class Inner(BaseModel):
    label: str
    back: Tree | None = Field(default=None, alias="Back")


class Tree(BaseModel):
    leaf: int
    left: Tree | None = None
    right: Tree | None = None
    inner: Inner | None = None


Inner.model_rebuild()

PATHS = st.sampled_from(
    [("POST", "/api/jobs"), ("POST", "/api/jobs/batch"), ("POST", "/api/schedules/preview"), ("PATCH", "{job}")]
)
SCHEDULES = [
    "@once",
    "@daily",
    "@every 1s",
    "@every 876600h",
    "PT0.1S",
    "P36525D",
    "0 0 29 2 *",
    "* * * * * *",
    "0 0 1 1 *",
    "0 0 */10 * 1-5",
    "0 0 31W ? * *",
    "0 0 12 ? * 2-6 2030",
]
SCHEDULES += ["9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00", "2026-03-29T02:30:00", "0001-01-01T00:00:00+14:00"]
ZONES = ["UTC", "Asia/Tokyo", "America/New_York", "Pacific/Kiritimati", "Europe/Berlin"]
INSTANTS = [
    "0001-01-03T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T10:00:00-12:00",
    "2027-01-01T00:00:00+14:00",
]
DURATIONS = ["PT1S", "P366D", "1us", 0.000001, 1e-300, 31622400, 1e300]
COUNTS = [0, 1, 100, 2**31 - 1, 2**31, 2**63, True, 1.0, "7"]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(INSTANTS)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=6),
    max_leaves=12,
)
MISFIRES = [{"policy": "catch_up", "max": 10_000, "grace": "P366D"}, "skip", {"policy": "run_once", "grace": 1e-6}]
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "schedule": st.sampled_from(SCHEDULES),
        "timezone": st.sampled_from(ZONES),
        "dst": st.fixed_dictionaries(
            {"gap": st.sampled_from(["shift", "skip"]), "overlap": st.sampled_from(["once", "twice"])}
        ),
        "day_match": st.sampled_from(["any", "all"]),
        "misfire": st.sampled_from(MISFIRES),
        **dict.fromkeys(("start_at", "end_at"), st.sampled_from(INSTANTS)),
        **dict.fromkeys(("jitter", "timeout"), st.sampled_from(DURATIONS)),
        **dict.fromkeys(("max_runs", "max_retries"), st.sampled_from(COUNTS)),
        **dict.fromkeys(("payload", "metadata"), VALUES),
    },
)
JOBS = OPTIONS.map(lambda options: {"handler_name": "Noop", "job_name": "fuzz", "on_conflict": "replace"} | options)
PREVIEWS = st.fixed_dictionaries(
    {"schedule": st.sampled_from(SCHEDULES)},
    optional={
        "timezone": st.sampled_from(ZONES),
        "day_match": st.sampled_from(["any", "all"]),
        **dict.fromkeys(("after", "start_at", "end_at"), st.sampled_from(INSTANTS)),
        **dict.fromkeys(("count", "max_runs"), st.sampled_from(COUNTS)),
    },
)
PLAUSIBLE = st.one_of(
    st.tuples(st.just(("POST", "/api/jobs")), JOBS),
    st.tuples(
        st.just(("POST", "/api/jobs/batch")), st.lists(JOBS | VALUES, max_size=3).map(lambda jobs: {"jobs": jobs})
    ),
    st.tuples(st.just(("POST", "/api/schedules/preview")), PREVIEWS),
    st.tuples(st.just(("PATCH", "{job}")), OPTIONS),
    st.tuples(PATHS, VALUES),
)
quickly = settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


class TestTimeoutsBeyondTheHosts:
    """Of an app whose host ends a run after half an hour; that of the other tests never does."""

    def test_a_job_that_the_host_would_cut_short_is_422_however_it_is_sent(self, database_url):
        with serving(database_url, longest_run=timedelta(minutes=30)) as api:
            body = problem(api.post_job(timeout="PT30M"), 422, "invalid-request", "/timeout")
            assert "PT30M is not below functionTimeout, PT30M" in body["errors"][0]["detail"]
            job = api.later(timeout="PT29M")
            too_long = {"handler_name": "Noop", "job_name": "long", "timeout": "PT1H"}
            batch = api.call("POST", "/api/jobs/batch", json={"jobs": [too_long]})
            assert "not below functionTimeout" in batch.text
            changed = api.call("PATCH", f"/api/jobs/{job['id']}", json={"timeout": "PT45M"})
            problem(changed, 422, "invalid-request", "/timeout")
            assert (api.get(job), api.count()) == (job, 1)


class TestArbitraryBodies:
    @quickly
    @given(target=PATHS, body=st.binary(max_size=200))
    def test_no_bytes_whatever_are_answered_with_a_fault_of_ours(self, service, target, body):
        self.check(service, *target, body)

    @quickly
    @given(request=PLAUSIBLE)
    def test_nor_is_any_json(self, service, request):
        target, body = request
        self.check(service, *target, json.dumps(body).encode())

    @staticmethod
    def check(service, method, path, body):
        if not hasattr(service, "victim"):
            service.victim = service.later(job_name="victim")
        answer = service.call(method, path.format(job=f"/api/jobs/{service.victim['id']}"), content=body, headers=JSON)
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["detail"]
