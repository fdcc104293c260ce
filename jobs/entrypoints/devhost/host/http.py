"""The HTTP side of the development host: a WSGI application over the functions of an app."""

from __future__ import annotations

import inspect
import json
import logging
import math
import re
import secrets
import time
from http.client import responses
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

import azure.functions as func

from jobs.entrypoints.devhost.host.functions import LoadedFunction, TraceContext, route_table
from jobs.entrypoints.devhost.host.headers import WATCHER
from jobs.entrypoints.devhost.host.wire import is_bad, is_chunked, read_at
from jobs.entrypoints.http.exchange import TRACE_PARENT
from jobs.entrypoints.http.routing.templates import decode_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from wsgiref.types import StartResponse, WSGIEnvironment

    from jobs.entrypoints.devhost.host.timers import Timer

_BODILESS = frozenset({*range(100, 200), 204, 304})
# Headers of the connection, which is the server's business: WSGI forbids them, and the length is counted anew.
_NOT_THE_FUNCTIONS = frozenset({"connection", "content-length", "keep-alive", "te", "trailers", "transfer-encoding"})
_NOT_THE_FUNCTIONS |= {"proxy-authenticate", "proxy-authorization", "upgrade"}
_HEADER = re.compile(r"[!-9;-~]+: [\t -~]*")
_TEXT = ("content-type", "text/plain; charset=utf-8")


class Reply(NamedTuple):
    """What goes back to the caller, and the name of the function that made it (empty: this host itself)."""

    status: int
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    function: str = ""


class Site:
    """Answers each request with the function that its route leads to, and ``/admin/…`` itself.

    No key is needed, whatever a function's auth level is, as with Core Tools.
    """

    def __init__(self, functions: Sequence[LoadedFunction], timers: Mapping[str, Timer], log: logging.Logger) -> None:
        self._functions = {function.name: function for function in functions}
        self._routes = route_table(functions)
        self._timers, self._log = timers, log
        self._rivals_told: set[tuple[str, str]] = set()
        self._closed_at = math.inf

    def close(self) -> None:
        """Refuse each request that comes from now on."""
        self._closed_at = time.monotonic()

    def async_function(self, method: str, target: str) -> str | None:
        """Name the async function that answers such a request; None where that is a sync one, or nobody."""
        try:
            path = _target({"REQUEST_URI": target}).partition("?")[0]
        except ValueError:
            return None
        match = self._routes.find(method, decode_path(path))
        if match is None or not inspect.iscoroutinefunction(self._functions[match.function].call):
            return None
        return match.function

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        """Serve one request on this thread, and log it in one line."""
        began = time.perf_counter()
        method = environ["REQUEST_METHOD"]
        target = _target(environ)
        path = target.partition("?")[0]
        reply = self._refusal(environ, path) or self._reply(environ, method, target, decode_path(path))
        start_response(f"{reply.status} {responses.get(reply.status, 'Unknown')}", _sendable(reply))
        looks = method == "GET" and f"HTTP_{WATCHER.upper().replace('-', '_')}" in environ
        self._log.log(
            logging.DEBUG if looks else logging.INFO,
            "%s %s %d %.0f ms %s",
            method,
            quote(path, safe="/%:@!$&'()*+,;=~"),
            reply.status,
            (time.perf_counter() - began) * 1000,
            reply.function,
            extra={"request_of": reply.function},
        )
        return [b"" if method == "HEAD" or reply.status in _BODILESS else reply.body]

    def _refusal(self, environ: WSGIEnvironment, path: str) -> Reply | None:
        """Answer what the web server refuses before any function; None for all other requests."""
        if read_at(environ) > self._closed_at:
            return Reply(503)
        if is_bad(environ):
            return Reply(400)
        return Reply(404) if path.startswith("//") else None

    def _reply(self, environ: WSGIEnvironment, method: str, target: str, path: str) -> Reply:
        first, *rest = path.strip("/").split("/")
        if first.casefold() == "admin" and (reply := self._administer(environ, method, rest)) is not None:
            return reply
        match = self._routes.find(method, path)
        if match is None:
            return Reply(404)
        self._tell_rival(match.function, match.more_specific)
        try:
            request = _request(environ, method, target, match.values)
            result = self._functions[match.function].invoke(request, _trace_of(request.headers))
            return _reply_of(result)._replace(function=match.function)
        except BaseException:  # noqa: BLE001 - a function may call sys.exit or be cancelled, and the caller still waits
            self._log.exception("function %s failed", match.function)
            return Reply(500, function=match.function)

    def _administer(self, environ: WSGIEnvironment, method: str, path: list[str]) -> Reply | None:
        match method, [segment.casefold() for segment in path]:
            case "GET", ["host", "status"]:  # needs the master key, of which there is none here
                has_key = "HTTP_X_FUNCTIONS_KEY" in environ or "code=" in environ["QUERY_STRING"]
                return Reply(403 if has_key else 401)
            case "GET", ["functions"]:
                return _json([_described(function) for function in self._functions.values()])
            case "POST", ["functions", name]:
                return self._run_now(name)
            case _:
                return None

    def _run_now(self, name: str) -> Reply:
        for function in self._functions.values():
            if function.name.casefold() != name:
                continue
            if function.name not in self._timers:
                return Reply(400, [_TEXT], f"{function.name} is not a timer function; call its route instead".encode())
            self._timers[function.name].request_run()
            return Reply(202, function=function.name)
        return Reply(404)

    def _tell_rival(self, function: str, more_specific: str | None) -> None:
        if more_specific is None or (function, more_specific) in self._rivals_told:
            return
        self._rivals_told.add((function, more_specific))
        self._log.warning(
            "functions %s and %s both match; %s is called, as the Functions host does, for it is the first by name, "
            "though the route of %s is the more specific: add a constraint to that of %s, or rename it",
            function,
            more_specific,
            function,
            more_specific,
            function,
        )


