"""What every HTTP function does alike: admit the caller, read strictly, answer, and turn errors into problems."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import UUID

import azure.functions as func

from jobs.app.enqueued import Caller
from jobs.core.commands import Command, read_command
from jobs.core.errors import InvalidInput
from jobs.core.strict_json import MalformedJson, parse_json
from jobs.entrypoints.problems import (
    NOT_FOUND,
    NOT_JSON,
    TOO_LARGE,
    Refusal,
    fields_of,
    in_plain_words,
    problem_answer,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.core.job import Job
    from jobs.entrypoints.access import Access, Role

MAX_BODY = 256 * 1024
HOST_PARAMETERS = frozenset({"code", "clientid"})
"""Query parameters that are the Functions host's: a function key must never come back in an answer."""

_TRACE_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Call:
    """One admitted HTTP call."""

    request: func.HttpRequest
    caller: Caller

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
        trace_parent = _trace_parent(req, context)
        try:
            principal = access.admit(req.headers, needed)
            caller = Caller(actor=principal.name, trace_parent=trace_parent, may_manage=principal.may_manage)
            return answer(Call(req, caller))
        except Exception as error:  # noqa: BLE001  every error is answered, the unexpected ones logged
            return problem_answer(error, _trace_id(trace_parent) or context.invocation_id)

    return respond


def read(model: type[Command], value: object) -> Command:
    """Check ``value``, parsed JSON, against ``model``; raises ``InvalidInput`` that names the fields there are."""
    try:
        return read_command(model, value)
    except InvalidInput as error:
        raise in_plain_words(error, fields_of(model)) from None


def _trace_parent(req: func.HttpRequest, context: func.Context) -> str | None:
    found = req.headers.get("traceparent") or getattr(context.trace_context, "Traceparent", None) or ""
    return found if _TRACE_PARENT.fullmatch(found) else None


def _trace_id(trace_parent: str | None) -> str | None:
    return trace_parent.split("-")[1] if trace_parent else None


def json_answer(value: Any, status: int = 200, **headers: str) -> func.HttpResponse:
    """Answer with JSON. Header names come with underscores for hyphens."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    named = {name.replace("_", "-"): content for name, content in headers.items()}
    return func.HttpResponse(text, status_code=status, headers=named, mimetype="application/json")


def job_answer(job: Job, status: int = 200, **headers: str) -> func.HttpResponse:
    """Answer with a job and its ETag."""
    return json_answer(job.model_dump_json(), status, ETag=etag_of(job), **headers)


def etag_of(job: Job) -> str:
    """Give the job's ETag: its revision."""
    return f'"{job.revision}"'


def sibling_url(url: str, path: str) -> str:
    """Give the address of ``path`` on the host that was called, without the query, which may hold a key."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


_NOT_KEPT = HOST_PARAMETERS | {"cursor"}


def next_url(url: str, cursor: str) -> str:
    """Give the address of the next page: the same query with the cursor, and without the function key."""
    parts = urlsplit(url)
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name.lower() not in _NOT_KEPT]
    return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode([*kept, ("cursor", cursor)]), ""))
