"""The handlers of this release: what they do, their limits and how far these are used, how their attempts fared."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from jobs.core.lifecycle.status import JobStatus
from jobs.core.schedules.durations import describe_duration
from jobs.entrypoints.http.dashboard.visit import View, Visit
from jobs.entrypoints.http.handlers import figures_of

if TYPE_CHECKING:
    from datetime import timedelta

    from jobs.core.handlers.specs import HandlerSpec
    from jobs.entrypoints.http.answers import HandlerFigures, HandlerUse

_LINK = re.compile(r"https://[^\s<>\"'`)\]]+")


class Limit(NamedTuple):
    """A limit in words, and how much of it is used."""

    words: str
    used: int
    of: int


class Row(NamedTuple):
    """A handler. ``docs`` is the first link in its docstring; ``figures`` are None of one that this release lacks."""

    name: str
    description: str | None
    docs: str | None
    version: int
    retries: int
    timeout: timedelta | None
    limits: list[Limit]
    figures: HandlerFigures | None
    jobs: int = 0


def handlers(visit: Visit) -> View:
    """Return the handlers of this release, and after them those that jobs name and that this release lacks."""
    runtime = visit.runtime
    specs = runtime.registry.all()
    figures = figures_of(runtime, specs)
    known = [_row(visit, spec, figures[spec.name]) for spec in specs]
    counts: dict[str, dict[str, int]] = runtime.housekeeping.stats()["handlers"] or {}
    missing = [
        Row(name, None, None, 0, 0, None, [], None, _active(by_status))
        for name, by_status in counts.items()
        if runtime.registry.get(name) is None and _active(by_status)
    ]
    return View("handlers.html", "Handlers", "handlers", {"rows": [*known, *missing]})


def _active(by_status: dict[str, int]) -> int:
    return sum(count for status, count in by_status.items() if JobStatus(status).active)


def _row(visit: Visit, spec: HandlerSpec, figures: HandlerFigures) -> Row:
    text = (spec.target.__doc__ or "").strip()
    link = _LINK.search(text)
    return Row(
        spec.name,
        text.partition("\n")[0] or None,
        link[0].rstrip(".,;:") if link else None,
        spec.version,
        spec.retry.max_retries,
        visit.runtime.views.timeout_of(spec),
        _limits(spec, figures.use),
        figures,
    )


def _limits(spec: HandlerSpec, use: HandlerUse | None) -> list[Limit]:
    limits = spec.limits
    if limits is None or use is None:
        return []
    found = []
    if limits.concurrency is not None:
        found.append(Limit("At once", use.running, limits.concurrency))
    if limits.concurrency_key is not None:
        found.append(Limit("At once of the fullest key", use.most_of_one_key, limits.per_key or 1))
    if limits.rate is not None:
        found.append(Limit(f"Starts in {describe_duration(limits.rate.per)}", use.started or 0, limits.rate.count))
    return found
