"""A file of recurring jobs: its fields, and the check of its contents.

The file is ``{"owner": …, "jobs": [entry, …]}``, already parsed from YAML or JSON. An entry has the fields of an
enqueue except ``id`` and ``on_conflict``, which make no sense in a file.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from jobs.core.commands import EnqueueJob, Metadata, Name, Retries
from jobs.core.errors import InvalidInput, Problem
from jobs.core.lifecycle.job import Json
from jobs.core.lifecycle.reserved_metadata import reserved_of
from jobs.core.lifecycle.retry import RetryOptions
from jobs.core.pydantic_problems import problems_of
from jobs.core.schedules.timing import Duration, Timing

OWNER_KEY = "jobs.owner"
"""The metadata key that names the file a job belongs to; the filter ``metadata.jobs.owner=…`` lists its jobs."""


class RecurringJob(Timing):
    """One entry. A field that is left out resets the job to the default.

    Exceptions: without ``paused`` the job stays as operators set it; without ``max_retries``, ``retry`` and ``timeout``
    the handler's own values apply.
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
        """The fields of ``Timing`` and their values."""
        return {name: getattr(self, name) for name in Timing.model_fields}

    def command(self, owner: str) -> EnqueueJob:
        """Return the command that creates the job, with ``owner`` in its metadata."""
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
    """The contents of a valid file: all recurring jobs of ``owner``, and no others. Names are unique."""

    owner: str
    jobs: tuple[RecurringJob, ...]


class _FileShape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    owner: Name | None = None
    jobs: list[Any]


@dataclass(slots=True)
class ParsedFile:
    """The readable entries of a file by their position, and every fault found.

    Faulty fields of an entry are replaced by placeholders, so that the rest of the entry can be checked.
    """

    owner: str | None = None
    entries: dict[int, RecurringJob] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    _faulty: dict[int, set[Any]] = field(default_factory=dict)

    def add(self, place: int, entry: object) -> None:
        """Read the entry at ``place``, and note its faults."""
        try:
            self.entries[place] = RecurringJob.model_validate(entry)
        except ValidationError as error:
            self.problems += problems_of(error, entry, f"/jobs/{place}")
            if isinstance(entry, dict):
                self._faulty[place] = {part for fault in error.errors() for part in fault["loc"][:1]}
                valid = {name: entry[name] for name in entry if name not in self._faulty[place]}
                with suppress(ValidationError):  # a fault that pydantic finds only now is reported on the next attempt
                    self.entries[place] = RecurringJob.model_validate(_PLACEHOLDERS | valid)

    def note(self, place: int, error: InvalidInput) -> None:
        """Add the faults of an entry, except those of a placeholder."""
        for each in error.problems:
            if each.pointer.removeprefix("/").partition("/")[0] not in self._faulty.get(place, ()):
                self.problems.append(Problem(f"/jobs/{place}{each.pointer}", each.detail))

    def note_repeated_names(self) -> None:
        """Add a fault for each entry whose name an earlier entry has."""
        first: dict[str, int] = {}
        for place, entry in self.entries.items():
            known = first.setdefault(entry.job_name, place)
            if known != place:
                detail = f"{entry.job_name!r} is the name of entry {known + 1} too; a name is one job's"
                self.note(place, InvalidInput.at("/job_name", detail))


_PLACEHOLDERS = {"job_name": "-", "handler_name": "-", "schedule": "@daily"}


def read_entries(value: object, owner: str | None) -> ParsedFile:
    """Check the shape of parsed YAML or JSON. ``owner`` is used for a file that names none.

    Faults are collected and not raised, so that the caller can report them together with those it finds itself.
    """
    try:
        shape = _FileShape.model_validate(value)
    except ValidationError as error:
        return ParsedFile(problems=problems_of(error, value))
    parsed = ParsedFile(owner=shape.owner or owner)
    if parsed.owner is None:
        parsed.problems.append(
            Problem("/owner", "says whose jobs these are, so that no other file removes them; name one, or use --owner")
        )
    elif owner is not None and owner != parsed.owner:
        parsed.problems.append(Problem("/owner", f"the file belongs to {parsed.owner!r}, and --owner says {owner!r}"))
    for place, entry in enumerate(shape.jobs):
        parsed.add(place, entry)
    parsed.note_repeated_names()
    return parsed
