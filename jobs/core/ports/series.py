"""Time series of attempts: how many began, succeeded, failed and began late, by minute and by hour, per handler."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from jobs.core.lifecycle.figures import Step

KEPT_MINUTES = timedelta(hours=4)
"""Longer than they are read, so that an hour is added up from all of its minutes."""
ALL_HANDLERS = ""
"""The handler's name of the buckets that count all handlers. There is one for each minute, also an idle one."""


class Bucket(NamedTuple):
    """What happened within one step.

    ``failed`` counts failed attempts, those that are retried and those that lost their worker included. ``late`` counts
    runs whose first attempt began later after they were due than the grace allows.
    """

    at: datetime
    handler_name: str
    started: int
    succeeded: int
    failed: int
    late: int
    durations: Mapping[int, int]
    """How many attempts took how long, by bucket (``jobs.core.lifecycle.durations``)."""


class Totals(NamedTuple):
    """What happened to one handler's jobs within several steps."""

    handler_name: str
    started: int
    succeeded: int
    failed: int
    late: int
    durations: Mapping[int, int]


class Counted(NamedTuple):
    """Up to when attempts were counted, None while another instance counts; ``more`` if that is not yet now."""

    until: datetime | None
    more: bool


class SeriesStore(Protocol):
    """The series. They are counted from the history of attempts, apart from what records an attempt."""

    def count(self, late_after: timedelta) -> Counted:
        """Count a few minutes more, add up their hours, and delete old buckets. Counting a minute twice does no harm.

        Begins a minute before where the last call ended, for outcomes that were recorded late.
        """

    def last_counted(self) -> datetime | None:
        """Return when the latest minute that was counted began; None if none ever was, or that was hours ago."""

    def find(self, step: Step, handler_names: Collection[str]) -> list[Bucket]:
        """Return the buckets of these handlers within the step's span, the earliest first."""

    def totals(self, handler_names: Collection[str], window: timedelta) -> list[Totals]:
        """Return the sums of the hours of these handlers that began within ``window``, by name; none of an idle one."""
