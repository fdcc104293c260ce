"""The development host, spoken to over real sockets."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import re
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import azure.functions as func
import httpx
import pytest

from jobs.core.errors import ConfigurationError
from jobs.entrypoints.devhost.host.host import DevHost, DevHostError, read_route_prefix
from jobs.entrypoints.devhost.host.schedules import parse_schedule
from jobs.entrypoints.http.routing.templates import decode_path, parse_template
from tests.support import until

# Over plain HTTP. Without verify=False each call reads all certificates of the machine, which takes 20 ms.
get, post = partial(httpx.get, verify=False), partial(httpx.post, verify=False)

NEVER = "0 0 0 29 2 1"  # a leap day that is a Monday
EVERY_SECOND = "* * * * * *"
GUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def add_echo(app, name, route, methods=None):
    """Add a function that answers with what it was given."""

    @app.function_name(name)
    @app.route(route=route, methods=methods)
    def echo(req: func.HttpRequest) -> func.HttpResponse:
        seen = {
            "function": name,
            "method": req.method,
            "url": req.url,
            "values": dict(req.route_params),
            "params": dict(req.params),
            "headers": dict(req.headers),
            "size": len(req.get_body()),
            "body": req.get_body()[:100].decode("utf-8", "replace"),
        }
        return func.HttpResponse(json.dumps(seen), mimetype="application/json")


def add_answer(app, name, answer):
    """Add a function under its own name that answers with what ``answer(req)`` returns."""

    @app.function_name(name)
    @app.route()
    def function(req: func.HttpRequest):
        return answer(req)


def add_timer(app, name, run, schedule=NEVER, **options):
    @app.function_name(name)
    @app.timer_trigger(arg_name="timer", schedule=schedule, **options)
    def function(timer: func.TimerRequest) -> None:
        return run(timer)


def made(*adders, prefix=""):
    app = func.FunctionApp()
    for add, *arguments in adders:
        add(app, *arguments)
    return DevHost(app, port=0, route_prefix=prefix)


@pytest.fixture(scope="module")
def echoes():
    """One host over many routes, for all tests that only look at requests."""
    routes = {
        "by_name": "things/{name}",
        "batch": "things/batch",
        "by_guid": "jobs/{id:guid}",
        "by_number": "jobs/{number:int}",
        "by_word": "jobs/{word:alpha:length(3,5)}",
        "attempts": "jobs/{id:guid}/attempts/{number:int?}",
        "files": "files/{*path}",
        "reports": "report-{year:regex(^\\d{{4}}$)}.{format}",
        "with_default": "pages/{page=first}",
    }
    app = func.FunctionApp()
    for name, route in routes.items():
        add_echo(app, name, route)
    add_echo(app, "read_only", "verbs", ["GET"])
    add_echo(app, "write_only", "verbs", ["POST"])
    with DevHost(app, port=0, route_prefix="") as host, httpx.Client(verify=False, base_url=host.url) as client:
        yield client


def served(client, path, method="GET", **options):
    answer = client.request(method, path, **options)
    assert answer.status_code == 200, path
    return answer.json()


class TestRoutes:
    def test_of_several_routes_that_fit_the_first_function_by_name_is_called(self, echoes):
        assert served(echoes, "/things/batch")["function"] == "batch"
        assert served(echoes, "/things/other")["function"] == "by_name"

    @pytest.mark.parametrize(
        ("path", "function", "values"),
        [
            (f"/jobs/{GUID}", "by_guid", {"id": GUID}),
            (f"/jobs/{GUID.replace('-', '').upper()}", "by_guid", {"id": GUID.replace("-", "").upper()}),
            (f"/jobs/{{{GUID}}}", "by_guid", {"id": f"{{{GUID}}}"}),
            ("/jobs/-12", "by_number", {"number": "-12"}),
            ("/jobs/Word", "by_word", {"word": "Word"}),
            (f"/jobs/{GUID}/attempts", "attempts", {"id": GUID}),
            (f"/jobs/{GUID}/attempts/3", "attempts", {"id": GUID, "number": "3"}),
            ("/files", "files", {}),
            ("/files/a/b.txt", "files", {"path": "a/b.txt"}),
            ("/report-2026.tar.gz", None, None),
            ("/report-2026.csv", "reports", {"year": "2026", "format": "csv"}),
            ("/pages", "with_default", {"page": "first"}),
            ("/pages/2", "with_default", {"page": "2"}),
        ],
    )
    def test_a_template_gives_the_values_of_its_parameters(self, echoes, path, function, values):
        if function is None:
            assert echoes.get(path).status_code == 404
            return
        seen = served(echoes, path)
        assert (seen["function"], seen["values"]) == (function, values)

    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/jobs",
            "/jobs/ab",  # too short for length(3,5)
            "/jobs/abcdef",
            "/jobs/2147483648",  # one above int
            f"/jobs/{GUID[:-1]}",
            f"/jobs/urn:uuid:{GUID}",
            f"/jobs/{GUID}/attempts/x",
            f"/jobs/{GUID}/attempts/3/more",
            "/things//batch",
            "/report-26.csv",
        ],
    )
    def test_a_path_that_no_template_accepts_is_not_found(self, echoes, path):
        answer = echoes.get(path)
        assert (answer.status_code, answer.content) == (404, b"")

    def test_literals_ignore_case_and_a_slash_at_the_end(self, echoes):
        assert served(echoes, "/THINGS/Batch/")["function"] == "batch"

    def test_values_are_percent_decoded_but_for_the_slash(self, echoes):
        assert served(echoes, "/things/caf%C3%A9%20au%20lait+1")["values"] == {"name": "café au lait+1"}
        assert served(echoes, "/things/a%2Fb%2fc")["values"] == {"name": "a%2Fb%2fc"}

    def test_the_method_chooses_and_another_method_is_not_found(self, echoes):
        assert served(echoes, "/verbs")["function"] == "read_only"
        assert served(echoes, "/verbs", "POST")["function"] == "write_only"
        assert [echoes.request(method, "/verbs").status_code for method in ("PUT", "HEAD", "OPTIONS")] == [404] * 3

    def test_a_function_without_methods_takes_every_method(self, echoes):
        for method in ("PUT", "DELETE", "OPTIONS", "QUERY"):
            assert served(echoes, "/things/batch", method)["method"] == method

    def test_head_has_the_headers_of_an_answer_without_its_body(self, echoes):
        answer = echoes.head("/things/batch")
        assert answer.content == b""
        assert int(answer.headers["content-length"]) > 0
        assert served(echoes, "/things/batch")["function"] == "batch"  # the connection is still in step

    def test_the_route_prefix_comes_first(self):
        with made((add_echo, "one", "one"), prefix="api") as host:
            assert get(f"{host.url}/api/one").json()["function"] == "one"
            assert get(f"{host.url}/one").status_code == 404

    def test_a_route_that_hides_a_more_specific_one_by_its_name_is_warned_of_once(self, caplog):
        with (
            made((add_echo, "batch", "x/batch"), (add_echo, "A_name", "x/{name}")) as host,
            httpx.Client(verify=False) as client,
        ):
            for _ in range(2):
                assert client.get(f"{host.url}/x/batch").json()["function"] == "A_name"
        told = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert len(told) == 1
        assert "batch is the more specific" in told[0].getMessage()

    def test_a_catch_all_serves_what_nothing_else_does_only_under_a_name_that_sorts_last(self):
        paths = ["/", "/x/batch", "/x/y", "/admin/other", "/runtime/y", "/job/alarm"]
        for name, served_by_it in (("zz_rest", 4), ("m_rest", 5), ("a_rest", 6)):
            routes = [(add_echo, name, "{*path}"), (add_echo, "n_batch", "x/batch"), (add_echo, "b_job", "job/{alarm}")]
            with made(*routes) as host, httpx.Client(verify=False, base_url=host.url) as client:
                functions = [client.get(path).json()["function"] for path in paths]
            assert functions.count(name) == served_by_it, functions

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("a/{b", "unpaired"),
            ("a//b", "empty"),
            ("{a}/{A}", "twice"),
            ("{a:colour}", "colour"),
            ("{a:length(4,x)}", "length"),
            ("{a:regex([)}", "regex"),
            ("{*rest}/more", "nothing may follow"),
            ("{a?}/b", "nothing may follow"),
            ("x{a?}", "of its own"),
        ],
    )
    def test_a_faulty_template_is_refused_with_its_fault(self, text, fault):
        with pytest.raises(ValueError, match=fault):
            parse_template(text)

    @pytest.mark.parametrize(
        ("template", "accepted", "refused"),
        [
            ("{x:long}", "9223372036854775807", "9223372036854775808"),
            ("{x:bool}", "True", "yes"),
            ("{x:minlength(2)}", "ab", "a"),
            ("{x:maxlength(2)}", "ab", "abc"),
            ("{x:length(2)}", "ab", "abc"),
            ("{x:range(1,9)}", "9", "10"),
            ("{x:min(5)}", "5", "4"),
            ("{x:max(5)}", "5", "6"),
            ("{x:double}", "-1.5e3", "one"),
            (r"{x:regex(^(a|b)?c{{2}}$)}", "bcc", "bc"),
            ("{x:alpha:maxlength(2)=ab}", "xy", "x1"),
            ("{{x}}", "{x}", "x"),
        ],
    )
    def test_a_constraint_decides(self, template, accepted, refused):
        parsed = parse_template(template)
        assert parsed.match(f"/{accepted}") is not None
        assert parsed.match(f"/{refused}") is None

    def test_a_path_that_is_not_utf8_is_still_a_path(self):
        assert decode_path("/%FF%2F%") == "/\ufffd%2F%"


class TestRequests:
    def test_header_names_arrive_in_lower_case(self, echoes):
        headers = served(echoes, "/files", headers={"X-Some-Header": "Kept As It Is", "X-Forwarded-For": "192.0.2.1"})
        assert headers["headers"]["x-some-header"] == "Kept As It Is"
        assert headers["headers"]["x-forwarded-for"] == "192.0.2.1"
        assert all(name == name.lower() for name in headers["headers"])

    def test_query_parameters_are_decoded_joined_and_dropped_when_empty(self, echoes):
        seen = served(echoes, "/files?q=a+b%26c&tag=1&tag=2&empty=&metadata.KEY=v")
        assert seen["params"] == {"q": "a b&c", "tag": "1,2", "metadata.KEY": "v"}
        assert seen["url"] == f"{echoes.base_url}/files?q=a+b%26c&tag=1&tag=2&empty=&metadata.KEY=v".replace(
            "//f", "/f"
        )

    def test_a_chunked_body_arrives_as_none_and_the_connection_stays_in_step(self, echoes):
        for _ in range(2):
            seen = served(echoes, "/files", "POST", content=iter([b"one ", b"two ", b"three"]))
            assert (seen["body"], seen["size"]) == ("", 0)
            assert seen["headers"]["transfer-encoding"] == "chunked"
            assert "content-length" not in seen["headers"]

    def test_a_large_body_arrives_whole(self, echoes):
        assert served(echoes, "/files", "POST", content=b"x" * 20_000_000)["size"] == 20_000_000

    def test_a_body_above_the_limit_is_refused(self, echoes):
        connection = http.client.HTTPConnection(echoes.base_url.host, echoes.base_url.port)
        connection.putrequest("POST", "/files")
        connection.putheader("Content-Length", str(100 * 1024 * 1024 + 1))
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()

    def test_a_body_of_just_the_limit_is_taken(self, monkeypatch):
        monkeypatch.setattr("jobs.entrypoints.devhost.host.server._MAX_BODY", 1000)
        with made((add_echo, "one", "one")) as host:
            answers = [post(f"{host.url}/one", content=b"x" * size).status_code for size in (1000, 1001)]
        assert answers == [200, 413]

    def test_the_context_names_the_invocation_and_carries_the_trace(self):
        app = func.FunctionApp()
        traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

        @app.route()
        async def traced(req: func.HttpRequest, context: func.Context) -> str:
            assert context.retry_context is None
            assert context.thread_local_storage.invocation_id == context.invocation_id
            trace = context.trace_context
            assert (trace.Traceparent, trace.Tracestate) == (trace.trace_parent, trace.trace_state)
            return f"{context.function_name}|{context.function_directory}|{trace.Traceparent}|{trace.Tracestate}"

        with DevHost(app, port=0) as host:
            url = f"{host.url}/api/traced"
            with_trace = get(url, headers={"traceparent": traceparent, "tracestate": "a=b"}).text
            without = get(url).text
        name, directory, parent, state = with_trace.split("|")
        assert (name, parent, state) == ("traced", traceparent, "a=b")
        assert __file__.startswith(directory)
        assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00\|", without.partition(f"{directory}|")[2])

    def test_calls_run_side_by_side_in_the_thread_pool(self):
        together = threading.Barrier(8, timeout=120)

        def meet(_):
            together.wait()
            return "met"

        with made((add_answer, "meet", meet)) as host:
            answers = []
            threads = [threading.Thread(target=lambda: answers.append(get(f"{host.url}/meet").text)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert answers == ["met"] * 8


class TestWaiting:
    @pytest.fixture
    def calls(self):
        """Calls that wait: ``into`` makes some to a URL, each on a thread; they end at the latest with the test."""
        go_on, waiting, answers, threads = threading.Event(), [], [], []

        async def wait(req: func.HttpRequest) -> str:
            waiting.append(req)
            await asyncio.to_thread(go_on.wait, 120)
            return "done"

        class Calls:
            def add_to(self, app: func.FunctionApp) -> None:
                app.function_name("callback")(app.route(route="job/{alarm}")(wait))

            def into(self, url: str, times: int) -> None:
                def ask(number: int) -> None:
                    answers.append(get(f"{url}/job/{number}", timeout=120).text)

                for number in range(times):
                    threads.append(threading.Thread(target=ask, args=[number], daemon=True))
                    threads[-1].start()

            def end(self) -> list[str]:
                go_on.set()
                for thread in threads:
                    thread.join(120)
                return answers

        calls = Calls()
        calls.waiting = waiting
        yield calls
        calls.end()

    @pytest.mark.parametrize("most_at_once", [512, 5])
    def test_callbacks_that_wait_hold_up_neither_the_api_nor_the_probes(self, calls, monkeypatch, most_at_once):
        monkeypatch.setattr("jobs.entrypoints.devhost.host.dispatch._MOST_AT_ONCE", most_at_once)
        app = func.FunctionApp()
        calls.add_to(app)
        add_answer(app, "enqueue", lambda _: "enqueued")

        @app.function_name("live")
        @app.route(route="live")
        async def live(req: func.HttpRequest) -> str:
            return "live"

        with DevHost(app, port=0, route_prefix="", threads=2) as host:
            calls.into(host.url, 60)
            until(lambda: len(calls.waiting) == min(60, most_at_once))
            for _ in range(5):
                assert get(f"{host.url}/enqueue", timeout=60).text == "enqueued"
                assert get(f"{host.url}/live", timeout=60).text == "live"
            assert calls.end() == ["done"] * 60
        assert len(calls.waiting) == 60

    def test_sync_functions_that_keep_every_thread_do_not_hold_up_the_probes(self):
        release = threading.Event()
        app = func.FunctionApp()
        add_answer(app, "slow", lambda _: str(release.wait(120)))

        @app.function_name("live")
        @app.route(route="live")
        async def live(req: func.HttpRequest) -> str:
            return "live"

        with DevHost(app, port=0, route_prefix="", threads=2) as host:
            slow = f"{host.url}/slow"
            callers = [threading.Thread(target=httpx.get, args=[slow], daemon=True) for _ in range(6)]
            for caller in callers:
                caller.start()
            try:
                assert get(f"{host.url}/live", timeout=60).text == "live"
            finally:
                release.set()
                for caller in callers:
                    caller.join(120)


class TestAnswers:
    def answer(self, result, name="answer"):
        with made((add_answer, name, lambda _: result)) as host:
            return get(f"{host.url}/{name}")

    def test_a_str_is_plain_text(self):
        answer = self.answer("grüße")
        assert (answer.status_code, answer.text) == (200, "grüße")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"

    def test_a_response_keeps_its_status_headers_and_cookies(self):
        response = func.HttpResponse(b"\x00\xff", status_code=418, mimetype="image/png", headers={"X-One": "1"})
        response.headers.add("Set-Cookie", "a=1")
        response.headers.add("Set-Cookie", "b=2; Path=/")
        answer = self.answer(response)
        assert (answer.status_code, answer.content, answer.headers["x-one"]) == (418, b"\x00\xff", "1")
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers.get_list("set-cookie") == ["a=1", "b=2; Path=/"]

    def test_the_charset_is_told_for_text_and_an_own_content_type_is_kept(self):
        latin = self.answer(func.HttpResponse("é", mimetype="text/html", charset="latin-1"))
        assert (latin.headers["content-type"], latin.content) == ("text/html; charset=latin-1", b"\xe9")
        own = self.answer(func.HttpResponse("{}", headers={"Content-Type": "application/problem+json"}))
        assert own.headers["content-type"] == "application/problem+json"

    def test_no_content_has_no_body_and_the_connection_stays_in_step(self):
        host = made((add_answer, "gone", lambda _: func.HttpResponse("ignored", status_code=204)))
        with host, httpx.Client(verify=False, base_url=host.url) as client:
            for _ in range(2):
                answer = client.get("/gone")
                assert (answer.status_code, answer.content) == (204, b"")
                assert "content-length" not in answer.headers
                assert answer.headers["content-type"] == "text/plain; charset=utf-8"

    @pytest.mark.parametrize(
        "result",
        [
            None,
            {"a": 1},
            b"bytes",
            func.HttpResponse("", headers={"X": "snow ☃"}),
            func.HttpResponse("", status_code=9),
        ],
    )
    def test_what_the_functions_host_cannot_send_is_an_error(self, result, caplog):
        answer = self.answer(result)
        assert (answer.status_code, answer.content) == (500, b"")
        assert "function answer failed" in caplog.text

    @pytest.mark.parametrize("error", [ValueError("the cause"), SystemExit("the cause")])
    def test_an_exception_is_an_error_with_an_empty_body_and_a_logged_traceback(self, error, caplog):
        def fail(_):
            raise error

        with made((add_answer, "fails", fail)) as host:
            answer = get(f"{host.url}/fails")
        assert (answer.status_code, answer.content) == (500, b"")
        assert "the cause" in caplog.text
        assert "Traceback" in caplog.text

    def test_each_request_is_logged_in_one_line_without_its_query(self, caplog):
        caplog.set_level(logging.INFO, "jobs.devhost")
        with made((add_answer, "hello", lambda _: "hi")) as host:
            get(f"{host.url}/hello?code=secret")
            get(f"{host.url}/no%0Awhere")
        lines = [record.getMessage() for record in caplog.records if record.name == "jobs.devhost"]
        assert [line.split()[:3] for line in lines] == [["GET", "/hello", "200"], ["GET", "/no%0Awhere", "404"]]
        assert lines[0].endswith(" ms hello")


class TestIndexing:
    def test_an_app_can_be_served_more_than_once(self):
        app = func.FunctionApp()
        add_echo(app, "one", "one")
        for _ in range(2):
            assert [function.name for function in DevHost(app).functions] == ["one"]
        assert len(app.get_functions()) == 1

    def test_two_functions_of_one_name_are_refused(self):
        with pytest.raises(DevHostError, match="twin"):
            made((add_echo, "twin", "a"), (add_echo, "twin", "b"))
        with pytest.raises(DevHostError, match="differ in case only"):
            made((add_echo, "twin", "a"), (add_echo, "Twin", "b"))

    def test_two_functions_that_answer_the_same_requests_are_refused(self):
        with pytest.raises(DevHostError, match=r"first .* and second"):
            made((add_echo, "first", "Jobs/{id:guid}", ["GET"]), (add_echo, "second", "jobs/{key:guid}/"))

    def test_the_same_route_with_other_methods_or_constraints_is_no_clash(self):
        made(
            (add_echo, "first", "jobs/{id}", ["GET"]),
            (add_echo, "second", "jobs/{id}", ["POST"]),
            (add_echo, "third", "jobs/{id:int}"),
        )

    @pytest.mark.parametrize("route", ["admin/x", "/Administrators", "runtime"])
    def test_a_reserved_route_is_refused(self, route):
        with pytest.raises(DevHostError, match="reserves"):
            made((add_echo, "one", route))

    def test_a_signature_that_the_worker_would_refuse_is_refused(self):
        def wrong_argument(request: func.HttpRequest) -> str: ...
        def one_too_many(req: func.HttpRequest, other: int) -> str: ...
        def wrong_type(req: str) -> str: ...
        def wrong_context(req: func.HttpRequest, context: dict) -> str: ...
        def union_returned(req: func.HttpRequest) -> func.HttpResponse | None: ...
        def nothing_returned(req: func.HttpRequest) -> None: ...
        def unknown_name(req: Unimported) -> str: ...  # noqa: F821

        for function in (
            wrong_argument,
            one_too_many,
            wrong_type,
            wrong_context,
            union_returned,
            nothing_returned,
            unknown_name,
        ):
            app = func.FunctionApp()
            app.route()(function)
            with pytest.raises(DevHostError, match=function.__name__):
                DevHost(app)

    def test_a_function_with_another_trigger_is_left_out_with_a_warning(self, caplog):
        app = func.FunctionApp()
        add_echo(app, "one", "one")

        @app.blob_trigger(arg_name="blob", path="p", connection="c")
        def stored(blob: func.InputStream) -> None: ...

        assert [function.name for function in DevHost(app).functions] == ["one"]
        assert "stored is not served" in caplog.text

    @pytest.mark.parametrize(
        ("content", "prefix"),
        [
            ('{"version": "2.0"}', "api"),
            ('{"extensions": {"http": {"routePrefix": ""}}}', ""),
            ('\ufeff{"extensions": {"http": {"routePrefix": "/v1/"}}}', "v1"),
        ],
    )
    def test_the_route_prefix_is_read_from_host_json(self, tmp_path, content, prefix):
        path = tmp_path / "host.json"
        assert read_route_prefix(path) == "api"
        path.write_text(content, "utf-8")
        assert read_route_prefix(path) == prefix

    @pytest.mark.parametrize("content", ["{", "[]", '{"extensions": {"http": {"routePrefix": null}}}'])
    def test_a_faulty_host_json_is_named(self, tmp_path, content):
        path = tmp_path / "host.json"
        path.write_text(content, "utf-8")
        with pytest.raises(DevHostError, match=r"host\.json"):
            read_route_prefix(path)


class TestSchedules:
    START = datetime(2026, 1, 1, 12, 0, 0, 500_000, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("text", "due"),
        [
            (EVERY_SECOND, "2026-01-01T12:00:01"),
            ("*/15 * * * * *", "2026-01-01T12:00:15"),
            ("30 5/20 * * * *", "2026-01-01T12:05:30"),
            ("0 */5 * * * *", "2026-01-01T12:05:00"),
            ("*/5 * * * *", "2026-01-01T12:05:00"),
            ("0 0 9 * February Mon-fri", "2026-02-02T09:00:00"),
            ("0 0 0 13 * 5", "2026-02-13T00:00:00"),  # both, where cron says either
            ("%WHEN%", "2026-01-01T13:00:00"),
            ("00:00:10", "2026-01-01T12:00:10.500"),
            ("1.02:00:00", "2026-01-02T14:00:00.500"),
        ],
    )
    def test_a_schedule_comes_due_when_the_functions_host_says(self, text, due):
        schedule = parse_schedule(text, {"WHEN": "0 0 * * * *"})
        assert schedule.after(self.START) == datetime.fromisoformat(due).replace(tzinfo=UTC)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "@hourly",
            "* * * *",
            "60 * * * * *",
            "0 0 0 * * 7",
            "0 0 0 ? * *",
            "0 0 0 L * *",
            "0 0 0 * * 1#2",
            "0 0 22-2 * * *",
            "*/0 * * * * *",
            "0 0 0 * Smarch *",
            "0 0 0 30 2 *",
            "24:00:00",
            "00:00:00",
            "%MISSING%",
        ],
    )
    def test_a_schedule_that_the_functions_host_refuses_is_refused(self, text):
        with pytest.raises(ValueError, match=r"schedule|MISSING"):
            parse_schedule(text, {})

    def test_a_missing_setting_is_named_with_the_function(self, monkeypatch):
        monkeypatch.delenv("POLL_SCHEDULE", raising=False)
        with pytest.raises(DevHostError, match=r"function poll: .*POLL_SCHEDULE"):
            made((add_timer, "poll", print, "%POLL_SCHEDULE%"))


class TestTimers:
    def test_ticks_missed_during_a_run_are_made_up_for_by_one_run_right_after_it(self):
        starts, past_due, enough = [], [], threading.Event()

        def run(timer):
            starts.append(datetime.now(UTC))
            past_due.append(timer.past_due)
            if len(starts) == 1:
                time.sleep(2.5)
            if len(starts) == 4:
                enough.set()

        with made((add_timer, "slow", run, EVERY_SECOND)):
            assert enough.wait(60)
        assert past_due[:4] == [False] * 4
        assert starts[1] >= starts[0] + timedelta(seconds=2.5), "one run at a time"
        assert len({start.replace(microsecond=0) for start in starts[:4]}) == 4, "two ticks were missed, one is made up"

    def test_a_timer_runs_on_startup_if_told_to(self):
        ran = threading.Event()
        app = func.FunctionApp()
        add_timer(app, "eager", lambda _: ran.set(), run_on_startup=True)
        with DevHost(app, port=0):
            assert ran.wait(60)

    def test_a_timer_can_be_run_by_hand_and_goes_on_after_an_exception(self, caplog):
        runs, twice = [], threading.Event()

        def fail(_):
            runs.append(threading.current_thread())
            if len(runs) == 2:
                twice.set()
            raise ValueError("the cause")

        with made((add_timer, "Nightly", fail), (add_echo, "one", "one")) as host:
            url = f"{host.url}/admin/functions"
            answers = [post(f"{url}/nightly").status_code, post(f"{url}/Nightly", json={"input": ""})]
            assert answers[0] == answers[1].status_code == 202
            assert twice.wait(60)
            assert post(f"{url}/nobody", json={}).status_code == 404
            assert post(f"{url}/one", json={}).status_code == 400
            assert [each["name"] for each in get(url).json()] == ["Nightly", "one"]
            assert get(f"{host.url}/admin/other").status_code == 404
        assert len(set(runs)) == 1
        assert caplog.text.count("timer Nightly (request) failed") == 2

    def test_an_async_timer_runs_and_a_returned_value_is_an_error(self, caplog):
        app, ran = func.FunctionApp(), threading.Event()

        @app.timer_trigger(arg_name="timer", schedule=NEVER, run_on_startup=True)
        async def returns(timer: func.TimerRequest, context: func.Context) -> str:
            ran.set()
            return context.function_name

        with DevHost(app, port=0):
            assert ran.wait(60)
        assert "must return None" in caplog.text


class TestLifecycle:
    def test_a_taken_port_is_one_clear_sentence(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            host = DevHost(func.FunctionApp(), port=port)
            with pytest.raises(DevHostError, match=f"port {port} is in use by another program; choose another with"):
                host.start()
        assert issubclass(DevHostError, ConfigurationError)
        with host:  # free by now
            assert get(f"{host.url}/admin/host/status").status_code == 401

    def test_an_address_that_is_not_ours_is_a_clear_error(self):
        with pytest.raises(DevHostError, match=r"cannot listen on 192\.0\.2\.1, port 0"):
            DevHost(func.FunctionApp(), host="192.0.2.1", port=0).start()

    def test_stopping_leaves_no_thread_and_frees_the_port(self):
        before = set(threading.enumerate())
        host = made((add_answer, "hello", lambda _: "hi"), (add_timer, "often", print, EVERY_SECOND))
        with httpx.Client(verify=False) as client:
            for _ in range(2):
                host.start()
                assert len(set(threading.enumerate()) - before) > 2
                assert client.get(f"{host.url}/hello").text == "hi"
                url = host.url
                assert host.stop(timeout=120)
                assert set(threading.enumerate()) == before
                with pytest.raises(httpx.ConnectError):
                    get(f"{url}/hello")
        assert host.stop()

    def test_starting_twice_is_refused(self):
        with made() as host, pytest.raises(DevHostError, match="started before"):
            host.start()

    def test_stopping_lets_a_running_call_and_a_running_timer_end(self):
        begun, go_on, ended = threading.Barrier(3, timeout=120), threading.Event(), []

        def run(what):
            begun.wait()
            go_on.wait(60)
            ended.append(what)
            return "done"

        host = made((add_answer, "call", run), (add_timer, "timer", lambda timer: run(timer) and None))
        host.start()
        url, answers = host.url, []
        post(f"{url}/admin/functions/timer")
        caller = threading.Thread(target=lambda: answers.append(get(f"{url}/call").text))
        caller.start()
        begun.wait()
        threading.Timer(0.2, go_on.set).start()
        assert host.stop(timeout=120)
        caller.join(60)
        assert answers == ["done"]
        assert len(ended) == 2

    def test_a_call_that_does_not_end_is_left_behind_on_a_daemon_thread(self):
        begun, release = threading.Event(), threading.Event()

        def hang(_):
            begun.set()
            release.wait(60)
            return "late"

        def be_cut_off():
            with pytest.raises(httpx.TransportError):
                get(f"{url}/hang")

        before = set(threading.enumerate())
        host = made((add_answer, "hang", hang))
        host.start()
        url = host.url
        caller = threading.Thread(target=be_cut_off)
        caller.start()
        assert begun.wait(60)
        assert not host.stop(timeout=0.3)
        caller.join(60)
        left = set(threading.enumerate()) - before
        assert len(left) == 1
        assert all(thread.daemon for thread in left)
        release.set()
        for thread in left:
            thread.join(60)
