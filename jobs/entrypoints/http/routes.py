"""The routes of the HTTP API, in one table: each function's method, path, and the role that it requires."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Role(StrEnum):
    """What a caller may do; each role includes the ones above it."""

    READ = "Jobs.Read"
    ENQUEUE = "Jobs.Enqueue"
    MANAGE = "Jobs.Manage"


class Route(NamedTuple):
    """A function's method, its path as a template, and its role; None is open to every caller.

    ``function_key`` is whether the Functions host asks for a key.
    """

    method: str
    path: str
    role: Role | None
    function_key: bool = True

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods to register. What can be read answers HEAD too; the host removes the body."""
        match self.method:
            case "GET":
                return ("GET", "HEAD")
            case "*":
                return ANY_METHOD
            case _:
                return (self.method,)


ANY_METHOD = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_JOB = "api/jobs/{id:guid}"

ROUTES: Mapping[str, Route] = {
    "enqueue_job": Route("POST", "api/jobs", Role.ENQUEUE),
    "enqueue_jobs": Route("POST", "api/jobs/batch", Role.ENQUEUE),
    "list_jobs": Route("GET", "api/jobs", Role.READ),
    "search_jobs": Route("POST", "api/jobs/search", Role.READ),
    "get_job": Route("GET", _JOB, Role.READ),
    "get_attempts": Route("GET", f"{_JOB}/attempts", Role.READ),
    "get_job_audit": Route("GET", f"{_JOB}/audit", Role.READ),
    "update_job": Route("PATCH", _JOB, Role.MANAGE),
    "delete_job": Route("DELETE", _JOB, Role.MANAGE),
    "run_job": Route("POST", f"{_JOB}/run", Role.MANAGE),
    "pause_job": Route("POST", f"{_JOB}/pause", Role.MANAGE),
    "resume_job": Route("POST", f"{_JOB}/resume", Role.MANAGE),
    "retry_job": Route("POST", f"{_JOB}/retry", Role.MANAGE),
    "list_audit": Route("GET", "api/audit", Role.READ),
    "start_bulk": Route("POST", "api/bulk", Role.MANAGE),
    "get_bulk": Route("GET", "api/bulk/{id:guid}", Role.READ),
    "cancel_bulk": Route("DELETE", "api/bulk/{id:guid}", Role.MANAGE),
    "preview_schedule": Route("POST", "api/schedules/preview", Role.READ),
    "list_handlers": Route("GET", "api/handlers", Role.READ),
    "list_failures": Route("GET", "api/failures", Role.READ),
    "list_workers": Route("GET", "api/workers", Role.READ),
    "get_stats": Route("GET", "api/stats", Role.READ),
    "get_series": Route("GET", "api/series", Role.READ),
    "get_openapi": Route("GET", "api/openapi.json", Role.READ),
    "get_openapi_3_0": Route("GET", "api/openapi-3.0.json", Role.READ),
    "get_docs": Route("GET", "api/docs", Role.READ),
    "dashboard_fragment": Route("GET", "dashboard/view/{*path}", Role.READ),
    "dashboard_page": Route("GET", "dashboard/{*path}", None, function_key=False),
    "health_live": Route("GET", "api/health/live", None, function_key=False),
    "health_ready": Route("GET", "api/health/ready", None, function_key=False),
    "ring_alarm": Route("POST", "job/{alarm}", None, function_key=False),
    "zz_unmatched": Route("*", "{*path}", Role.READ),
}
"""Every HTTP function, by its name. A function that is not listed cannot be registered.

Open are the probes, which reveal only the app's health; the scheduler's callback, which has a token of its own; and the
dashboard's frame, which has no data. Its views, the fragments, need a role as the API does. Their name sorts before
that of the frame, whose route matches their paths too: of all matches the host takes the first function by name.
An enqueue with ``on_conflict: replace`` cancels the holder of the name, so it also requires manage, unless the caller
enqueued the holder.
"""


def role_for(function_name: str) -> Role:
    """Return the role that a function requires; ``KeyError`` for a function that is missing or open in ``ROUTES``."""
    needed = ROUTES[function_name].role
    if needed is None:
        raise KeyError(f"{function_name} is open in the table of routes, so nothing can be asked of its callers")
    return needed
