"""Alarms, and the scheduler that holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from jobs.core.lifecycle.ids import AlarmName


class Alarm(NamedTuple):
    """An alarm to set: a callback for ``name`` at ``due_at`` (UTC)."""

    name: AlarmName
    due_at: datetime


class Scheduler(Protocol):
    """An alarm clock and nothing more: losing every alarm makes runs late, but loses none."""

    @property
    def name(self) -> str:
        """The value of ``JOBS_SCHEDULER`` that selects it."""

    @property
    def holds_alarms(self) -> bool:
        """Whether alarms live outside the database and must be set; False if due rows are polled instead."""

    @property
    def available(self) -> bool:
        """False while it is known to refuse alarms, so that due jobs must be polled. Makes no call."""

    @property
    def unavailable_reason(self) -> str | None:
        """Why it refuses alarms, in a sentence; None while it is available. Makes no call."""

    on_return: Callable[[], object]
    """Called on one of the scheduler's threads as soon as it accepts alarms again after an outage."""

    def arm_many(self, alarms: Sequence[Alarm]) -> set[AlarmName]:
        """Set alarms. Returns the names that were accepted. Setting the same alarm twice is harmless.

        Raises ``SchedulerUnavailable`` when none could be set.
        """

    def disarm_many(self, names: Iterable[AlarmName]) -> None:
        """Withdraw alarms. A missing alarm is harmless, and so is one that still fires."""

    def close(self) -> None:
        """Close the connections to the scheduler."""
