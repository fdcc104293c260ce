"""The preview of an expression's next fire times, for HTTP and the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.core.commands import PreviewSchedule
from jobs.core.errors import InvalidInput
from jobs.core.schedules.description import describe
from jobs.core.schedules.timing import Timing

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_TIMING_FIELDS = PreviewSchedule.model_fields.keys() & Timing.model_fields.keys()


def preview(command: PreviewSchedule, now: Callable[[], datetime]) -> dict[str, Any]:
    """Return kind, description, warnings, and runs as JSON has them: instant in UTC, local time with offset, note.

    ``after`` defaults to ``now()``. Raises ``InvalidInput`` naming the field.
    """
    found = fires_of(command, now)
    runs = [{"at": _utc_text(fire.at), "local": fire.local.isoformat(), "note": fire.note} for fire in found["runs"]]
    return {**found, "runs": runs}


def fires_of(command: PreviewSchedule, now: Callable[[], datetime]) -> dict[str, Any]:
    """Return the same with the runs as ``Fire``."""
    after = command.after or now()
    timing = Timing(**{name: getattr(command, name) for name in _TIMING_FIELDS})
    recurrence = timing.recurrence(anchor=after)
    try:
        fires = recurrence.preview(after, command.count)
    except OverflowError:
        raise InvalidInput.at("/after", "the runs after this leave the years 1 to 9999; choose another") from None
    return {
        "kind": "recurring" if recurrence.schedule.recurring else "one-time",
        "description": describe(recurrence.schedule, command.start_at),
        "warnings": timing.warnings_at(after),
        "runs": fires,
    }


def _utc_text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
