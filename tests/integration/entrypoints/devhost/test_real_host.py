"""The development host answers as Microsoft's Functions host does: what was asked of that one, with what it answered.

Where it cannot, or should not, the test says why. What only an app can mend is mended by the app, and shown here too.
"""

from __future__ import annotations

import http.client
import re
import socket

import azure.functions as func
import pytest

from jobs.entrypoints.devhost.host.host import DevHost
from jobs.entrypoints.functions import build_app
from jobs.settings import Settings
from tests.integration.entrypoints.http.test_http_api import ID, NEVER, problem, serving_a_new_database

JOB = b'{"handler_name": "Noop", "job_name": "%s"}'


@pytest.fixture(scope="module")
def api(server):
    with serving_a_new_database(server, callback_tokens="t") as api:
        yield api


@pytest.fixture(scope="module")
def send(api):
    """Send bytes as they are, and read the answer."""

    def sent(request: bytes) -> tuple[int, dict[str, str], bytes]:
        with socket.create_connection((api.client.base_url.host, api.client.base_url.port), timeout=30) as connection:
            connection.sendall(request)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    return sent


def get(path: str, *headers: bytes, version: bytes = b"1.1", host: bytes = b"Host: localhost") -> bytes:
    lines = [b"GET " + path.encode() + b" HTTP/" + version, *([host] if host else []), *headers]
    return b"\r\n".join([*lines, b"Connection: close", b"", b""])


class TestRows:
    def test_a_chunked_body_reaches_no_function_and_the_app_says_411_with_the_mend(self, send):
        body = JOB % b"chunked"
        status, headers, answer = send(
            b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        )
        assert (status, headers["content-type"]) == (411, "application/problem+json")
        assert b"LoadIntoBufferAsync" in answer

    @pytest.mark.parametrize(
        "path",
        [
            "/api/../api/jobs",
            "/api/%2e%2e/api/jobs",
            "/api/./jobs",
            "/../api/jobs",
            "/x/y/../../api/jobs/.",
            "/%2E/api/jobs",
        ],
    )
    def test_dots_are_resolved(self, send, path):
        assert send(get(path))[0] == 200

    @pytest.mark.parametrize("path", ["/api/jobs%00", "/%00", f"/api/jobs/{ID}%00", "/api/%00/jobs?a=1"])
    def test_a_nul_in_a_path_is_400_without_a_body(self, send, path):
        status, _, body = send(get(path))
        assert (status, body) == (400, b"")

    @pytest.mark.parametrize(
        "request_bytes",
        [
            get("/api/jobs", host=b""),
            get("/api/jobs", b"Host: localhost"),
            get("/api/jobs", b"Host: other.example.com"),
            get("http://other.example.com/api/jobs"),
        ],
        ids=["no Host", "the same Host twice", "two Hosts", "another host in the address"],
    )
    def test_it_must_be_clear_which_host_is_meant(self, send, request_bytes):
        status, _, body = send(request_bytes)
        assert (status, body) == (400, b"")

    @pytest.mark.parametrize(
        "host", [b"[::1", b"a b", b"a/b", b"user@host", b"host:port", b"[::1]:80:80", b"a\\b", b"<x>", b"a,b"]
    )
    def test_an_odd_host_is_400_or_served_and_never_500(self, send, host):
        status = send(get("/api/jobs?limit=1", host=b"Host: " + host))[0]
        assert status in {200, 400}
        assert (status == 200) is (host == b"a,b")

    @pytest.mark.parametrize("host", [b"localhost", b"LOCALHOST:80", b"[::1]:7071", b"example.com.", b""])
    def test_any_host_that_is_well_formed_is_served(self, send, host):
        assert send(get("/api/jobs", host=b"Host: " + host))[0] == 200
        assert send(get("http://localhost/api/jobs"))[0] == 200

    def test_http_1_0_without_a_host_is_served(self, send):
        """The Functions host itself fails with 500 there, which nobody should copy; probes send a Host."""
        assert send(get("/api/jobs", version=b"1.0", host=b""))[0] == 200

    @pytest.mark.parametrize("header", [b"If-Match: \xc3\xa9", b"Idempotency-Key: \xff", b"X-Anything: caf\xc3\xa9"])
    def test_a_header_that_is_not_ascii_is_400_without_a_body(self, send, header):
        status, _, body = send(get("/api/jobs", header))
        assert (status, body) == (400, b"")

    def test_who_asks_whether_to_go_on_and_has_nothing_to_send_is_answered(self, send):
        assert send(get("/api/jobs", b"Expect: 100-continue"))[0] == 200

    @pytest.mark.parametrize("headers", [{}, {"x-functions-key": "wrong"}])
    def test_no_key_is_asked_for_as_core_tools_ask_for_none_locally(self, api, headers):
        """Where it is deployed the host answers 401 without a body; there are no keys on a developer's machine."""
        assert api.call("GET", "/api/jobs", headers=headers).status_code == 200
        assert api.call("GET", "/api/jobs?code=wrong").status_code == 200

    def test_the_root_is_nobodys(self, api):
        """Deployed, it is the host's home page unless AzureWebJobsDisableHomepage is set, as infra/ does."""
        problem(api.call("GET", "/"), 404, "not-found")

    def test_the_hosts_own_status_needs_the_master_key(self, api):
        """There is none here, so nobody has it. /admin/functions is open, as with Core Tools: timers are run by it."""
        assert api.call("GET", "/admin/host/status").status_code == 401
        assert api.call("GET", "/admin/host/status", headers={"x-functions-key": "a function's"}).status_code == 403
        assert api.call("GET", "/admin/host/status?code=key").status_code == 403
        assert api.call("GET", "/admin/functions").status_code == 200

    def test_every_request_has_a_trace_of_32_hex_digits(self, api):
        missing = api.call("GET", f"/api/jobs/{ID}")
        assert re.fullmatch("[0-9a-f]{32}", problem(missing, 404, "job-not-found")["trace_id"])
        job = api.enqueue(schedule="P1D")
        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", job["trace_parent"])


