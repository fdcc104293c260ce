"""Alarms, and what sets them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from jobs.core.lifecycle.ids import AlarmName


class Alarm(NamedTuple):
    """An alarm to set: call back about ``name`` at ``due_at`` (UTC)."""

    name: AlarmName
    due_at: datetime


class Scheduler(Protocol):
    """An alarm clock, no more. Losing every alarm costs lateness, never a run."""

    @property
    def name(self) -> str:
        """The word that chooses it in ``JOBS_SCHEDULER``."""

    @property
    def holds_alarms(self) -> bool:
        """Whether alarms live outside the database and so must be set; False where due rows are polled for."""

    @property
    def available(self) -> bool:
        """False while it is known not to take alarms, so that due jobs must be looked for. Costs nothing."""

    @property
    def unavailable_reason(self) -> str | None:
        """Why it takes no alarms, in words for people; None while it is available. Costs nothing."""

    on_return: Callable[[], object]
    """Called, on a thread of the scheduler's own, as soon as it takes alarms again after it was away."""

    def arm_many(self, alarms: Sequence[Alarm]) -> set[AlarmName]:
        """Set alarms. Returns the names that were accepted. Setting the same alarm twice is harmless.

        Raises ``SchedulerUnavailable`` when none could be set.
        """

    def disarm_many(self, names: Iterable[AlarmName]) -> None:
        """Withdraw wake-ups; one that is missing or rings all the same is harmless."""

    def close(self) -> None:
        """Close the connections."""
