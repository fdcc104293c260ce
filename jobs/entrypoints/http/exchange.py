"""The common part of HTTP functions: authorize the caller, read the request, respond, convert errors to problems."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import azure.functions as func

from jobs.app.commands.callers import Caller
from jobs.core.commands import Command, read_command
from jobs.core.errors import InvalidInput
from jobs.core.strict_json import MalformedJson, parse_json, refuse_unstorable_text
from jobs.entrypoints.http.access import refuse_cross_site
from jobs.entrypoints.http.problems import (
    LENGTH_REQUIRED,
    NOT_FOUND,
    NOT_JSON,
    TOO_LARGE,
    Refusal,
    fields_of,
    problem_response,
    with_own_messages,
)
from jobs.entrypoints.http.rendering import job_text
from jobs.entrypoints.http.routes import ROUTES, role_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobs.core.lifecycle.job import Job
    from jobs.entrypoints.http.access import Access
    from jobs.entrypoints.http.routes import Role

MAX_BODY = 256 * 1024
LONGEST_WAIT_SECONDS = 20
KEY_HEADER = "idempotency-key"
HOST_PARAMETERS = frozenset({"code", "clientid"})
"""Query parameters of the Functions host: a function key must never appear in a response."""

TRACE_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Call:
    """One authorized HTTP call. ``role`` is the most that its caller may do."""

    request: func.HttpRequest
    caller: Caller
    trace_id: str
    role: Role

    @property
    def job_id(self) -> UUID:
        """The id in the route. Raises ``Refusal`` for forms of a GUID that the route accepts but Python does not."""
        text = self.request.route_params["id"]
        try:
            return UUID(text.strip("(){}"))
        except ValueError:
            raise Refusal(NOT_FOUND, f"{text!r} is no job id; write it as the answer to the enqueue had it") from None

    def caller_for(self, reason: str | None) -> Caller:
        """Return the caller with the reason for this change."""
        return replace(self.caller, reason=reason)

    def parameters(self) -> dict[str, str]:
        """Return the parameters of the query, without those of the Functions host.

        Raises ``InvalidInput`` for text that the database cannot store, and so cannot compare either.
        """
        given = {name: each for name, each in self.request.params.items() if name.lower() not in HOST_PARAMETERS}
        for name, value in given.items():
            refuse_unstorable_text(name + value, f"/{name}")
        return given

    def json(self, limit: int = MAX_BODY) -> Any:
        """Parse the body strictly.

        Raises ``Refusal`` if it is too large or not JSON by its content type; ``MalformedJson``; ``InvalidInput``.
        """
        body = self.request.get_body()
        if not body and "chunked" in self.request.headers.get("transfer-encoding", "").lower():
            raise Refusal(
                LENGTH_REQUIRED,
                "the body came in chunks, and of those the Functions host hands none on; send it whole, with a "
                "Content-Length: in .NET as StringContent or after LoadIntoBufferAsync(), elsewhere not as a stream",
            )
        if len(body) > limit:
            raise Refusal(TOO_LARGE, f"the body has {len(body)} bytes; {limit} are the most that is read")
        content_type = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != "application/json" and not content_type.endswith("+json"):
            raise Refusal(
                NOT_JSON, f"the body came as {content_type or 'no type'}; send content-type: application/json"
            )
        if not body.strip():
            raise MalformedJson("the body is empty; send a JSON object")
        return parse_json(body)

    def command(self, model: type[Command]) -> Command:
        """Read the body as a command; raises as ``json`` does, and ``InvalidInput`` with one problem per fault."""
        return read(model, self.json())

    def wait_seconds(self) -> int | None:
        """Return how long ``Prefer: wait=n`` asks to wait for the job's end, at most 20 s; None if it does not ask.

        A preference that cannot be read is none (RFC 7240).
        """
        for preference in self.request.headers.get("prefer", "").split(","):
            name, _, value = preference.partition(";")[0].partition("=")
            seconds = value.strip().strip('"')
            if name.strip().lower() == "wait" and seconds.isascii() and seconds.isdigit() and len(seconds) < 10:  # noqa: PLR2004
                return min(int(seconds), LONGEST_WAIT_SECONDS)
        return None

    def has_current(self, tag: str) -> bool:
        """Whether ``If-None-Match`` names ``tag``, so that the caller has this answer already."""
        given = self.request.headers.get("if-none-match", "")
        return any(each.strip().removeprefix("W/") in {tag, "*"} for each in given.split(","))

    def revision(self) -> int | None:
        """Return the revision in ``If-Match``; None without the header or with ``*``."""
        tag = self.request.headers.get("if-match", "").strip()
        if tag in {"", "*"}:
            return None
        bare = tag.removeprefix("W/").strip('"').partition(".")[0]
        if not (bare.isascii() and bare.isdigit() and len(bare) < 20):  # noqa: PLR2004  digits of a bigint
            raise InvalidInput.at("", 'If-Match is not an ETag that this API gave; they look like "7.1f3c"')
        return int(bare)


def add_function(
    blueprint: func.Blueprint, access: Access, name: str, answer: Callable[[Call], func.HttpResponse]
) -> None:
    """Add the HTTP function ``name`` of the table of routes, which authorizes its caller and then calls ``answer``."""
    route = ROUTES[name]
    function = blueprint.route(route.path, methods=route.methods)(responding(access, role_for(name), answer))
    blueprint.function_name(name)(function)


def responding(
    access: Access, needed: Role, answer: Callable[[Call], func.HttpResponse]
) -> Callable[[func.HttpRequest, func.Context], func.HttpResponse]:
    """Wrap ``answer`` as an HTTP function that authorizes the caller and responds to errors with problem+json."""

    def respond(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        trace_parent, trace_id = trace_of(req, context)
        try:
            refuse_cross_site(req.method, req.headers)
            principal = access.admit(req.headers, needed)
            caller = Caller(actor=principal.name, trace_parent=trace_parent, may_manage=principal.may_manage)
            call = Call(req, caller, trace_id, principal.role)
            return unless_current(call, answer(call))
        except Exception as error:  # noqa: BLE001  every error becomes a response; unexpected ones are logged
            return problem_response(error, trace_id)

    return respond


def unless_current(call: Call, response: func.HttpResponse) -> func.HttpResponse:
    """Return the response to a read with its ETag; 304 without a body if the caller has it already."""
    if call.request.method not in {"GET", "HEAD"} or response.status_code != 200:  # noqa: PLR2004
        return response
    tag = response.headers.get("ETag") or f'"{digest(response.get_body())}"'
    response.headers["ETag"] = tag
    return func.HttpResponse(status_code=304, headers={"ETag": tag}) if call.has_current(tag) else response


def digest(body: bytes) -> str:
    """Return what tells one body from another, for an ETag."""
    return hashlib.sha256(body).hexdigest()[:16]


def read(model: type[Command], value: object) -> Command:
    """Validate ``value``, parsed JSON, by ``model``; raises ``InvalidInput``, which lists the known fields."""
    try:
        return read_command(model, value)
    except InvalidInput as error:
        raise with_own_messages(error, fields_of(model)) from None


def trace_of(req: func.HttpRequest, context: func.Context) -> tuple[str | None, str]:
    """Return the caller's trace context, else the host's, and the trace id.

    Without either, the trace id is the invocation's id, as 32 hex digits.
    """
    for found in (req.headers.get("traceparent"), getattr(context.trace_context, "Traceparent", None)):
        if found and TRACE_PARENT.fullmatch(found):
            return found, found.split("-")[1]
    return None, context.invocation_id.replace("-", "")


def json_response(value: Any, status: int = 200, **headers: str) -> func.HttpResponse:
    """Return a JSON response. Header names have underscores for hyphens."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    named = {name.replace("_", "-"): content for name, content in headers.items()}
    return func.HttpResponse(text, status_code=status, headers=named, mimetype="application/json")


def job_response(job: Job, status: int = 200, warnings: Sequence[str] = (), **headers: str) -> func.HttpResponse:
    """Return a response with a job and its ETag, and with ``warnings`` if there are any."""
    text = job_text(job, warnings)
    return json_response(text, status, ETag=etag_of(job, text), **headers)


def etag_of(job: Job, text: str) -> str:
    """Return the job's ETag: its revision, which ``If-Match`` compares, and a digest of the answer.

    The digest changes with what has no revision: progress, and the reason why a job waits.
    """
    return f'"{job.revision}.{digest(text.encode("utf-8", "replace"))}"'


_DROPPED = HOST_PARAMETERS | {"cursor"}


def next_link(path: str, call: Call, cursor: str | None) -> str:
    """Return the next page's relative URL as JSON: the same query with the cursor, without the function key."""
    if cursor is None:
        return "null"
    query = call.request.url.partition("?")[2]
    kept = [(name, value) for name, value in parse_qsl(query) if name.lower() not in _DROPPED]
    return json.dumps(f"{path}?{urlencode([*kept, ('cursor', cursor)])}")
