"""What every HTTP function does alike: admit the caller, read strictly, answer, and turn errors into problems."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import azure.functions as func

from jobs.app.commands.callers import Caller
from jobs.core.commands import Command, read_command
from jobs.core.errors import InvalidInput
from jobs.core.strict_json import MalformedJson, parse_json
from jobs.entrypoints.http.problems import (
    LENGTH_REQUIRED,
    NOT_FOUND,
    NOT_JSON,
    TOO_LARGE,
    Refusal,
    fields_of,
    in_plain_words,
    problem_answer,
)
from jobs.entrypoints.http.rendering import job_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobs.app.runtime import Runtime
    from jobs.core.commands import EnqueueJob
    from jobs.core.lifecycle.job import Job
    from jobs.entrypoints.http.access import Access, Role

MAX_BODY = 256 * 1024
READING = ("GET", "HEAD")
"""The methods of a call that changes nothing: of a HEAD the host leaves the body out."""
KEY_HEADER = "idempotency-key"
HOST_PARAMETERS = frozenset({"code", "clientid"})
"""Query parameters that are the Functions host's: a function key must never come back in an answer."""

TRACE_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Call:
    """One admitted HTTP call."""

    request: func.HttpRequest
    caller: Caller
    trace_id: str

    @property
    def job_id(self) -> UUID:
        """The id in the route. The route's constraint has let it through, but .NET knows more ways to write a GUID."""
        text = self.request.route_params["id"]
        try:
            return UUID(text.strip("(){}"))
        except ValueError:
            raise Refusal(NOT_FOUND, f"{text!r} is no job id; write it as the answer to the enqueue had it") from None

    def json(self, limit: int = MAX_BODY) -> Any:
        """Parse the body strictly.

        Raises ``Refusal`` for what is too large or no JSON by its content type, ``MalformedJson``, ``InvalidInput``.
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

    def revision(self) -> int | None:
        """Read the revision that ``If-Match`` names; None without it or with ``*``."""
        tag = self.request.headers.get("if-match", "").strip()
        if tag in {"", "*"}:
            return None
        bare = tag.removeprefix("W/").strip('"')
        if not (bare.isascii() and bare.isdigit() and len(bare) < 20):  # noqa: PLR2004  digits of a bigint
            raise InvalidInput.at("", 'If-Match is not an ETag that this API gave; they look like "7"')
        return int(bare)


def answering(
    access: Access, needed: Role, answer: Callable[[Call], func.HttpResponse]
) -> Callable[[func.HttpRequest, func.Context], func.HttpResponse]:
    """Wrap ``answer`` as the body of an HTTP function, so that whatever it raises becomes a problem+json answer."""

    def respond(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        trace_parent, trace_id = trace_of(req, context)
        try:
            principal = access.admit(req.headers, needed)
            caller = Caller(actor=principal.name, trace_parent=trace_parent, may_manage=principal.may_manage)
            return answer(Call(req, caller, trace_id))
        except Exception as error:  # noqa: BLE001  every error is answered, the unexpected ones logged
            return problem_answer(error, trace_id)

    return respond


def read(model: type[Command], value: object) -> Command:
    """Check ``value``, parsed JSON, against ``model``; raises ``InvalidInput`` that names the fields there are."""
    try:
        return read_command(model, value)
    except InvalidInput as error:
        raise in_plain_words(error, fields_of(model)) from None


def trace_of(req: func.HttpRequest, context: func.Context) -> tuple[str | None, str]:
    """Return the caller's trace context, else the host's, and the trace's id.

    Where there is neither, the id is the invocation's, as the 32 hex digits that the id of a trace has.
    """
    for found in (req.headers.get("traceparent"), getattr(context.trace_context, "Traceparent", None)):
        if found and TRACE_PARENT.fullmatch(found):
            return found, found.split("-")[1]
    return None, context.invocation_id.replace("-", "")


def json_answer(value: Any, status: int = 200, **headers: str) -> func.HttpResponse:
    """Answer with JSON. Header names come with underscores for hyphens."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    named = {name.replace("_", "-"): content for name, content in headers.items()}
    return func.HttpResponse(text, status_code=status, headers=named, mimetype="application/json")


def job_answer(job: Job, status: int = 200, warnings: Sequence[str] = (), **headers: str) -> func.HttpResponse:
    """Answer with a job and its ETag, and with ``warnings`` beside its fields where there are any."""
    return json_answer(job_text(job, warnings), status, ETag=etag_of(job), **headers)


def etag_of(job: Job) -> str:
    """Return the job's ETag: its revision."""
    return f'"{job.revision}"'


_NOT_KEPT = HOST_PARAMETERS | {"cursor"}


def next_link(path: str, call: Call, cursor: str | None) -> str:
    """Return the next page's relative address as JSON: the same query with the cursor, without the function key."""
    if cursor is None:
        return "null"
    query = call.request.url.partition("?")[2]
    kept = [(name, value) for name, value in parse_qsl(query) if name.lower() not in _NOT_KEPT]
    return json.dumps(f"{path}?{urlencode([*kept, ('cursor', cursor)])}")


def payload_fields(runtime: Runtime, command: EnqueueJob) -> dict[str, tuple[str, ...]]:
    """Return the names of the fields that a job's payload may have, by where they stand."""
    spec = runtime.registry.get(command.handler_name)
    return fields_of(spec.arguments, "/payload") if spec else {}
