"""The workers: which processes run jobs, since when, what they hold, and what version of the app they run."""

from __future__ import annotations

from typing import NamedTuple

from jobs.core.ports.workers import MOST_WORKERS, KnownWorker
from jobs.entrypoints.http.dashboard.visit import View, Visit


class Row(NamedTuple):
    """A worker, and its state in a word."""

    worker: KnownWorker
    status: str


def workers(visit: Visit) -> View:
    """Return the workers that live and those that were lost of late, and the versions of the app."""
    found = visit.runtime.workers.find(MOST_WORKERS + 1)
    return View(
        "workers.html",
        "Workers",
        "workers",
        {
            "rows": [Row(each, _status(each)) for each in found[:MOST_WORKERS]],
            "more": len(found) > MOST_WORKERS,
            "versions": visit.runtime.workers.versions(),
        },
    )


def _status(worker: KnownWorker) -> str:
    if worker.lost:
        return "Lost"
    return "draining" if worker.state.draining else "live"
