"""Which view a path leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.entrypoints.http.dashboard.views.audit import audit
from jobs.entrypoints.http.dashboard.views.enqueue import edit, enqueue
from jobs.entrypoints.http.dashboard.views.failures import failures
from jobs.entrypoints.http.dashboard.views.handlers import handlers
from jobs.entrypoints.http.dashboard.views.job import job
from jobs.entrypoints.http.dashboard.views.jobs import jobs
from jobs.entrypoints.http.dashboard.views.operations import operation
from jobs.entrypoints.http.dashboard.views.overview import overview
from jobs.entrypoints.http.dashboard.views.recurring import recurring
from jobs.entrypoints.http.dashboard.views.schedules import schedules
from jobs.entrypoints.http.dashboard.views.workers import workers
from jobs.entrypoints.http.problems import NO_ROUTE, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobs.entrypoints.http.dashboard.visit import View, Visit

VIEWS: Mapping[str, Callable[[Visit], View]] = {
    "": overview,
    "jobs": jobs,
    "recurring": recurring,
    "handlers": handlers,
    "failures": failures,
    "workers": workers,
    "schedules": schedules,
    "audit": audit,
    "enqueue": enqueue,
}
"""The views by path."""
VIEWS_OF_ONE: Mapping[str, Callable[[Visit], View]] = {
    "jobs": job,
    "edit": edit,
    "operations": operation,
}
"""The views of a single thing, by the segment before its id."""


def view_of(visit: Visit) -> View:
    """Return the view of a path; raises ``Refusal`` for a path that leads to none."""
    match visit.path:
        case ():
            found = VIEWS[""]
        case (name,) if name in VIEWS:
            found = VIEWS[name]
        case (name, _) if name in VIEWS_OF_ONE:
            found = VIEWS_OF_ONE[name]
        case _:
            raise Refusal(NO_ROUTE, "the dashboard has no such page; choose one from its navigation")
    return found(visit)
