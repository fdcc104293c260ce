"""The steps that make existing jobs match a file. All functions are pure.

=========  ======================================================================================
create     no active job has the name
update     the job differs in fields that a PATCH can change; it keeps its id and its history
replace    the handler differs, which no update can change: the job is cancelled and a new one created
restart    the job is as in the file, but its cancellation was requested; a new one is created when it has ended
remove     the owner's job is not in the file
same       nothing to do
=========  ======================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from jobs.core.as_code.file import OWNER_KEY
from jobs.core.commands import UpdateJob
from jobs.core.schedules.durations import format_duration
from jobs.core.schedules.timing import Timing
from jobs.core.strict_json import same_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.core.as_code.file import RecurringJob
    from jobs.core.handlers.specs import HandlerSpec
    from jobs.core.lifecycle.job import Job


class Action(StrEnum):
    """What a step does with one job."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    RESTART = "restart"
    REMOVE = "remove"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a plan. ``why`` describes the differences for people, without values of payload or metadata."""

    action: Action
    job_name: str
    entry: RecurringJob | None = None
    job: Job | None = None
    why: tuple[str, ...] = ()
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def changes_something(self) -> bool:
        """Whether there is anything to do."""
        return self.action is not Action.SAME

    @property
    def warnings(self) -> list[str]:
        """Warnings about the schedule that the step sets."""
        sets = self.action is not Action.UPDATE or self.changes.keys() & {"schedule", "day_match"}
        return self.entry.schedule_warnings if self.entry and self.changes_something and sets else []

    @property
    def update(self) -> UpdateJob | None:
        """The update to send; None if only ``paused`` differs."""
        fields = {name: value for name, value in self.changes.items() if name != "paused"}
        return UpdateJob(**fields) if fields else None


def step_for(entry: RecurringJob, job: Job | None, spec: HandlerSpec, owner: str) -> Step:
    """Return the step for an entry and the active job of its name, None if there is none."""
    if job is None:
        zone = "" if entry.timezone == "UTC" else f" {entry.timezone}"
        made = f"{entry.handler_name}, {_shown(entry.schedule)}{zone}"
        return Step(Action.CREATE, entry.job_name, entry, why=(made,))
    if job.handler_name != entry.handler_name:
        handlers = f"handler_name: {job.handler_name} -> {entry.handler_name}"
        return Step(Action.REPLACE, entry.job_name, entry, job, (handlers,))
    if job.cancel_requested_at is not None:
        return Step(Action.RESTART, entry.job_name, entry, job, ("was asked to end while it runs",))
    changes: dict[str, Any] = {}
    why: list[str] = []
    for name, value, words in _differences(entry, job, spec, owner):
        changes[name] = value
        why.append(words)
    return Step(Action.UPDATE if changes else Action.SAME, entry.job_name, entry, job, tuple(why), changes)


def is_as_written(entry: RecurringJob, job: Job, spec: HandlerSpec, owner: str) -> bool:
    """Whether a job is as the entry describes it; an ended one has then completed the entry's runs."""
    differs = (name for name, _, _ in _differences(entry, job, spec, owner) if name != "paused")
    return job.handler_name == entry.handler_name and next(differs, None) is None


def _differences(entry: RecurringJob, job: Job, spec: HandlerSpec, owner: str) -> Iterator[tuple[str, Any, str]]:
    """Yield each field that differs, with its new value and a description of the difference."""
    for name in Timing.model_fields:
        old, new = getattr(job, name), getattr(entry, name)
        if old != new:
            yield name, new, f"{name}: {_shown(old)} -> {_shown(new)}"
    if not same_json(job.payload, entry.payload):
        yield "payload", entry.payload, f"payload: {_keys_that_differ(job.payload, entry.payload)}"
    elif job.payload_version != spec.version:  # the file's payload is for the current version of the handler
        yield "payload", entry.payload, f"payload: version {job.payload_version} -> {spec.version}"
    metadata = entry.metadata | {OWNER_KEY: owner}
    if not same_json(job.metadata, metadata):
        yield "metadata", metadata, f"metadata: {_keys_that_differ(job.metadata, metadata)}"
    max_retries = spec.retry.max_retries if entry.max_retries is None else entry.max_retries
    if job.max_retries != max_retries:
        yield "max_retries", max_retries, f"max_retries: {job.max_retries} -> {max_retries}"
    if _fields_of(job.retry) != _fields_of(entry.retry):
        yield "retry", entry.retry, f"retry: {_shown(job.retry)} -> {_shown(entry.retry)}"
    timeout = entry.timeout or spec.timeout
    if job.timeout != timeout:
        yield "timeout", timeout, f"timeout: {_shown(job.timeout)} -> {_shown(timeout)}"
    if entry.paused is not None and job.paused != entry.paused:
        yield "paused", entry.paused, "pause" if entry.paused else "resume"


def _keys_that_differ(old: Any, new: Any) -> str:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return "another value"
    names = [name for name in (old | new) if name not in old or name not in new or not same_json(old[name], new[name])]
    return ", ".join(sorted(names))


def _fields_of(value: Any) -> dict[str, Any]:
    return {} if value is None else value.model_dump(exclude_none=True)


def _shown(value: Any) -> str:
    """Return a value of the timing or of the retry options as one line of text."""
    if value is None:
        return "none"
    if hasattr(value, "total_seconds"):
        return format_duration(value)
    if hasattr(value, "model_dump"):
        fields = value.model_dump(mode="json", exclude_none=True, exclude_unset=True)
        return " ".join(f"{name} {setting}" for name, setting in fields.items()) or "default"
    text = value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else str(value)
    return " ".join(text.split())
