"""Validate a file of recurring jobs by the handlers and the grammar of schedules, and report all faults at once."""

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
    """Validate parsed YAML or JSON; ``owner`` is used for a file that names none. Uses no database.

    ``longest_run`` is the host's limit on the duration of an attempt, None for no limit.

    Raises ``InvalidInput`` with every fault of the file, each at its pointer, such as ``/jobs/2/payload/to``.
    """
    parsed = read_entries(value, owner)
    for place, entry in parsed.entries.items():
        for check in _checks(entry, registry, now, longest_run):
            try:
                check()
            except InvalidInput as error:
                parsed.note(place, error)
    if parsed.problems or parsed.owner is None:
        raise InvalidInput(sorted(parsed.problems, key=lambda problem: _place(problem.pointer)))
    return ScheduleFile(parsed.owner, tuple(parsed.entries.values()))


def is_over(entry: RecurringJob, now: datetime) -> bool:
    """Whether the entry's ``end_at`` has passed, so that it no longer needs a job."""
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
    # A file outlives its jobs: an entry whose end has passed is valid, or deployments would fail by the calendar.
    if not is_over(entry, now) and recurrence.first(now, Random(0)) is None:  # noqa: S311  only whether there is one
        raise InvalidSchedule.at(
            "/schedule", "this never runs: no fire lies between now or start_at and end_at; change it or the bounds"
        )


def _place(pointer: str) -> tuple[int, str]:
    parts = pointer.split("/")
    return (int(parts[2]) if len(parts) > 2 and parts[2].isdigit() else -1, pointer)  # noqa: PLR2004  /jobs/N
