"""The timer scheduler: a Functions timer polls the table every second, so alarms exist only as rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from jobs.core.lifecycle.ids import AlarmName
    from jobs.core.ports.scheduler import Alarm


class TimerScheduler:
    """The ``Scheduler`` port for polling: it holds no alarms, so it cannot lose any.

    ``armed_at`` stays null, so that after a switch to a scheduler that holds alarms every row is armed.
    """

    name = "timer"
    holds_alarms = False
    horizon = None
    available = True
    unavailable_reason = None

    def __init__(self) -> None:
        self.on_return: Callable[[], object] = lambda: None

    def arm_many(self, alarms: Sequence[Alarm]) -> set[AlarmName]:
        """Accept every alarm: the poll finds the row."""
        return {alarm.name for alarm in alarms}

    def disarm_many(self, names: Iterable[AlarmName]) -> None:
        """Do nothing: the poll reads the row's current state."""

    def put_back(self, name: AlarmName, seconds: float) -> None:
        """Do nothing: the next poll finds the row."""

    def backlog(self) -> None:
        """Return None: the poll reads rows."""

    def close(self) -> None:
        """Do nothing: there is no connection to close."""