class TestWhatIsEqualOnBoth:
    @pytest.mark.parametrize("method", ["TRACE", "FOO", "PROPFIND"])
    def test_an_unknown_verb_is_404_without_a_body(self, api, method):
        answer = api.call(method, "/api/jobs")
        assert (answer.status_code, answer.content) == (404, b"")

    def test_two_slashes_at_the_start_lead_nowhere(self, send):
        status, _, body = send(get("//api/jobs"))
        assert (status, body) == (404, b"")

    def test_a_slash_at_the_end_another_case_and_other_writings_of_an_id_are_served(self, api):
        job = api.enqueue(schedule="P1D")
        for written in (job["id"].upper(), f"{{{job['id']}}}", f"({job['id']})", job["id"].replace("-", "")):
            assert api.call("GET", f"/API/Jobs/{written}/").json()["id"] == job["id"]

    def test_repeated_parameters_are_joined_by_a_comma(self, api):
        assert api.call("GET", "/api/jobs?status=Scheduled&status=Failed").status_code == 200

    def test_the_content_encoding_of_a_request_changes_nothing(self, api):
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        answer = api.call("POST", "/api/jobs", content=JOB % b"encoded", headers=headers)
        assert answer.status_code == 201


class TestUnmatched:
    """Without the app's catch-all the host answers all of these 404, without a body."""

    @pytest.mark.parametrize(
        "path", ["/nothing", "/api", "/api/job", "/api/jobs/x/y/z", "/admin/x", "/runtime/x", "/job"]
    )
    def test_an_unknown_path_is_a_problem(self, api, path):
        told = problem(api.call("GET", path), 404, "not-found")
        assert told["trace_id"]
        assert "GET /api/handlers" in told["detail"]

    @pytest.mark.parametrize(
        "path", ["/api/jobs/7", "/api/jobs/not-an-id/attempts", f"/api/jobs/{ID}0/run", f"/api/jobs/{ID[:-1]}"]
    )
    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_an_id_that_is_none_is_a_problem_that_says_so(self, api, method, path):
        detail = problem(api.call(method, path), 404, "job-not-found")["detail"]
        assert f"{path.split('/')[3]!r} is no job id" in detail

    @pytest.mark.parametrize(
        ("method", "path", "allow"),
        [
            ("PUT", "/api/jobs", "GET, HEAD, POST, OPTIONS"),
            ("POST", f"/api/jobs/{ID}", "GET, HEAD, PATCH, DELETE, OPTIONS"),
            ("GET", f"/api/jobs/{ID}/run", "POST, OPTIONS"),
            ("POST", "/api/health/live", "GET, HEAD, OPTIONS"),
            ("GET", "/job/x-1", "POST, OPTIONS"),
            ("DELETE", "/API/Stats/", "GET, HEAD, OPTIONS"),
        ],
    )
    def test_another_method_is_told_which_there_are(self, api, method, path, allow):
        answer = api.call(method, path)
        assert answer.headers["allow"] == allow
        assert allow in problem(answer, 405, "method-not-allowed")["detail"]
        options = api.call("OPTIONS", path)
        assert (options.status_code, options.headers["allow"], options.content) == (204, allow, b"")

    def test_options_of_an_unknown_path_is_404(self, api):
        problem(api.call("OPTIONS", "/nothing"), 404, "not-found")

    def test_head_is_answered_where_get_is(self, api):
        job = api.enqueue(schedule="P1D")
        for path in ("/api/jobs", f"/api/jobs/{job['id']}", "/api/stats", "/api/health/live", "/api/health/ready"):
            answer = api.call("HEAD", path)
            assert (answer.status_code, answer.content) == (200, b"")
        assert api.call("HEAD", f"/api/jobs/{ID}").status_code == 404

    def test_the_callback_is_not_shadowed(self, api):
        assert api.call("POST", f"/job/{ID.replace('-', '')}-1", headers={"dapr-api-token": "t"}).json() == {
            "outcome": "unknown"
        }

    def test_its_name_sorts_behind_all_others_as_the_host_compares_them(self):
        app = build_app(lambda: None, Settings(poll_schedule=NEVER, reconcile_schedule=NEVER))
        names = sorted((function.name for function in DevHost(app).functions), key=str.upper)
        assert names[-1] == "zz_unmatched"
        assert "zz_unmatched".upper() > "zzz".upper()

    def test_who_has_no_key_is_told_nothing_of_what_there_is(self):
        """The host refuses a call without a key before the function: 401 for every path, served or not."""
        app = build_app(lambda: None, Settings(poll_schedule=NEVER, reconcile_schedule=NEVER))
        [trigger] = [each.get_trigger() for each in app.get_functions() if each.get_function_name() == "zz_unmatched"]
        assert trigger.get_dict_repr()["authLevel"] == func.AuthLevel.FUNCTION

    def test_with_easy_auth_it_asks_who_calls_as_every_other_does(self, server):
        with serving_a_new_database(server, easy_auth=True) as guarded:
            for path in ("/nothing", "/api/jobs/7"):
                problem(guarded.call("GET", path), 401, "unauthenticated")
            problem(guarded.call("PUT", "/api/jobs"), 401, "unauthenticated")
