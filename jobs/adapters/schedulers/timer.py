"""The timer backend: a Functions timer polls the table every second, so no alarm lives anywhere but in the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from jobs.core.lifecycle.ids import AlarmName
    from jobs.core.ports.scheduler import Alarm


class TimerScheduler:
    """The ``Scheduler`` port where due rows are polled for: there is nothing to set, so nothing to lose.

    ``armed_at`` stays null under it, so a switch to a scheduler that holds alarms finds every row still to be armed.
    """

    name = "timer"
    holds_alarms = False
    available = True
    unavailable_reason = None

    def __init__(self) -> None:
        self.on_return: Callable[[], object] = lambda: None

    def arm_many(self, alarms: Sequence[Alarm]) -> set[AlarmName]:
        """Accept every alarm: the poll will see the row."""
        return {alarm.name for alarm in alarms}

    def disarm_many(self, names: Iterable[AlarmName]) -> None:
        """Do nothing: the poll looks at the row as it then is."""

    def close(self) -> None:
        """Hold nothing, so release nothing."""
