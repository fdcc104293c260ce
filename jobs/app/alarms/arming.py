"""Set alarms after a commit. A failure here costs lateness, never a job: the reconciler sets what is missing."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from jobs.app.alarms.acknowledgements import Acknowledgements
from jobs.app.alarms.recent_backlog import RecentBacklog
from jobs.app.alarms.withdrawals import Withdrawals
from jobs.core.diagnostics.outage import log_failure
from jobs.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from jobs.core.lifecycle.ids import AlarmName
    from jobs.core.ports.jobs import JobStore
    from jobs.core.ports.scheduler import Alarm, Backlog, Scheduler

_logger = logging.getLogger("jobs.alarms")
_LOOKS_AFTER_COMMIT = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)  # seconds before each
_COMMITTED_THREADS = 4


class Alarms:
    """Sets, acknowledges and withdraws alarms. Lives as long as the process; safe between threads."""

    def __init__(self, scheduler: Scheduler, store: JobStore) -> None:
        self._scheduler = scheduler
        self._store = store
        self._acknowledgements = Acknowledgements(store)
        self._recent = RecentBacklog(scheduler.backlog)
        self._withdrawals = Withdrawals(scheduler)
        self._closing = threading.Event()
        self._committed = ThreadPoolExecutor(_COMMITTED_THREADS, thread_name_prefix="jobs-committed")

    @property
    def needed(self) -> bool:
        """Whether the scheduler holds alarms; one that polls for due rows does not."""
        return self._scheduler.holds_alarms

    @property
    def scheduler_name(self) -> str:
        """The value of ``JOBS_SCHEDULER`` that selects the scheduler."""
        return self._scheduler.name

    @property
    def horizon(self) -> timedelta | None:
        """How far ahead the scheduler accepts alarms; None is without limit."""
        return self._scheduler.horizon

    @property
    def away(self) -> bool:
        """Whether the scheduler is known to take no alarms at the moment."""
        return not self._scheduler.available

    @property
    def unavailable_reason(self) -> str | None:
        """Why the scheduler takes no alarms now, in words; None while it does."""
        return self._scheduler.unavailable_reason if self.needed else None

    def backlog(self) -> Backlog | None:
        """Return the scheduler's messages; None where it has none, or does not answer now."""
        try:
            return self._scheduler.backlog()
        except Unavailable as error:
            _logger.debug("the scheduler's messages were not counted: %s", error)
            return None

    def recent_backlog(self) -> Backlog | None:
        """Return the scheduler's messages as of the last ten seconds, without waiting for it; None as above."""
        return self._recent.get() if self.needed else None

    def when_it_returns(self, call: Callable[[], object]) -> None:
        """Call ``call`` whenever a scheduler that was away takes alarms again, on a thread of the scheduler's own."""
        self._scheduler.on_return = call

    def arm(self, alarms: Sequence[Alarm]) -> None:
        """Set alarms; they are acknowledged a moment later. Never raises: the rows are committed already."""
        if accepted := self._accepted(alarms):
            self._acknowledgements.add(accepted)

    def arm_and_acknowledge(self, alarms: Sequence[Alarm]) -> int:
        """Set alarms, acknowledge them at once, and return how many were accepted. Raises ``StoreUnavailable``."""
        accepted = self._accepted(alarms)
        self._store.mark_armed(accepted)
        return len(accepted)

    def arm_after_commit(self, names: Sequence[AlarmName], connection: object) -> None:
        """Set the alarms of jobs that a caller's transaction inserts or changes, once it is committed."""
        if self.needed and names:
            self._store.on_commit(connection, lambda: self._committed.submit(self._set_once_visible, names))

    def withdraw_after_commit(self, names: Sequence[AlarmName], connection: object) -> None:
        """Withdraw the alarms of jobs that a caller's transaction changes or ends, once it is committed.

        Until then the alarms are right, and they stay right if the transaction is rolled back.
        """
        if self.needed and names:
            self._store.on_commit(connection, lambda: self._committed.submit(self._withdraw_once_replaced, names))

    def _withdraw_once_replaced(self, names: Sequence[AlarmName]) -> None:
        """Look until the jobs no longer wait for these alarms. Called just before the commit, which may fail."""
        waiting = list(names)
        try:
            for pause in _LOOKS_AFTER_COMMIT:
                if not waiting or self._closing.wait(pause):
                    return
                of_no_use = [name for name in waiting if not self._waits_for(name)]
                waiting = [name for name in waiting if name not in of_no_use]
                self.withdraw_soon(of_no_use)
        except Exception as error:  # noqa: BLE001  it is logged, and the work goes on
            log_failure(_logger, error, "%d alarms not withdrawn, they will ring for nothing", len(waiting))

    def _waits_for(self, name: AlarmName) -> bool:
        job = self._store.get(name.job_id)
        return job is not None and job.generation == name.generation and not (job.paused or job.status.ended)

    def _set_once_visible(self, names: Sequence[AlarmName]) -> None:
        """Look until the rows are visible. Called just before the commit, which may take a while, or fail.

        Until then a job that is changed shows its old generation.
        """
        missing = {name.job_id: name.generation for name in names}
        try:
            for pause in _LOOKS_AFTER_COMMIT:
                if self._closing.wait(pause):
                    return
                waiting = self._store.waiting_alarms(missing)
                alarms = [alarm for alarm in waiting if alarm.name.generation >= missing[alarm.name.job_id]]
                self.arm(alarms)
                for alarm in alarms:
                    del missing[alarm.name.job_id]
                if not missing or self.away:
                    return
        except Unavailable as error:
            _logger.warning("%d alarms left for the reconciler to set: %s", len(missing), error)
        except Exception:
            _logger.exception("%d alarms left for the reconciler to set", len(missing))

    def _accepted(self, alarms: Sequence[Alarm]) -> set[AlarmName]:
        if not alarms or not self.needed:
            return set()
        self._withdrawals.set_anew([alarm.name for alarm in alarms])
        try:
            return self._scheduler.arm_many(alarms)
        except Unavailable as error:
            # That the scheduler is away was logged when it went away; not again at every enqueue.
            level = logging.DEBUG if self.away else logging.WARNING
            _logger.log(level, "%d alarms left for the reconciler to set: %s", len(alarms), error)
        except Exception:
            _logger.exception("%d alarms left for the reconciler to set: the scheduler's client failed", len(alarms))
        return set()

    def forget(self, name: AlarmName) -> None:
        """Take back the acknowledgement of an alarm that rang long before its time: the reconciler sets it again.

        It is not set again here: with a scheduler's clock that is ahead it would ring over and over.
        """
        if self.needed:
            self._store.forget_armed(name)

    def withdraw(self, names: Sequence[AlarmName]) -> None:
        """Withdraw alarms that are not needed any more; one that rings all the same does nothing. Never raises.

        Those that cannot be withdrawn now are withdrawn once the scheduler is back.
        """
        if names and self.needed:
            self._withdrawals.now(names)

    def withdraw_soon(self, names: Sequence[AlarmName]) -> None:
        """Withdraw the alarms of jobs that ran without them, on another thread; returns at once.

        If they stayed they would ring for nothing, and for ever where callbacks are refused for a wrong token. Those
        that have rung in this process are skipped.
        """
        if names and self.needed:
            self._withdrawals.soon(names)

    def rang(self, name: AlarmName) -> None:
        """Note that an alarm has rung and found nothing to run, so that it need not be withdrawn any more."""
        if self.needed:
            self._withdrawals.rang(name)

    def withdraw_missed(self) -> None:
        """Try again to withdraw the alarms that could not be withdrawn before."""
        self._withdrawals.again()

    def close(self) -> None:
        """Write the acknowledgements that wait, stop the threads, and close the scheduler."""
        self._closing.set()
        self._committed.shutdown(cancel_futures=True)
        self._acknowledgements.close()
        self._withdrawals.close()
        self._scheduler.close()
