"""Stand-ins for tests: a scheduler that keeps its alarms in memory, and a clock that goes only when it is told to.

scheduler, clock = MemoryScheduler(), FrozenClock(datetime(2026, 6, 1, tzinfo=UTC))
...                                   # enqueue through a service that was given both
clock.advance(timedelta(hours=1))
scheduler.ring_due(clock.now(), dispatcher.ring)

Production code must never import this module.
"""

from __future__ import annotations

from datetime import UTC, datetime
from threading import Lock
from typing import TYPE_CHECKING

from jobs.core.errors import SchedulerUnavailable
from jobs.core.ports import Alarm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import timedelta

    from jobs.core.identifiers import AlarmName


class FrozenClock:
    """The ``Clock`` port with a time that stands still until ``advance`` moves it."""

    def __init__(self, at: datetime) -> None:
        self._now = _in_utc(at)

    def now(self) -> datetime:
        """Give the present instant in UTC."""
        return self._now

    def advance(self, by: timedelta) -> datetime:
        """Move on by ``by``, and give the instant that is now; a negative ``by`` sets the clock back."""
        self._now += by
        return self._now


class MemoryScheduler:
    """The ``Scheduler`` port, with its alarms in a dict; nothing rings unless a test calls ``ring_due``.

    Safe to share between threads. Set ``available`` to False and it raises ``SchedulerUnavailable`` where a real one
    that cannot be reached would; what it holds, it keeps.
    """

    name = "memory"
    holds_alarms = True

    def __init__(self) -> None:
        self.available = True
        self._alarms: dict[AlarmName, datetime] = {}
        self._lock = Lock()

    @property
    def alarms(self) -> dict[AlarmName, datetime]:
        """Every alarm that is set, with its due time in UTC."""
        with self._lock:
            return dict(self._alarms)

    def arm_many(self, alarms: Sequence[Alarm]) -> set[AlarmName]:
        """Set every alarm; one that is set already gets the new time."""
        self._require_available()
        with self._lock:
            self._alarms |= {alarm.name: _in_utc(alarm.due_at) for alarm in alarms}
        return {alarm.name for alarm in alarms}

    def disarm_many(self, names: Iterable[AlarmName]) -> None:
        """Withdraw alarms; those that are not set are passed over."""
        self._require_available()
        with self._lock:
            for name in names:
                self._alarms.pop(name, None)

    def due(self, now: datetime) -> list[Alarm]:
        """List the alarms due at ``now``, the longest due first."""
        waiting = self.alarms.items()
        return sorted((Alarm(name, at) for name, at in waiting if at <= now), key=lambda alarm: alarm.due_at)

    def ring_due(self, now: datetime, ring: Callable[[AlarmName], object]) -> list[AlarmName]:
        """Ring each alarm due at ``now`` once, the longest due first, and give their names.

        An alarm is used up by ringing, unless ``ring`` raises: then it stays set, as with a real scheduler, and the
        exception passes through. Alarms that are set meanwhile wait for the next call.
        """
        rung = []
        for alarm in self.due(now):
            with self._lock:
                if self._alarms.get(alarm.name) != alarm.due_at:
                    continue  # withdrawn or put off meanwhile, or rung by another thread
                del self._alarms[alarm.name]
            try:
                ring(alarm.name)
            except BaseException:
                with self._lock:
                    self._alarms.setdefault(alarm.name, alarm.due_at)
                raise
            rung.append(alarm.name)
        return rung

    def close(self) -> None:
        """Hold no connection, so let go of none; the alarms stay for a test to look at."""

    def _require_available(self) -> None:
        if not self.available:
            raise SchedulerUnavailable("the memory scheduler was told to be unavailable; set available to True")


def _in_utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        msg = f"{at.isoformat()} says nothing about its zone; give it one, such as tzinfo=UTC"
        raise ValueError(msg)
    return at.astimezone(UTC)