def _target(environ: WSGIEnvironment) -> str:
    target: str = environ["REQUEST_URI"]
    if target.startswith("/"):
        return target
    absolute = urlsplit(target)
    return (absolute.path or "/") + (f"?{absolute.query}" if absolute.query else "")


def _request(environ: WSGIEnvironment, method: str, target: str, values: Mapping[str, str]) -> func.HttpRequest:
    headers = {
        key.removeprefix("HTTP_").replace("_", "-").lower(): value
        for key, value in environ.items()
        if key.isupper() and (key.startswith("HTTP_") or key in {"CONTENT_TYPE", "CONTENT_LENGTH"})
    }
    body = environ["wsgi.input"].read()
    if is_chunked(environ):  # such a body reaches no Python function: azure-functions-host#7930
        headers = {**headers, "transfer-encoding": "chunked"}
        headers.pop("content-length", None)
        body = b""
    host = headers.get("host") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
    parameters: dict[str, str] = {}
    for key, value in parse_qsl(target.partition("?")[2]):  # a parameter without a value is dropped, as by the host
        parameters[key] = f"{parameters[key]},{value}" if key in parameters else value
    return func.HttpRequest(
        method,
        f"http://{host}{target}",
        headers=headers,
        params=parameters,
        route_params=values,
        body=body,
    )


def _trace_of(headers: Mapping[str, str]) -> TraceContext:
    """Return the caller's trace, or one that begins here: the Functions host has one for every request."""
    parent = headers.get("traceparent", "")
    if TRACE_PARENT.fullmatch(parent):
        return TraceContext(parent, headers.get("tracestate", ""))
    return TraceContext(f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00")


def _reply_of(result: object) -> Reply:
    if isinstance(result, str):
        return Reply(200, [_TEXT], result.encode())
    if not isinstance(result, func.HttpResponse):
        raise TypeError(f"an HTTP function must return an HttpResponse or a str, not {type(result).__name__}")
    # Of a header that is set twice the worker passes the last on, except for cookies.
    headers = {name.lower(): str(value) for name, value in result.headers.items() if name.lower() != "set-cookie"}
    if "content-type" not in headers:
        charset = f"; charset={result.charset}" if result.mimetype.startswith("text/") else ""
        headers["content-type"] = f"{result.mimetype}{charset}"
    cookies = [("set-cookie", str(cookie)) for cookie in result.headers.get_all("set-cookie")]
    everything = [*headers.items(), *cookies]
    if result.status_code not in range(100, 1000) or not all(map(_HEADER.fullmatch, map(": ".join, everything))):
        raise ValueError(f"status {result.status_code} or one of the headers {everything} cannot be sent")
    return Reply(result.status_code, everything, result.get_body())


def _sendable(reply: Reply) -> list[tuple[str, str]]:
    headers = [(name, value) for name, value in reply.headers if name not in _NOT_THE_FUNCTIONS]
    if reply.status not in _BODILESS:
        headers.append(("content-length", str(len(reply.body))))
    return headers


def _json(content: object) -> Reply:
    return Reply(200, [("content-type", "application/json; charset=utf-8")], json.dumps(content).encode())


def _described(function: LoadedFunction) -> dict[str, Any]:
    route = function.route
    return {"name": function.name, "invoke_url_template": f"/{route.template.text}" if route else None}
