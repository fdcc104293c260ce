"""The overview: what is wrong now, how much there is, and how it went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.core.lifecycle.figures import Step
from jobs.core.lifecycle.status import JobStatus
from jobs.core.ports.series import ALL_HANDLERS
from jobs.entrypoints.http.dashboard.charts import chart_of, marks_of
from jobs.entrypoints.http.dashboard.troubles import troubles
from jobs.entrypoints.http.dashboard.visit import View, Visit
from jobs.entrypoints.http.stats import stats

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from jobs.core.ports.series import Bucket

_MOST_HANDLERS = 30


def overview(visit: Visit) -> View:
    """Return the first page."""
    found = stats(visit.runtime, visit.tokens)
    step = Step.HOUR if visit.wants("step") == Step.HOUR else Step.MINUTE
    buckets = visit.runtime.series.find(step, [ALL_HANDLERS])
    at = steps_of(step, buckets)
    by_moment = {bucket.at: bucket for bucket in buckets}

    def figures(name: str) -> list[int]:
        return [getattr(by_moment[moment], name) if moment in by_moment else 0 for moment in at]

    return View(
        "overview.html",
        "Overview",
        "",
        {
            "troubles": troubles(found),
            "stats": found,
            "tiles": _tiles(found),
            "handlers": _handlers(found),
            "step": step.value,
            "attempts": chart_of(at, {"succeeded": figures("succeeded"), "failed": figures("failed")}),
            "late": chart_of(at, {"late": figures("late")}),
            "marks": marks_of(at, step.length, visit.runtime.workers.versions()),
        },
    )


def steps_of(step: Step, buckets: Sequence[Bucket]) -> list[datetime]:
    """Return every step up to the last that was counted, over the whole span, so that a chart's scale stands still."""
    if not buckets:
        return []
    last = max(bucket.at for bucket in buckets)
    count = step.span // step.length
    return [last - step.length * number for number in range(count - 1, -1, -1)]


def _tiles(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the counts of jobs, each with the search that lists them; a count is None where it was not to be had."""
    more = set(found["at_least"])
    jobs = found["jobs"]
    tiles = [
        {
            "label": status.value,
            "count": None if jobs is None else jobs.get(status, 0),
            "more": f"/jobs/{status}" in more,
            "query": f"status:{status}",
        }
        for status in (JobStatus.RUNNING, JobStatus.SCHEDULED, JobStatus.FAILED, JobStatus.COMPLETED)
    ]
    due = {
        "label": "Due now",
        "count": found["due"] and found["due"]["count"],
        "more": "/due/count" in more,
        "query": "overdue:true",
    }
    paused = {"label": "Paused", "count": found["paused"], "more": "/paused" in more, "query": "paused:true"}
    return [tiles[0], due, tiles[1], paused, tiles[2], tiles[3]]


def _handlers(found: dict[str, Any]) -> list[tuple[str, dict[str, int]]]:
    """Return the counts of the handlers with the most jobs under way, at most so many."""
    handlers = found["handlers"] or {}
    return sorted(handlers.items(), key=lambda each: (-each[1].get("Running", 0), each[0]))[:_MOST_HANDLERS]
