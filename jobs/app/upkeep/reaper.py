"""Take back the runs of lost workers, every few seconds on every instance, and with every reconciliation."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from jobs.app.execution.outcomes import unreadable
from jobs.core.errors import StoreUnavailable
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.job import RunResult
from jobs.core.lifecycle.status import AttemptOutcome

if TYPE_CHECKING:
    from datetime import timedelta

    from jobs.app.alarms.arming import Alarms
    from jobs.app.execution.pipeline import RunPipeline
    from jobs.core.ports.clock import Clock
    from jobs.core.ports.housekeeping import Housekeeping
    from jobs.core.ports.runs import Conviction, RunStore

_logger = logging.getLogger("jobs.reaper")
_SHORTEST_INTERVAL, _LONGEST_INTERVAL = 0.2, 5.0


def reap_interval(lease: timedelta) -> float:
    """Return the seconds between two looks for expired leases: a fifth of a lease, within bounds."""
    return min(max(lease.total_seconds() / 5, _SHORTEST_INTERVAL), _LONGEST_INTERVAL)


class Reaper:
    """Takes back runs whose lease has expired. Lives as long as the process; safe between threads.

    After an outage of the database it waits for the length of a lease, so that live workers extend theirs first.
    """

    def __init__(
        self,
        housekeeping: Housekeeping,
        runs: RunStore,
        pipeline: RunPipeline,
        alarms: Alarms,
        clock: Clock,
        lease: timedelta,
        max_lost: int,
        page: int = 500,
    ) -> None:
        self._housekeeping = housekeeping
        self._runs = runs
        self._pipeline = pipeline
        self._alarms = alarms
        self._clock = clock
        self._lease = lease
        self._max_lost = max_lost
        self.page = page
        self.interval = reap_interval(lease)
        self._next_at = 0.0
        self._away = False
        self._rests_until = 0.0
        self._reaping = threading.Lock()

    def reap(self, until: float) -> int:
        """Take back expired runs until there are none, or until ``until`` on ``time.monotonic``. Returns how many.

        Raises ``StoreUnavailable``.
        """
        self._next_at = time.monotonic() + self.interval
        try:
            return 0 if self._rests() else self._reap(until)
        except StoreUnavailable:
            self._away = True
            raise

    def tick(self) -> None:
        """Take back expired runs if it is time to look again and no other thread does. Never raises."""
        if time.monotonic() < self._next_at or not self._reaping.acquire(blocking=False):
            return
        try:
            reaped = self.reap(time.monotonic() + self.interval)
        except StoreUnavailable as error:
            _logger.debug("no lost run could be taken back: %s", error)  # whoever polls logs it
        except Exception:
            _logger.exception("lost runs could not be taken back; it is tried again")
        else:
            if reaped:
                _logger.warning("%d runs of lost workers were taken back", reaped)
        finally:
            self._reaping.release()

    def _rests(self) -> bool:
        if self._away:
            self._housekeeping.ping()
            self._away, self._rests_until = False, time.monotonic() + self._lease.total_seconds()
        return time.monotonic() < self._rests_until

    def _reap(self, until: float) -> int:
        reaped = 0
        while True:
            taken = self._housekeeping.reap(self.page, max_lost=self._max_lost)
            self._alarms.withdraw_soon([AlarmName(name.job_id, name.generation - 1) for name, _ in taken])
            self._alarms.arm_and_acknowledge([alarm for _, alarm in taken if alarm is not None])
            convicted = self._runs.claim_convicted(self.page, max_lost=self._max_lost, lease=self._lease)
            if convicted:
                self._record(convicted)
            reaped += len(taken) + len(convicted)
            if max(len(taken), len(convicted)) < self.page or time.monotonic() > until:
                return reaped

    def _record(self, convicted: list[Conviction]) -> None:
        """Fail runs of recurring jobs that end their workers; the jobs wait for their next occurrences."""
        outcomes = []
        self._alarms.withdraw_soon([AlarmName(run.job_id, run.generation) for run, _ in convicted])
        for run, error in convicted:
            result = RunResult(AttemptOutcome.LOST, error)
            now = max(self._clock.now(), run.claimed_at)
            try:
                outcomes.append(self._pipeline.outcomes.decide(run, result, run.claimed_at, now))
            except Exception as fault:
                _logger.exception("job %s cannot go on", run.job_id)
                outcomes.append(unreadable(run, fault, now))
        self._pipeline.record(outcomes)
