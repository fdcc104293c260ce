"""A scheduler that holds its alarms in memory, and fires them on request."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from jobs.core.errors import SchedulerUnavailable
from jobs.core.ports.scheduler import Alarm
from jobs.testing.clock import in_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from jobs.core.lifecycle.ids import AlarmName


_UNAVAILABLE = "the memory scheduler was told to be unavailable; set available to True"


class MemoryScheduler:
    """The ``Scheduler`` port, with its alarms in a dict; alarms fire only when a test calls ``ring_due``.

    Safe to share between threads. With ``available`` set to False its calls raise ``SchedulerUnavailable`` as those of
    an unreachable scheduler do, and it keeps its alarms. Setting it to True again calls ``on_return``.
    """

    name = "memory"
    holds_alarms = True
    horizon = None

    def __init__(self) -> None:
        self.on_return: Callable[[], object] = lambda: None
        self._available = True
        self._alarms: dict[AlarmName, datetime] = {}
        self._lock = Lock()

    @property
    def available(self) -> bool:
        """Whether it accepts alarms."""
        return self._available

    @available.setter
    def available(self, available: bool) -> None:
        returned = available and not self._available
        self._available = available
        if returned:
            self.on_return()

    @property
    def unavailable_reason(self) -> str | None:
        """Why it refuses alarms; None while it is available."""
        return None if self._available else _UNAVAILABLE

    @property
    def alarms(self) -> dict[AlarmName, datetime]:
        """All alarms with their due times in UTC."""
        with self._lock:
            return dict(self._alarms)

    def arm_many(self, alarms: Sequence[Alarm]) -> set[AlarmName]:
        """Set the alarms; an existing one gets the new time."""
        self._require_available()
        with self._lock:
            self._alarms |= {alarm.name: in_utc(alarm.due_at) for alarm in alarms}
        return {alarm.name for alarm in alarms}

    def disarm_many(self, names: Iterable[AlarmName]) -> None:
        """Withdraw alarms; those that are not set are ignored."""
        self._require_available()
        with self._lock:
            for name in names:
                self._alarms.pop(name, None)

    def due(self, now: datetime) -> list[Alarm]:
        """Return the alarms due at ``now``, the longest due first."""
        waiting = self.alarms.items()
        return sorted((Alarm(name, at) for name, at in waiting if at <= now), key=lambda alarm: alarm.due_at)

    def ring_due(self, now: datetime, ring: Callable[[AlarmName], object]) -> list[AlarmName]:
        """Call ``ring`` for each alarm due at ``now``, the longest due first; returns their names.

        An alarm is removed when it fires, unless ``ring`` raises: then it stays set, as with a real scheduler, and the
        exception propagates. Alarms that are set during the call wait for the next one.
        """
        rung = []
        for alarm in self.due(now):
            with self._lock:
                if self._alarms.get(alarm.name) != alarm.due_at:
                    continue  # withdrawn, postponed or fired by another thread in the meantime
                del self._alarms[alarm.name]
            try:
                ring(alarm.name)
            except BaseException:
                with self._lock:
                    self._alarms.setdefault(alarm.name, alarm.due_at)
                raise
            rung.append(alarm.name)
        return rung

    def put_back(self, name: AlarmName, seconds: float) -> None:
        """Do nothing: an alarm whose call fails stays set."""

    def backlog(self) -> None:
        """Return None: its alarms are in ``alarms``."""

    def close(self) -> None:
        """Do nothing: there is no connection, and the alarms stay for the test to inspect."""

    def _require_available(self) -> None:
        if not self.available:
            raise SchedulerUnavailable(_UNAVAILABLE)
