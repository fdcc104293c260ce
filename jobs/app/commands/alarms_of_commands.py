"""The alarms of jobs that a command inserts or changes: set and withdrawn at once, or after a caller's commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.core.lifecycle.ids import AlarmName
from jobs.core.ports.scheduler import Alarm

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobs.app.alarms.arming import Alarms
    from jobs.app.commands.callers import Enqueued
    from jobs.core.lifecycle.job import Job


class AlarmsOfCommands:
    """Sets and withdraws alarms. Lives as long as the process; safe between threads.

    ``connection`` is that of a caller's transaction, after whose commit it is done; None where the job is committed.
    """

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms

    def set_of(self, enqueued: Iterable[Enqueued], connection: object | None) -> None:
        """Set the alarms of jobs that were enqueued, if the scheduler holds any."""
        if self._alarms.needed:
            self._set([one.alarm for one in enqueued if one.alarm is not None], connection)

    def replace(self, before: Job, after: Job, connection: object | None) -> None:
        """Withdraw the alarm of a job as it was, and set that of its new generation, if it waits for one."""
        self.withdraw(before, connection)
        self._set(_alarms_of(after), connection)

    def withdraw(self, job: Job, connection: object | None) -> None:
        """Withdraw a job's alarm."""
        names = [AlarmName(job.id, job.generation)]
        if connection is None:
            self._alarms.withdraw(names)
        else:
            self._alarms.withdraw_after_commit(names, connection)

    def _set(self, alarms: list[Alarm], connection: object | None) -> None:
        if connection is None:
            self._alarms.arm(alarms)
        else:
            self._alarms.arm_after_commit([alarm.name for alarm in alarms], connection)


def _alarms_of(job: Job) -> list[Alarm]:
    due: Any = job.next_run_at
    return [] if due is None or job.paused or job.status.ended else [Alarm(AlarmName(job.id, job.generation), due)]
