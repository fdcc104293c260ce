"""The playground for schedules: what an expression means, what to beware of, and when it fires."""

from __future__ import annotations

from typing import Any
from zoneinfo import available_timezones

from jobs.core.commands import PreviewSchedule
from jobs.core.errors import InvalidInput
from jobs.entrypoints.http.dashboard.visit import View, Visit
from jobs.entrypoints.http.exchange import read
from jobs.entrypoints.http.preview import fires_of
from jobs.entrypoints.http.problems import with_own_messages

_COUNT = 20
_EXAMPLES = (
    ("0 9 * * MON-FRI", "Europe/Berlin"),
    ("30 2 * * *", "Europe/Berlin"),
    ("0 0 12 L * *", "UTC"),
    ("@every 1h30m", "UTC"),
    ("0 0 * * 1#1", "America/New_York"),
    ("PT15M", "UTC"),
)
_FIELDS = ("schedule", "timezone", "after", "day_match")


def schedules(visit: Visit) -> View:
    """Return the preview of the expression in the URL."""
    given = {name: visit.wants(name).strip() for name in _FIELDS}
    dst = {name: visit.wants(name) for name in ("gap", "overlap") if visit.wants(name)}
    found: dict[str, Any] | None = None
    faults: list[tuple[str, str]] = []
    if given["schedule"]:
        wanted: dict[str, Any] = {name: value for name, value in given.items() if value}
        try:
            found = fires_of(read(PreviewSchedule, {**wanted, "dst": dst, "count": _COUNT}), visit.runtime.clock.now)
        except InvalidInput as error:
            faults = [(each.pointer.strip("/"), each.detail) for each in with_own_messages(error).problems]
    return View(
        "schedules.html",
        "Schedules",
        "schedules",
        {
            "given": given,
            "dst": dst,
            "found": found,
            "faults": faults,
            "examples": _EXAMPLES,
            "zones": sorted(available_timezones()),
        },
    )
