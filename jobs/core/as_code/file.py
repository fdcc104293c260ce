"""A file of recurring jobs: what an entry may say, and what is wrong with what is written there.

The file is ``{"owner": …, "jobs": [entry, …]}``; how it was parsed is no matter here. An entry has the fields of an
enqueue but ``id`` and ``on_conflict``, which would make no sense in it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from jobs.core.commands import EnqueueJob, Metadata, Name, Retries, problems_of
from jobs.core.errors import InvalidInput, Problem
from jobs.core.lifecycle.job import Json
from jobs.core.lifecycle.reserved_metadata import reserved_of
from jobs.core.lifecycle.retry import RetryOptions
from jobs.core.schedules.timing import Duration, Timing

OWNER_KEY = "jobs.owner"
"""The key in a job's metadata that says which file it belongs to; ``metadata.jobs.owner=…`` lists those of one."""


class RecurringJob(Timing):
    """One entry. What is left out is the default, also on a job that has another value.

    ``paused`` left out leaves the job as operators have it. ``max_retries``, ``retry`` and ``timeout`` left out are
    the handler's own.
    """

    handler_name: Name
    job_name: Name
    schedule: str
    payload: Json = Field(default_factory=dict)
    metadata: Metadata = Field(default_factory=dict)
    max_retries: Retries | None = None
    retry: RetryOptions | None = None
    timeout: Duration | None = None
    paused: bool | None = None

    @field_validator("metadata")
    @classmethod
    def _owner_is_the_files(cls, value: Metadata) -> Metadata:
        if OWNER_KEY in value:
            raise ValueError(f"{OWNER_KEY} is set by jobs apply, to the file's owner; use another key")
        if taken := reserved_of(value):
            raise ValueError(f"{min(taken)} begins with 'jobs.', which is the framework's own; use another key")
        return value

    @property
    def timing(self) -> dict[str, Any]:
        """When it runs, by the names of ``Timing``'s fields."""
        return {name: getattr(self, name) for name in Timing.model_fields}

    def command(self, owner: str) -> EnqueueJob:
        """Return the command that makes the job, as one of ``owner``'s."""
        return EnqueueJob(
            **self.timing,
            handler_name=self.handler_name,
            job_name=self.job_name,
            payload=self.payload,
            metadata=self.metadata | {OWNER_KEY: owner},
            max_retries=self.max_retries,
            retry=self.retry,
            timeout=self.timeout,
        )


@dataclass(frozen=True, slots=True)
class ScheduleFile:
    """What a file says: these are ``owner``'s recurring jobs, and it has no others. Names are unique."""

    owner: str
    jobs: tuple[RecurringJob, ...]


class _Whole(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    owner: Name | None = None
    jobs: list[Any]


@dataclass(slots=True)
class Reading:
    """A file as far as it could be read: entries by their place in it, and every fault that was found.

    An entry with faulty fields has stand-ins for these, so that the rest of it can be checked.
    """

    owner: str | None = None
    entries: dict[int, RecurringJob] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    _faulty: dict[int, set[Any]] = field(default_factory=dict)

    def add(self, place: int, entry: object) -> None:
        """Read an entry."""
        try:
            self.entries[place] = RecurringJob.model_validate(entry)
        except ValidationError as error:
            self.problems += problems_of(error, entry, f"/jobs/{place}")
            if isinstance(entry, dict):
                self._faulty[place] = {part for fault in error.errors() for part in fault["loc"][:1]}
                sound = {name: entry[name] for name in entry if name not in self._faulty[place]}
                with suppress(ValidationError):  # what pydantic finds only now is told once the rest is mended
                    self.entries[place] = RecurringJob.model_validate(_STAND_INS | sound)

    def note(self, place: int, error: InvalidInput) -> None:
        """Add the faults of an entry, but those of a stand-in."""
        for each in error.problems:
            if each.pointer.removeprefix("/").partition("/")[0] not in self._faulty.get(place, ()):
                self.problems.append(Problem(f"/jobs/{place}{each.pointer}", each.detail))

    def note_repeated_names(self) -> None:
        """Add a fault for each entry with the name of one before it."""
        first: dict[str, int] = {}
        for place, entry in self.entries.items():
            known = first.setdefault(entry.job_name, place)
            if known != place:
                detail = f"{entry.job_name!r} is the name of entry {known + 1} too; a name is one job's"
                self.note(place, InvalidInput.at("/job_name", detail))


_STAND_INS = {"job_name": "-", "handler_name": "-", "schedule": "@daily"}


def read_entries(value: object, owner: str | None) -> Reading:
    """Read parsed YAML or JSON as far as its shape goes. ``owner`` stands for a file that names none.

    Nothing is raised: whoever checks the entries further wants to tell all faults at once.
    """
    try:
        whole = _Whole.model_validate(value)
    except ValidationError as error:
        return Reading(problems=problems_of(error, value))
    reading = Reading(owner=whole.owner or owner)
    if reading.owner is None:
        reading.problems.append(
            Problem("/owner", "says whose jobs these are, so that no other file removes them; name one, or use --owner")
        )
    elif owner is not None and owner != reading.owner:
        reading.problems.append(Problem("/owner", f"the file belongs to {reading.owner!r}, and --owner says {owner!r}"))
    for place, entry in enumerate(whole.jobs):
        reading.add(place, entry)
    reading.note_repeated_names()
    return reading
