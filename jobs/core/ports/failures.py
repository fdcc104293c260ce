"""Failures grouped by their cause."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from jobs.core.lifecycle.figures import COUNT_TO
from jobs.core.lifecycle.status import AttemptOutcome
from jobs.core.queries import FailureQuery

MOST_CAUSES = 2_000
"""How many causes, each of one handler, are looked at. Where there are more, those that are listed are not all."""


class FailureSample(NamedTuple):
    """The latest failed attempt of a group."""

    job_id: UUID
    handler_name: str
    outcome: AttemptOutcome
    error: str | None
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """The failed attempts of one cause within a window.

    ``count`` and ``still_failed``, the jobs that are Failed and whose last error is of this cause, are bounded: one
    more than the bound stands for any number. ``handlers`` are sorted.
    """

    failure: str
    count: int
    first_at: datetime
    last_at: datetime
    handlers: tuple[str, ...]
    still_failed: int
    sample: FailureSample


class FailureGroups(NamedTuple):
    """Groups of failures, those that failed last first. ``more`` is whether there may be others."""

    groups: list[FailureGroup]
    more: bool


class FailureLog(Protocol):
    """The failures of the history, by their fingerprint (``jobs.core.lifecycle.failures``)."""

    def find(self, query: FailureQuery, count_to: int = COUNT_TO) -> FailureGroups:
        """Return the groups of the query's window. It takes as long however often each cause was met.

        Raises ``StoreUnavailable`` also where so many causes were met that it takes longer than the store allows.
        """
