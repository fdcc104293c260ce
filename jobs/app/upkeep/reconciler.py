"""Measure, then put right what went wrong: take back lost runs, set missing alarms, catch what did not ring, prune.

Each step is bounded, paged and on its own: one that fails is reported and does not stop the others. Several
reconcilers at once do no harm; rows that one is working on are passed over by the next.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.app.upkeep.measurements import log_measurement
from jobs.core.diagnostics.error_text import printable
from jobs.core.diagnostics.outage import log_failure
from jobs.core.errors import StoreUnavailable
from jobs.core.ports.housekeeping import HistoryLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobs.app.alarms.arming import Alarms
    from jobs.app.execution.worker.worker import Worker
    from jobs.app.upkeep.clock_setback import ClockSetback
    from jobs.app.upkeep.limit_flags import LimitFlags
    from jobs.app.upkeep.reaper import Reaper
    from jobs.core.lifecycle.ids import AlarmName
    from jobs.core.ports.housekeeping import Housekeeping, JobPosition
    from jobs.core.ports.scheduler import Alarm

_logger = logging.getLogger("jobs.reconciler")
_POLL_SECONDS = 1.0
_HISTORY_PAGE = HistoryLimit(jobs=500, rows=5_000)


@dataclass(frozen=True, slots=True)
class ReconcileLimits:
    """How far one reconciliation goes."""

    page: int = 500
    budget_seconds: float = 45.0
    arm_within: timedelta = timedelta(days=30)
    overdue_grace: timedelta = timedelta(seconds=60)
    retention: timedelta | None = timedelta(days=30)
    key_retention: timedelta = timedelta(days=1)
    lock_retention: timedelta = timedelta(hours=1)
    keep_attempts: int = 20
    history: HistoryLimit = _HISTORY_PAGE
    prune_seconds: float = 10.0
    history_rest_seconds: float = 3_600.0
    count_to: int = 10_000
    failure_window: timedelta = timedelta(minutes=5)


@dataclass(slots=True)
class Report:
    """What one reconciliation did, and which steps failed."""

    set_back: int = 0
    reaped: int = 0
    armed: int = 0
    swept: int = 0
    labelled: int = 0
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
    """Runs on a timer, every minute as a rule; lives as long as the process."""

    def __init__(
        self,
        housekeeping: Housekeeping,
        alarms: Alarms,
        worker: Worker,
        flags: LimitFlags,
        limits: ReconcileLimits,
        reaper: Reaper,
        setback: ClockSetback,
    ) -> None:
        self._housekeeping = housekeeping
        self._reaper = reaper
        self._setback = setback
        self._flags = flags
        self._alarms = alarms
        self._worker = worker
        self._limits = limits
        self._rung_again: frozenset[AlarmName] = frozenset()
        self._history_after: JobPosition | None = None
        self._history_rests_until = 0.0
        alarms.when_it_returns(self.arm_missed)

    def run(self) -> Report:
        """Do every step once, within the budget, and report. Never raises for a step that fails."""
        report = Report()
        until = time.monotonic() + self._limits.budget_seconds
        self._step("measure", report, self._measure)  # first, so that it tells what the other steps have yet to mend
        self._step("clock", report, lambda: self._set_back(report, until))
        self._step("reap", report, lambda: self._reap(report, until))
        self._step("label", report, lambda: self._label(report, until))
        self._step("turns", report, self._worker.pool.offer_slots)
        if self._alarms.needed:
            self._step("suspects", report, self._worker.pool.offer_suspects)
            self._step("arm", report, lambda: self._arm(report, until))
            self._step("sweep", report, lambda: self._sweep(report, until))
            self._step("withdraw", report, self._alarms.withdraw_missed)
        # Last, and with a share of their own: however much there is to delete, nothing that runs jobs waits for it.
        self._step("keys", report, lambda: self._prune_keys(self._share(until)))
        self._step("locks", report, lambda: self._prune_locks(self._share(until)))
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

    def _set_back(self, report: Report, until: float) -> None:
        report.set_back = self._setback.run(until)

    def _reap(self, report: Report, until: float) -> None:
        report.reaped = self._reaper.reap(until)

    def _label(self, report: Report, until: float) -> None:
        while True:
            renewed = self._flags.refresh(self._limits.page, self._limits.overdue_grace)
            report.labelled += renewed
            if renewed < self._limits.page or time.monotonic() > until:
                return

    def _arm(self, report: Report, until: float) -> None:
        limits = self._limits
        for alarms in self._pages(
            lambda after: self._housekeeping.unarmed(limits.page, limits.arm_within, after=after)
        ):
            report.armed += self._alarms.arm_and_note(alarms)
            if self._alarms.away or time.monotonic() > until:
                return  # what is not set is left for the next tick, or for the scheduler's return

    def _sweep(self, report: Report, until: float) -> None:
        """Ring again for what should have rung; where the scheduler is away, or was told so before in vain, run it.

        All of it, and not only a page: each instance that the scheduler calls back takes its part.
        """
        limits, rung_before = self._limits, self._rung_again
        rung_again: set[AlarmName] = set()
        in_vain, accepted = False, 0
        for overdue in self._pages(
            lambda after: self._housekeeping.overdue(limits.page, limits.overdue_grace, after=after)
        ):
            lost = [alarm for alarm in overdue if alarm.name not in rung_before]
            rung_again.update(alarm.name for alarm in overdue)
            taken = self._alarms.arm_and_note(lost)
            accepted += taken
            in_vain = in_vain or taken < len(lost) or len(lost) < len(overdue)
            if self._alarms.away or time.monotonic() > until:
                break
        self._rung_again = frozenset(rung_again)
        if in_vain or self._alarms.away:
            report.swept += self._worker.drain(max(until - time.monotonic(), 1.0)).executed
        else:
            report.swept += accepted

    def arm_missed(self) -> int:
        """Set at once what could not be set while the scheduler was away; gives how many. For its return."""
        report = Report()
        self._step("arm", report, lambda: self._arm(report, time.monotonic() + self._limits.budget_seconds))
        self._alarms.withdraw_missed()
        if report.armed:
            _logger.info("%d alarms set that were missed while the scheduler was away", report.armed)
        return report.armed

    def _pages(self, ask: Callable[[Alarm | None], list[Alarm]]) -> Iterator[list[Alarm]]:
        """Read page after page, each behind the one before, so that an alarm that cannot be set holds up none."""
        page = ask(None)
        while page:
            yield page
            page = ask(page[-1]) if len(page) >= self._limits.page else []

    def stand_in(self, seconds: float) -> int:
        """Poll for due jobs in the scheduler's place while it is known to be away; gives how many ran.

        Returns at once where it is not, and at the latest after ``seconds``.
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
        limits = self._limits
        while limits.retention is not None:
            gone = self._housekeeping.prune(limits.page, limits.retention, keep=limits.keep_attempts)
            report.pruned += gone
            if gone < limits.page or time.monotonic() > until:
                return

    def _prune_history(self, report: Report, until: float) -> None:
        """Go on where the last reconciliation stopped; once all jobs were looked at, rest before beginning anew."""
        limits = self._limits
        while limits.retention is not None and time.monotonic() >= self._history_rests_until:
            pruned = self._housekeeping.prune_history(
                limits.history, limits.retention, keep=limits.keep_attempts, after=self._history_after
            )
            report.history_pruned += pruned.attempts + pruned.audit
            self._history_after = pruned.after if pruned.more else None
            if not pruned.more:
                self._history_rests_until = time.monotonic() + limits.history_rest_seconds
            if time.monotonic() > until:
                return

    def _prune_keys(self, until: float) -> None:
        page, retention = self._limits.page, self._limits.key_retention
        while self._housekeeping.prune_keys(page, retention) == page and time.monotonic() < until:
            pass

    def _prune_locks(self, until: float) -> None:
        page, retention = self._limits.page, self._limits.lock_retention
        while self._housekeeping.prune_locks(page, retention) == page and time.monotonic() < until:
            pass
