"""Convert rows to the core's types."""

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
    """Return an alarm from id, generation and due time."""
    return Alarm(AlarmName(UUID(row[0]), row[1]), row[2])


def job_of(row: Sequence[Any]) -> Job:
    """Return a job from its three texts (see ``JOB_COLUMNS``); the payload is None if it was not selected."""
    fields, payload, metadata = row
    values: dict[str, Any] = read_json(fields)
    if options := values.pop("options"):
        values |= {name: options[name] for name in TIMING_OPTIONS.intersection(options)}
    readable = _json_or_text(metadata)
    values["metadata"] = readable if isinstance(readable, dict) else {"unreadable": metadata}
    values["payload"] = None if payload is None else _json_or_text(payload)
    return Job.model_validate(values)


def _json_or_text(text: str) -> Any:
    """Parse ``text``; JSON that the app refuses, such as a number of 5,000 digits written by hand, stays text."""
    try:
        value = read_json(text)
        check_depth(text, value)
    except (ValueError, RecursionError):
        return text
    return value


def run_of(row: Sequence[Any]) -> ClaimedRun:
    """Return a claimed run from its columns, in the order of ``CLAIMED``."""
    return ClaimedRun(UUID(row[0]), *row[1:])


def attempt_of(row: Sequence[Any]) -> Attempt:
    """Return an attempt from a row of the history."""
    values = dict(zip(Attempt.model_fields, row, strict=True))
    values["result"] = values["result"] and _json_or_text(values["result"])
    return Attempt.model_validate(values)


def recorded_of(row: Sequence[Any]) -> Recorded:
    """Return the job's state after an outcome was written."""
    token, status, generation, due_at = row
    return Recorded(token, _STATUSES[status], generation, due_at)
