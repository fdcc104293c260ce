"""Set alarms after a commit. What goes wrong here costs lateness, never a job: the reconciler sets what is not set."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jobs.core.errors import Unavailable
from jobs.core.ports import Alarm
from jobs.core.status import JobStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.core.identifiers import AlarmName
    from jobs.core.ports import JobStore, Scheduler

_logger = logging.getLogger("jobs.alarms")


class Alarms:
    """The scheduler, with a note in the row of what it holds."""

    def __init__(self, scheduler: Scheduler, store: JobStore) -> None:
        self._scheduler = scheduler
        self._store = store

    @property
    def needed(self) -> bool:
        """Whether the scheduler keeps alarms of its own; a backend that polls for due rows does not."""
        return self._scheduler.holds_alarms

    def set(self, alarms: Sequence[Alarm]) -> int:
        """Ask for wake-ups and note those accepted; gives how many. Never raises: the rows are committed already."""
        if not alarms or not self.needed:
            return 0
        try:
            accepted = self._scheduler.arm_many(alarms)
            self._store.mark_armed(accepted)
        except Unavailable as error:
            _logger.warning("%d alarms left for the reconciler to set: %s", len(alarms), error)
            return 0
        except Exception:
            _logger.exception("%d alarms left for the reconciler to set: the scheduler's client failed", len(alarms))
            return 0
        return len(accepted)

    def set_again(self, name: AlarmName) -> None:
        """Set an alarm anew that rang before its job was due; one that is stale or of no use any more is let be."""
        if not self.needed:
            return
        job = self._store.get(name.job_id)
        if job is None or job.generation != name.generation or job.paused or job.status is not JobStatus.SCHEDULED:
            return
        if job.next_run_at is not None:
            self.set([Alarm(name, job.next_run_at)])

    def withdraw(self, names: Sequence[AlarmName]) -> None:
        """Withdraw wake-ups of no use any more; one that rings all the same finds nothing to do. Never raises."""
        if not names or not self.needed:
            return
        try:
            self._scheduler.disarm_many(names)
        except Unavailable as error:
            _logger.info("%d alarms not withdrawn, they will ring for nothing: %s", len(names), error)
        except Exception:
            _logger.exception("%d alarms not withdrawn, they will ring for nothing", len(names))
