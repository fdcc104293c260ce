"""Rows into what the core knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.job import TIMING_OPTIONS, Attempt, ClaimedRun, Job, Recorded
from jobs.core.lifecycle.status import JobStatus
from jobs.core.ports.scheduler import Alarm
from jobs.core.strict_json import check_depth, read_json

if TYPE_CHECKING:
    from collections.abc import Sequence

_STATUSES = {status.value: status for status in JobStatus}


def alarm_of(row: Sequence[Any]) -> Alarm:
    """Make an alarm of id, generation and due time."""
    return Alarm(AlarmName(UUID(row[0]), row[1]), row[2])


def job_of(row: Sequence[Any]) -> Job:
    """Read a job from its three texts (see ``JOB_COLUMNS``); the payload is None where it was not asked for."""
    fields, payload, metadata = row
    values: dict[str, Any] = read_json(fields)
    if options := values.pop("options"):
        values |= {name: options[name] for name in TIMING_OPTIONS.intersection(options)}
    readable = _json_or_text(metadata)
    values["metadata"] = readable if isinstance(readable, dict) else {"unreadable": metadata}
    values["payload"] = None if payload is None else _json_or_text(payload)
    return Job.model_validate(values)


def _json_or_text(text: str) -> Any:
    """Parse ``text``; what only a person at the database would have written (a number of 5,000 digits) stays text."""
    try:
        value = read_json(text)
        check_depth(text, value)
    except (ValueError, RecursionError):
        return text
    return value


def run_of(row: Sequence[Any]) -> ClaimedRun:
    """Read a claimed run, in the order of its statement's columns."""
    return ClaimedRun(UUID(row[0]), *row[1:])


def attempt_of(row: Sequence[Any]) -> Attempt:
    """Read one line of history."""
    values = dict(zip(Attempt.model_fields, row, strict=True))
    values["result"] = values["result"] and _json_or_text(values["result"])
    return Attempt.model_validate(values)


def recorded_of(row: Sequence[Any]) -> Recorded:
    """Read what stands after an outcome."""
    token, status, generation, due_at = row
    return Recorded(token, _STATUSES[status], generation, due_at)
