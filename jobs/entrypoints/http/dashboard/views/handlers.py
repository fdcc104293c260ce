"""The handlers of this release: what they do, their limits and how far these are used, how their attempts fared."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from jobs.core.lifecycle.status import JobStatus
from jobs.core.schedules.durations import describe_duration
from jobs.entrypoints.http.dashboard.visit import View, Visit

if TYPE_CHECKING:
    from jobs.core.handlers.specs import HandlerSpec

_LINK = re.compile(r"https://[^\s<>\"'`)\]]+")


class Limit(NamedTuple):
    """A limit in words, and how much of it is used; None where that is not counted."""

    words: str
    used: int | None
    of: int | None


class Row(NamedTuple):
    """A handler."""

    name: str
    description: str | None
    docs: str | None
    version: int
    retries: int
    timeout: timedelta | None
    limits: list[Limit]
    counts: dict[str, int]
    more: set[str]
    known: bool


def handlers(visit: Visit) -> View:
    """Return the handlers of this release, and after them those that jobs name and that this release lacks."""
    runtime = visit.runtime
    specs = runtime.registry.all()
    stats = runtime.housekeeping.stats()
    counts: dict[str, dict[str, int]] = stats["handlers"] or {}
    known = [_row(visit, spec, counts, stats) for spec in specs]
    missing = [
        Row(name, None, None, 0, 0, None, [], by_status, set(), known=False)
        for name, by_status in counts.items()
        if runtime.registry.get(name) is None and any(JobStatus(status).active for status in by_status)
    ]
    return View("handlers.html", "Handlers", "handlers", {"rows": [*known, *missing]})


def _row(visit: Visit, spec: HandlerSpec, counts: dict[str, dict[str, int]], stats: dict[str, Any]) -> Row:
    text = (spec.target.__doc__ or "").strip()
    link = _LINK.search(text)
    pointer = f"/handlers/{spec.name.replace('~', '~0').replace('/', '~1')}/"
    return Row(
        spec.name,
        text.partition("\n")[0] or None,
        link[0].rstrip(".,;:") if link else None,
        spec.version,
        spec.retry.max_retries,
        visit.runtime.views.timeout_of(spec),
        limits_of(visit, spec),
        counts.get(spec.name, {}),
        {each.removeprefix(pointer) for each in stats["at_least"] if each.startswith(pointer)},
        known=True,
    )


def limits_of(visit: Visit, spec: HandlerSpec) -> list[Limit]:
    """Return a handler's limits over all instances, with their use now."""
    limits = spec.limits
    if limits is None:
        return []
    rate = limits.rate
    usage = visit.runtime.runs.limit_usage({spec.name: rate.per if rate is not None else timedelta()})
    found = []
    if limits.concurrency is not None:
        found.append(Limit("at once", usage.running.get(spec.name, 0), limits.concurrency))
    if limits.concurrency_key is not None:
        fullest = max((count for (name, _), count in usage.running_by_key.items() if name == spec.name), default=0)
        found.append(Limit("at once of the fullest key", fullest, limits.per_key))
    if rate is not None:
        found.append(Limit(f"starts in {describe_duration(rate.per)}", usage.started.get(spec.name, 0), rate.count))
    return found
