"""Alarms, and the scheduler that holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from jobs.core.lifecycle.ids import AlarmName


class Alarm(NamedTuple):
    """An alarm to set: a callback for ``name`` at ``due_at`` (UTC)."""

    name: AlarmName
    due_at: datetime


class Backlog(NamedTuple):
    """The messages of a scheduler that is a queue: how many there are, and how many nobody could work on.

    ``oldest`` is since when the next message that may be taken is there; None where there is none.
    """

    waiting: int
    poisoned: int
    oldest: datetime | None


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

    @property
    def horizon(self) -> timedelta | None:
        """How far ahead it accepts alarms; the reconciler sets later ones in time. None is without limit."""

    on_return: Callable[[], object]
    """Called on one of the scheduler's threads as soon as it accepts alarms again after an outage."""

    def arm_many(self, alarms: Sequence[Alarm]) -> set[AlarmName]:
        """Set alarms. Returns the names that were accepted. Setting the same alarm twice is harmless.

        Alarms beyond the horizon are not accepted. Raises ``SchedulerUnavailable`` when none could be set.
        """

    def disarm_many(self, names: Iterable[AlarmName]) -> None:
        """Withdraw alarms. A missing alarm is harmless, and so is one that still fires."""

    def put_back(self, name: AlarmName, seconds: float) -> None:
        """Have an alarm that rang and could not be answered ring again after so many seconds.

        Does nothing where the scheduler repeats such an alarm by itself. Raises ``SchedulerUnavailable``.
        """

    def backlog(self) -> Backlog | None:
        """Return the messages that wait; None from a scheduler without any. Raises ``SchedulerUnavailable``."""

    def close(self) -> None:
        """Close the connections to the scheduler."""
