"""Check a file of recurring jobs against the handlers and the grammar of schedules, and report all faults at once."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from jobs.app.commands.timeout_limit import refuse_timeout
from jobs.core.as_code.file import ScheduleFile, read_entries
from jobs.core.errors import InvalidInput, InvalidSchedule
from jobs.core.strict_json import refuse_unstorable_text, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime, timedelta

    from jobs.core.as_code.file import RecurringJob
    from jobs.core.handlers.registry import HandlerRegistry


def check_file(
    value: object,
    owner: str | None,
    registry: HandlerRegistry,
    now: datetime,
    *,
    longest_run: timedelta | None = None,
) -> ScheduleFile:
    """Read parsed YAML or JSON; ``owner`` is for a file that names none. Uses no database.

    ``longest_run`` is how long the host lets an attempt run, None without end.

    Raises ``InvalidInput`` with every fault of the file, each at its pointer, such as ``/jobs/2/payload/to``.
    """
    reading = read_entries(value, owner)
    for place, entry in reading.entries.items():
        for check in _checks(entry, registry, now, longest_run):
            try:
                check()
            except InvalidInput as error:
                reading.note(place, error)
    if reading.problems or reading.owner is None:
        raise InvalidInput(sorted(reading.problems, key=lambda problem: _place(problem.pointer)))
    return ScheduleFile(reading.owner, tuple(reading.entries.values()))


def is_over(entry: RecurringJob, now: datetime) -> bool:
    """Whether the entry's last run lies behind it, so that there is no job to make for it any more."""
    return entry.end_at is not None and entry.end_at <= now


def _checks(
    entry: RecurringJob, registry: HandlerRegistry, now: datetime, longest_run: timedelta | None
) -> Iterator[Callable[[], object]]:
    yield lambda: registry.require(entry.handler_name)
    yield lambda: refuse_unstorable_text(entry.handler_name, "/handler_name")
    yield lambda: refuse_unstorable_text(entry.job_name, "/job_name")
    yield lambda: write_json(entry.metadata, "/metadata")
    yield lambda: _check_payload(entry, registry)
    yield lambda: _check_timing(entry, now)
    yield lambda: refuse_timeout(entry.timeout, longest_run)


def _check_payload(entry: RecurringJob, registry: HandlerRegistry) -> None:
    payload = write_json(entry.payload, "/payload")
    spec = registry.get(entry.handler_name)
    if spec is not None:
        spec.read_arguments(payload)


def _check_timing(entry: RecurringJob, now: datetime) -> None:
    recurrence = entry.recurrence(anchor=now)
    if not recurrence.schedule.recurring:
        raise InvalidSchedule.at(
            "/schedule",
            "runs once; a file is for recurring jobs, so give a cron expression, @every or a word such as @daily",
        )
    # A file outlives its jobs: one that has come to its end is no fault, or a deployment would break by the calendar.
    if not is_over(entry, now) and recurrence.first(now, Random(0)) is None:  # noqa: S311  only whether there is one
        raise InvalidSchedule.at(
            "/schedule", "this never runs: no fire lies between now or start_at and end_at; change it or the bounds"
        )


def _place(pointer: str) -> tuple[int, str]:
    parts = pointer.split("/")
    return (int(parts[2]) if len(parts) > 2 and parts[2].isdigit() else -1, pointer)  # noqa: PLR2004  /jobs/N
