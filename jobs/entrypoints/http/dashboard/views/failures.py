"""Failures by their cause: ten thousand of three causes are three rows."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from jobs.core.lifecycle.failures import failure_of
from jobs.core.lifecycle.figures import COUNT_TO
from jobs.core.lifecycle.status import JobStatus
from jobs.core.queries import FailureQuery
from jobs.core.strict_json import exact_json
from jobs.entrypoints.http.dashboard.visit import View, Visit

if TYPE_CHECKING:
    from jobs.core.ports.failures import FailureGroup

WINDOWS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}


class Group(NamedTuple):
    """A cause. Counts are up to what is counted; ``filter`` selects its Failed jobs for an operation."""

    group: FailureGroup
    kind: str
    message: str
    place: str
    times: int
    more: bool
    still_failed: int
    more_failed: bool
    filter: str


def failures(visit: Visit) -> View:
    """Return the causes of a window, those met last first."""
    window = visit.wants("window") if visit.wants("window") in WINDOWS else "day"
    handler = visit.wants("handler")
    query = FailureQuery(window=WINDOWS[window], handler_name=(handler,) if handler else ())
    found = visit.runtime.failures.find(query)
    return View(
        "failures.html",
        "Failures",
        "failures",
        {
            "groups": [_group(each) for each in found.groups],
            "more": found.more,
            "window": window,
            "windows": tuple(WINDOWS),
            "handler": handler,
        },
    )


def _group(group: FailureGroup) -> Group:
    cause = failure_of(group.sample.outcome, group.sample.error)
    return Group(
        group,
        cause.kind if cause else group.sample.outcome.value,
        cause.message if cause else "",
        cause.place if cause else "",
        min(group.count, COUNT_TO),
        group.count > COUNT_TO,
        min(group.still_failed, COUNT_TO),
        group.still_failed > COUNT_TO,
        exact_json({"status": [JobStatus.FAILED.value], "failure": [group.failure]}),
    )
