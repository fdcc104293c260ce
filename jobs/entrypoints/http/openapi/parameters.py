"""The parameters and headers that calls have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.core.lifecycle.audit import MAX_REASON
from jobs.core.queries import (
    INSTANT_FILTERS,
    MAX_GROUPS,
    MAX_PAGE,
    AuditQuery,
    FailureQuery,
    HandlerQuery,
    HistoryQuery,
    JobFilter,
    SeriesQuery,
)
from jobs.entrypoints.http.openapi.described import Header, Parameter

if TYPE_CHECKING:
    from collections.abc import Mapping

_ID = "01980000-0000-7000-8000-000000000000"
_LIST = {"style": "form", "explode": False}

JOB_ID = Parameter("id", "path", "The job's id.", {"type": "string", "format": "uuid"}, _ID, required=True)
ALARM = Parameter(
    "alarm", "path", "The alarm's name: the job's id in hex, a hyphen, and the generation.", {"type": "string"},
    f"{_ID.replace('-', '')}-1", required=True,
)  # fmt: skip
CALLBACK_TOKEN = Parameter(
    "dapr-api-token", "header", "One of `JOBS_CALLBACK_TOKENS`.", {"type": "string"}, "a-secret-of-the-sidecar"
)
IF_MATCH = Parameter(
    "If-Match",
    "header",
    "An `ETag` that this API gave. If the job has changed since, the call is answered 412 and changes nothing.",
    {"type": "string", "pattern": r'^(\*|(W/)?"?\d{1,19}(\.[0-9a-f]*)?"?)$'},
    '"7.1f3c"',
)
IF_NONE_MATCH = Parameter(
    "If-None-Match",
    "header",
    "An `ETag` that this API gave. If the answer would be the same, it is 304 without a body.",
    {"type": "string"},
    '"7.1f3c"',
)
IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "header",
    "Printable ASCII. A repeat with the same body is answered as the first call was; with another body 422. Kept for a "
    "day, per caller.",
    {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"},
    "order-2-mail",
)
PREFER = Parameter(
    "Prefer",
    "header",
    "`wait=n` waits up to n seconds, 20 at most, for the job to end, and holds no thread for it. Where too many wait "
    "already it is not heeded; `Preference-Applied` says whether it was.",
    {"type": "string"},
    "wait=10",
)
APPLIED = Header("The preference that was heeded.", "wait=10", always=False)
TRY_AGAIN = Header("After a wait, where the job has not ended: after how many seconds to try again.", "2", always=False)
ETAG = Header("The job's revision and a digest of the answer, in quotes. `If-Match` compares the revision.", '"7.1f3c"')
LOCATION = Header("The relative URL of the job.", f"/api/jobs/{_ID}")
REPLAYED = Header("`true` where the answer is that of the first call under the key.", "true", always=False)
RETRY_AFTER = Header("After how many seconds to try again.", "5")
AUTHENTICATE = Header("How to sign in.", "Bearer")


def _text(name: str) -> str:
    return str(JobFilter.model_fields[name].description)


def _many(name: str, schema: Mapping[str, Any], example: list[str], more: str = "") -> Parameter:
    """Return a filter that takes alternatives, separated by commas."""
    listed = {"type": "array", "items": schema, "maxItems": 50}
    return Parameter(name, "query", f"{_text(name)} {more}".strip(), listed, example, style=_LIST)


def _one(name: str, schema: Mapping[str, Any], example: Any, description: str = "") -> Parameter:
    return Parameter(name, "query", description or _text(name), schema, example)


_STRING = {"type": "string"}
_MOMENT = {"type": "string", "format": "date-time"}

PAGING = (
    _one(
        "limit", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 50}, 50,
        str(HistoryQuery.model_fields["limit"].description),
    ),
    _one("cursor", _STRING, "MjAyNi0xMi0wMVQwODowMDowMCswMDowMCAwMTk4", "The place from which to go on, from `next`."),
)  # fmt: skip

FILTERS = (
    _many("status", {"$ref": "#/components/schemas/JobStatus"}, ["Scheduled", "Failed"]),
    _many("handler_name", _STRING, ["SendEmail"]),
    _many(
        "job_name", _STRING, ["order-*"],
        r"With `*` at its end, a prefix; `\*` is a star within a name. In each filter `\,` is a comma within a value.",
    ),
    _many("parent_id", {"type": "string", "format": "uuid"}, [_ID]),
    Parameter(
        "metadata", "query",
        "`metadata.KEY=value`: the value at `KEY` of the metadata, read as text and as JSON, so that `7` matches `7` "
        'and `"7"`; up to 8 of these.',
        {"type": "object", "additionalProperties": _STRING, "propertyNames": {"pattern": r"^metadata\..+"}},
        {"metadata.OrderId": "7"}, style={"style": "form", "explode": True},
    ),
    _many("failure", _STRING, ["1203f8e55ed776db"]),
    *(_one(name, {"type": "boolean"}, True) for name in ("paused", "recurring", "overdue")),
    *(
        _one(f"{name}_{bound}", _MOMENT, "2026-12-01T09:00:00Z")
        for name in INSTANT_FILTERS for bound in ("after", "before")
    ),
    _one("include", {"type": "string", "enum": ["payload"]}, "payload", "`payload` puts payloads into the list."),
    *PAGING,
)  # fmt: skip
"""The filters of the list of jobs, in a query string."""

REASON = _one(
    "reason", {"type": "string", "minLength": 1, "maxLength": MAX_REASON}, "sent twice", "Why; kept in the audit."
)
_ACTIONS = {"type": "array", "items": _STRING, "maxItems": 50}
AUDIT_FILTERS = (
    *(
        Parameter(name, "query", str(AuditQuery.model_fields[name].description), _ACTIONS, [example], style=_LIST)
        for name, example in (("actor", "ann@example.com"), ("action", "pause"))
    ),
    *(
        _one(name, _MOMENT, "2026-12-01T09:00:00Z", str(AuditQuery.model_fields[name].description))
        for name in ("after", "before")
    ),
    *PAGING,
)

HANDLER_FIGURES = _one(
    "include", {"type": "string", "enum": ["figures"]}, "figures", str(HandlerQuery.model_fields["include"].description)
)
FAILURE_FILTERS = (
    _one(
        "window", {"type": "string", "format": "duration", "default": "P1D"}, "PT1H",
        str(FailureQuery.model_fields["window"].description),
    ),
    Parameter(
        "handler_name", "query", str(FailureQuery.model_fields["handler_name"].description),
        {"type": "array", "items": _STRING, "maxItems": 50}, ["SendEmail"], style=_LIST,
    ),
    _one(
        "limit", {"type": "integer", "minimum": 1, "maximum": MAX_GROUPS, "default": 50}, 50,
        str(FailureQuery.model_fields["limit"].description),
    ),
)  # fmt: skip

SERIES_FILTERS = (
    _one("step", {"$ref": "#/components/schemas/Step"}, "hour", str(SeriesQuery.model_fields["step"].description)),
    Parameter(
        "handler_name", "query", str(SeriesQuery.model_fields["handler_name"].description),
        {"type": "array", "items": _STRING, "maxItems": 50}, ["SendEmail"], style=_LIST,
    ),
)  # fmt: skip
