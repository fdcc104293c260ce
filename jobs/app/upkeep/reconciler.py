"""Measure, then repair: take back lost runs, set missing alarms, run what is overdue, prune.

Each step is bounded, paged and independent: one that fails is reported and does not stop the others. Several
reconcilers at once do no harm; rows that one works on are skipped by the others.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.app.upkeep.measurements import log_measurement, warn_of_poison
from jobs.app.upkeep.pruning import Pruning
from jobs.core.diagnostics.error_text import printable
from jobs.core.diagnostics.outage import log_failure
from jobs.core.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobs.app.alarms.arming import Alarms
    from jobs.app.execution.worker.worker import Worker
    from jobs.app.upkeep.clock_setback import ClockSetback
    from jobs.app.upkeep.limit_flags import LimitFlags
    from jobs.app.upkeep.limits import ReconcileLimits
    from jobs.app.upkeep.reaper import Reaper
    from jobs.core.lifecycle.ids import AlarmName
    from jobs.core.ports.housekeeping import Housekeeping
    from jobs.core.ports.scheduler import Alarm
    from jobs.core.ports.series import SeriesStore
    from jobs.core.ports.workers import WorkerLog

_logger = logging.getLogger("jobs.reconciler")
_POLL_SECONDS = 1.0


@dataclass(slots=True)
class Report:
    """What one reconciliation did, and which of its steps failed."""

    set_back: int = 0
    reaped: int = 0
    armed: int = 0
    swept: int = 0
    flagged: int = 0
    pruned: int = 0
    history_pruned: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    away: int = 0
    """How many of the failures are only that the database was away."""


def _failures_of(report: Report) -> str:
    if len(report.failures) == report.away:
        return "; the database was away" if report.away else ""
    return f"; failed: {printable(str(report.failures))}"


class Reconciler:
    """Runs on a timer, by default every minute. Lives as long as the process."""

    def __init__(
        self,
        housekeeping: Housekeeping,
        alarms: Alarms,
        worker: Worker,
        flags: LimitFlags,
        limits: ReconcileLimits,
        reaper: Reaper,
        setback: ClockSetback,
        series: SeriesStore,
        workers: WorkerLog,
    ) -> None:
        self._housekeeping = housekeeping
        self._reaper = reaper
        self._setback = setback
        self._flags = flags
        self._alarms = alarms
        self._worker = worker
        self._limits = limits
        self._series = series
        self._workers = workers
        self._set_again: frozenset[AlarmName] = frozenset()
        self._pruning = Pruning(housekeeping, limits)
        alarms.when_it_returns(self.arm_missed)

    def run(self) -> Report:
        """Do every step once, within the budget, and report. Never raises for a step that fails."""
        report = Report()
        until = time.monotonic() + self._limits.budget_seconds
        self._step("measure", report, self._measure)  # first, so that it shows what the other steps have yet to repair
        self._step("clock", report, lambda: self._set_back(report, until))
        self._step("reap", report, lambda: self._reap(report, until))
        self._step("limit_flags", report, lambda: self._refresh_limit_flags(report, until))
        self._step("slots", report, self._worker.pool.offer_slots)
        if self._alarms.needed:
            self._step("suspects", report, self._worker.pool.offer_suspects)
            self._step("arm", report, lambda: self._arm(report, until))
            self._step("sweep", report, lambda: self._sweep(report, until))
            self._step("withdraw", report, self._alarms.withdraw_missed)
            self._step("poison", report, lambda: warn_of_poison(self._alarms))
        self._step("series", report, lambda: self._count(self._share(until)))
        # Last, and with a share of their own: however much there is to delete, nothing that runs jobs waits for it.
        self._step("keys", report, lambda: self._pruning.prune_keys(self._share(until)))
        self._step("locks", report, lambda: self._pruning.prune_locks(self._share(until)))
        self._step("workers", report, self._forget_workers)
        self._step("prune", report, lambda: self._prune(report, self._share(until)))
        self._step("history", report, lambda: self._prune_history(report, self._share(until)))
        level = logging.WARNING if len(report.failures) > report.away or report.reaped else logging.INFO
        _logger.log(level, "reconciled: %d runs taken back, %d alarms set, %d overdue swept, %d jobs and %d lines of "
                    "history pruned%s",
                    report.reaped, report.armed, report.swept, report.pruned, report.history_pruned,
                    _failures_of(report))  # fmt: skip
        return report

    def _step(self, name: str, report: Report, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001  it is logged, and the work goes on
            report.failures[name] = f"{type(error).__name__}: {error}"
            report.away += isinstance(error, StoreUnavailable)
            log_failure(_logger, error, "reconciling failed at the step %s; the next one goes on", name)

    def _measure(self) -> None:
        limits = self._limits
        log_measurement(
            self._housekeeping, count_to=limits.count_to, grace=limits.overdue_grace, window=limits.failure_window
        )

    def _count(self, until: float) -> None:
        while self._series.count(self._limits.overdue_grace).more and time.monotonic() < until:
            pass

    def _forget_workers(self) -> None:
        self._workers.prune(self._limits.lost_workers_for)

    def _set_back(self, report: Report, until: float) -> None:
        report.set_back = self._setback.run(until)

    def _reap(self, report: Report, until: float) -> None:
        report.reaped = self._reaper.reap(until)

    def _refresh_limit_flags(self, report: Report, until: float) -> None:
        while True:
            refreshed = self._flags.refresh(self._limits.page, self._limits.overdue_grace)
            report.flagged += refreshed
            if refreshed < self._limits.page or time.monotonic() > until:
                return

    def _arm(self, report: Report, until: float) -> None:
        page, within = self._limits.page, min(self._limits.arm_within, self._alarms.horizon or timedelta.max)
        for alarms in self._pages(lambda after: self._housekeeping.unarmed(page, within, after=after)):
            report.armed += self._alarms.arm_and_acknowledge(alarms)
            if self._alarms.away or time.monotonic() > until:
                return  # the rest is for the next reconciliation, or for the scheduler's return

    def _sweep(self, report: Report, until: float) -> None:
        """Set overdue alarms again. Where the scheduler is away, or took them before without effect, run the jobs.

        It sets all of them, not only a page: each instance that the scheduler calls back runs a part.
        """
        limits, set_before = self._limits, self._set_again
        set_again: set[AlarmName] = set()
        not_taken, accepted = False, 0
        for overdue in self._pages(
            lambda after: self._housekeeping.overdue(limits.page, limits.overdue_grace, after=after)
        ):
            lost = [alarm for alarm in overdue if alarm.name not in set_before]
            set_again.update(alarm.name for alarm in overdue)
            taken = self._alarms.arm_and_acknowledge(lost)
            accepted += taken
            not_taken = not_taken or taken < len(lost) or len(lost) < len(overdue)
            if self._alarms.away or time.monotonic() > until:
                break
        self._set_again = frozenset(set_again)
        if not_taken or self._alarms.away:
            report.swept += self._worker.drain(max(until - time.monotonic(), 1.0)).executed
        else:
            report.swept += accepted

    def arm_missed(self) -> int:
        """Set the alarms that were missed while the scheduler was away. Returns how many; called when it returns."""
        report = Report()
        self._step("arm", report, lambda: self._arm(report, time.monotonic() + self._limits.budget_seconds))
        self._alarms.withdraw_missed()
        if report.armed:
            _logger.info("%d alarms set that were missed while the scheduler was away", report.armed)
        return report.armed

    def _pages(self, read: Callable[[Alarm | None], list[Alarm]]) -> Iterator[list[Alarm]]:
        """Read page after page, each after the one before, so that an alarm that cannot be set holds up no others."""
        page = read(None)
        while page:
            yield page
            page = read(page[-1]) if len(page) >= self._limits.page else []

    def stand_in(self, seconds: float) -> int:
        """Poll for due jobs in place of the scheduler while it is known to be away. Returns how many ran.

        Returns at once if the scheduler is available, and after ``seconds`` at the latest.
        """
        executed = 0
        until = time.monotonic() + seconds
        while self._alarms.needed and self._alarms.away and (left := until - time.monotonic()) > 0:
            if self._worker.pool.stopping.wait(min(_POLL_SECONDS, left)):
                break
            executed += self._worker.drain(left).executed
        return executed

    def _share(self, until: float) -> float:
        return min(until, time.monotonic() + self._limits.prune_seconds)

    def _prune(self, report: Report, until: float) -> None:
        for gone in self._pruning.prune_jobs(until):
            report.pruned += gone

    def _prune_history(self, report: Report, until: float) -> None:
        for gone in self._pruning.prune_history(until):
            report.history_pruned += gone
