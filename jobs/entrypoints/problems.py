"""Errors as RFC 9457 problem+json: a stable type, what was wrong, where, and what to do; never an inner secret."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any

import azure.functions as func

from jobs.core.errors import (
    ConfigurationError,
    Conflict,
    IdempotencyKeyReused,
    InvalidInput,
    JobIdTaken,
    JobNameTaken,
    JobNotFound,
    JobsError,
    PreconditionFailed,
    Unavailable,
)
from jobs.core.strict_json import MalformedJson

_logger = logging.getLogger("jobs.api")
_TYPES = "urn:jobs:problem:"
RETRY_AFTER_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem. ``word`` ends its type, which callers may rely on."""

    word: str
    status: int
    title: str


MALFORMED = Kind("malformed-json", 400, "The body is not JSON that can be accepted")
UNAUTHENTICATED = Kind("unauthenticated", 401, "Sign in first")
FORBIDDEN = Kind("forbidden", 403, "Your roles do not allow this")
NOT_FOUND = Kind("job-not-found", 404, "No such job")
NAME_TAKEN = Kind("job-name-taken", 409, "An active job holds the name")
ID_TAKEN = Kind("job-id-taken", 409, "A job with that id exists")
CONFLICT = Kind("conflict", 409, "The job's state does not allow this")
PRECONDITION = Kind("precondition-failed", 412, "The job has changed")
TOO_LARGE = Kind("too-large", 413, "The request is too large")
NOT_JSON = Kind("unsupported-media-type", 415, "Send JSON")
INVALID = Kind("invalid-request", 422, "The request is well formed but wrong")
KEY_REUSED = Kind("idempotency-key-reused", 422, "The idempotency key belongs to another request")
INTERNAL = Kind("internal-error", 500, "Something went wrong on our side")
NOT_CONFIGURED = Kind("not-configured", 503, "The app is not configured")
UNAVAILABLE = Kind("unavailable", 503, "Not available at the moment")

_KINDS: tuple[tuple[type[Exception], Kind], ...] = (
    (MalformedJson, MALFORMED),
    (IdempotencyKeyReused, KEY_REUSED),
    (InvalidInput, INVALID),
    (JobNotFound, NOT_FOUND),
    (JobNameTaken, NAME_TAKEN),
    (JobIdTaken, ID_TAKEN),
    (Conflict, CONFLICT),
    (PreconditionFailed, PRECONDITION),
    (ConfigurationError, NOT_CONFIGURED),
    (Unavailable, UNAVAILABLE),
)


class Refusal(JobsError):
    """A request that is refused before the service is asked."""

    def __init__(self, kind: Kind, detail: str, **headers: str) -> None:
        self.kind = kind
        self.headers = headers
        super().__init__(detail)


def problem_of(error: Exception, trace_id: str | None) -> dict[str, Any]:
    """Describe ``error`` to a caller; what was not raised on purpose is logged and told only by its trace id."""
    kind = error.kind if isinstance(error, Refusal) else next((k for t, k in _KINDS if isinstance(error, t)), INTERNAL)
    detail = str(error)
    if kind is INTERNAL:
        _logger.error("an API call failed", exc_info=error)
        detail = "the details are in the app's log under this trace id"
    elif kind is UNAVAILABLE:
        _logger.warning("an API call found a dependency away: %s", error)
        detail = "a dependency cannot be reached now; nothing is known to be written, so try again later"
    body: dict[str, Any] = {"type": _TYPES + kind.word, "title": kind.title, "status": kind.status, "detail": detail}
    if isinstance(error, InvalidInput):
        body["detail"] = "see errors" if len(error.problems) != 1 else error.problems[0].detail
        body["errors"] = [{"pointer": problem.pointer, "detail": problem.detail} for problem in error.problems]
    if isinstance(error, JobNameTaken):
        body["holder"] = str(error.holder)
    if trace_id:
        body["trace_id"] = trace_id
    return body


def problem_answer(error: Exception, trace_id: str | None) -> func.HttpResponse:
    """Answer a call with ``error``."""
    body = problem_of(error, trace_id)
    headers = dict(error.headers) if isinstance(error, Refusal) else {}
    if body["status"] == UNAVAILABLE.status:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    text = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    return func.HttpResponse(text, status_code=body["status"], headers=headers, mimetype="application/problem+json")
