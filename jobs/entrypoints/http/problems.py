"""Errors as RFC 9457 problem+json: a stable type, what is wrong, where, and what to do; never internal details."""

from __future__ import annotations

import functools
import json
import logging
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_args

import azure.functions as func
from pydantic import BaseModel

from jobs.core.diagnostics.error_text import log_lines, traceback_of
from jobs.core.errors import (
    ConfigurationError,
    Conflict,
    IdempotencyKeyReused,
    InvalidInput,
    JobIdTaken,
    JobNameTaken,
    JobNotFound,
    JobsError,
    NotAllowed,
    PreconditionFailed,
    Problem,
    Unavailable,
)
from jobs.core.strict_json import MalformedJson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_logger = logging.getLogger("jobs.api")
TYPES = "urn:jobs:problem:"
RETRY_AFTER_SECONDS = 5
_MAX_ERRORS = 100
_MAX_ERRORS_IN_DETAIL = 3
_MAX_NESTING = 5


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem. ``word`` is the end of its type, which is stable for callers."""

    word: str
    status: int
    title: str


MALFORMED = Kind("malformed-json", 400, "The body is not JSON that can be accepted")
UNAUTHENTICATED = Kind("unauthenticated", 401, "Sign in first")
BAD_TOKEN = Kind("bad-callback-token", 401, "The callback's token is missing or wrong")
FORBIDDEN = Kind("forbidden", 403, "Your roles do not allow this")
CLOSED = Kind("api-closed", 403, "The API is closed")
CROSS_SITE = Kind("cross-site", 403, "Another site's page may not call this")
NOT_FOUND = Kind("job-not-found", 404, "No such job")
NO_ROUTE = Kind("not-found", 404, "There is nothing at this address")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "This address does not take that method")
NAME_TAKEN = Kind("job-name-taken", 409, "An active job holds the name")
ID_TAKEN = Kind("job-id-taken", 409, "A job with that id exists")
CONFLICT = Kind("conflict", 409, "The job's state does not allow this")
LENGTH_REQUIRED = Kind("length-required", 411, "Send the body with a Content-Length")
PRECONDITION = Kind("precondition-failed", 412, "The job has changed")
TOO_LARGE = Kind("too-large", 413, "The request is too large")
NOT_JSON = Kind("unsupported-media-type", 415, "Send JSON")
INVALID = Kind("invalid-request", 422, "The request is well formed but wrong")
KEY_REUSED = Kind("idempotency-key-reused", 422, "The idempotency key belongs to another request")
INTERNAL = Kind("internal-error", 500, "Something went wrong on our side")
NOT_CONFIGURED = Kind("not-configured", 503, "The app is not configured")
UNAVAILABLE = Kind("unavailable", 503, "Not available at the moment")

KINDS = tuple(each for each in list(vars().values()) if isinstance(each, Kind))
"""Every kind of problem, by status."""

_BY_ERROR: tuple[tuple[type[Exception], Kind], ...] = (
    (MalformedJson, MALFORMED),
    (IdempotencyKeyReused, KEY_REUSED),
    (InvalidInput, INVALID),
    (JobNotFound, NOT_FOUND),
    (JobNameTaken, NAME_TAKEN),
    (JobIdTaken, ID_TAKEN),
    (Conflict, CONFLICT),
    (PreconditionFailed, PRECONDITION),
    (NotAllowed, FORBIDDEN),
    (ConfigurationError, NOT_CONFIGURED),
    (Unavailable, UNAVAILABLE),
)


class Refusal(JobsError):
    """A request that is refused before it reaches the service. Header names have underscores for hyphens."""

    def __init__(self, kind: Kind, detail: str, **headers: str) -> None:
        self.kind = kind
        self.headers = {name.replace("_", "-"): content for name, content in headers.items()}
        super().__init__(detail)


def kind_of(error: Exception) -> Kind:
    """Return the kind of problem that ``error`` is answered with."""
    if isinstance(error, Refusal):
        return error.kind
    return next((kind for raised, kind in _BY_ERROR if isinstance(error, raised)), INTERNAL)


def problem_of(error: Exception, trace_id: str | None) -> dict[str, Any]:
    """Return the problem for ``error``. An unexpected error is logged; its problem has only the trace id."""
    kind = kind_of(error)
    detail = str(error)
    if kind is INTERNAL:
        _logger.error("an API call failed (trace %s)%s", trace_id, log_lines(traceback_of(error, whole=True)))
        detail = "the details are in the app's log under this trace id"
    elif kind is UNAVAILABLE:
        _logger.warning("an API call found a dependency away (trace %s): %s", trace_id, error)
        detail = (
            f"a dependency cannot be reached now; try again in {RETRY_AFTER_SECONDS} seconds. A write may have gone "
            "through all the same, so repeat an enqueue with the same Idempotency-Key, job_name or id"
        )
    body: dict[str, Any] = {"type": TYPES + kind.word, "title": kind.title, "status": kind.status, "detail": detail}
    if isinstance(error, InvalidInput):
        problems = with_own_messages(error).problems
        body["detail"] = _summary(problems)
        body["errors"] = [{"pointer": each.pointer, "detail": each.detail} for each in problems[:_MAX_ERRORS]]
    if isinstance(error, JobNameTaken):
        body["holder"] = str(error.holder)
    if trace_id:
        body["trace_id"] = trace_id
    return body


def problem_response(error: Exception, trace_id: str | None) -> func.HttpResponse:
    """Return the response for ``error``."""
    body = problem_of(error, trace_id)
    headers = dict(error.headers) if isinstance(error, Refusal) else {}
    if body["status"] == UNAVAILABLE.status:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    text = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    return func.HttpResponse(text, status_code=body["status"], headers=headers, mimetype="application/problem+json")


def _summary(problems: Sequence[Problem]) -> str:
    listed = "; ".join(f"{each.pointer or 'the request'}: {each.detail}" for each in problems[:_MAX_ERRORS_IN_DETAIL])
    more = len(problems) - _MAX_ERRORS_IN_DETAIL
    return f"{listed}; and {more} more" if more > 0 else listed


def with_own_messages(error: InvalidInput, fields: Mapping[str, Sequence[str]] | None = None) -> InvalidInput:
    """Return ``error`` with pydantic's messages replaced by our own.

    ``fields`` has the known field names at each pointer; the message for an unknown field lists them.
    """
    return InvalidInput([_with_own_message(problem, fields or {}) for problem in error.problems])


def _with_own_message(problem: Problem, fields: Mapping[str, Sequence[str]]) -> Problem:
    parent, _, name = problem.pointer.rpartition("/")
    detail = problem.detail
    if detail == "Extra inputs are not permitted":
        known = f"; known here are {', '.join(fields[parent])}" if fields.get(parent) else "; leave it out"
        close = get_close_matches(name.lower(), fields.get(parent, ()), n=1)
        detail = f"there is no field {name!r}{known}{f'; is {close[0]!r} meant?' if close else ''}"
    else:
        detail = next((ours for theirs, ours in _OWN_MESSAGES.items() if detail.startswith(theirs)), detail)
    return Problem(problem.pointer, detail)


_SHAPES = {
    "DstOptions": 'give such as {"gap": "shift", "overlap": "once"}; gap is shift or skip, overlap is once or twice',
    "MisfireOptions": 'give "run_once", "skip", or {"policy": "catch_up", "max": 10, "grace": "PT1M"}',
    "RetryOptions": 'give such as {"base": "PT10S", "factor": 2, "cap": "PT1H", "jitter": true}',
}
_FILE = (
    "a file of recurring jobs says at its top whose they are, as in owner: billing, and has them as a list under jobs:"
)
_ENTRY = "an entry has such as {job_name: nightly, handler_name: CleanupData, schedule: '@daily'}"
_OBJECT = 'send a JSON object here: {"…": …}'
_INSTANT = (
    "not an instant; write date, time and offset from UTC, as in 2026-12-01T09:00:00Z or 2026-12-01T12:00:00+03:00"
)
_OWN_MESSAGES = {
    **{f"Input should be a valid dictionary or instance of {name}": shape for name, shape in _SHAPES.items()},
    "Input should be a valid dictionary or instance of _FileShape": _FILE,
    "Input should be a valid dictionary or instance of RecurringJob": _ENTRY,
    "Input should be a valid dictionary": _OBJECT,
    "Input should be an object": _OBJECT,
    "Input should have timezone info": _INSTANT,
    "Input should be a valid datetime": _INSTANT,
    "Input should be a valid timedelta": "not a duration; write ISO 8601 such as PT30S, PT1H30M or P1D",
}


@functools.lru_cache(maxsize=256)
def fields_of(
    model: type[BaseModel], pointer: str = "", within: tuple[type[BaseModel], ...] = ()
) -> dict[str, tuple[str, ...]]:
    """Return the field names of ``model`` at ``pointer`` and of its nested models, by JSON Pointer.

    ``within`` is the path to the model; a recursive model is not followed again.
    """
    found = {pointer: tuple(field.alias or name for name, field in model.model_fields.items())}
    path = (*within, model)
    for name, field in model.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in path and len(path) < _MAX_NESTING:
                found |= fields_of(kind, f"{pointer}/{field.alias or name}", path)
    return found
