"""What the app's state is, and what is wrong with it now: one bounded answer for operators."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from jobs.app.upkeep.missing_handlers import missing_handlers
from jobs.core.lifecycle.status import FAULTS, AttemptOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from jobs.app.alarms.arming import Alarms
    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.ports.clock import Clock
    from jobs.core.ports.housekeeping import Housekeeping
    from jobs.core.ports.scheduler import Backlog
    from jobs.core.ports.series import SeriesStore
    from jobs.core.ports.workers import KnownWorker, WorkerLog


_SHORTEST_SILENCE = timedelta(minutes=3)


class TroubleKind(StrEnum):
    """What may be wrong, the most urgent first."""

    RECONCILE_SILENT = "reconcile-silent"
    SCHEDULER_AWAY = "scheduler-away"
    LATE = "late"
    LOST_WORKERS = "lost-workers"
    ABANDONED_THREADS = "abandoned-threads"
    POISON_MESSAGES = "poison-messages"
    HANDLER_MISSING = "handler-missing"
    CALLBACKS_REFUSED = "callbacks-refused"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong now: a sentence, and how many jobs, attempts, workers or the like it is about."""

    kind: TroubleKind
    detail: str
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of the app. ``figures`` are those of ``Housekeeping.stats``.

    ``reconciled_at`` is the minute of the last reconciliation by any worker, None before the first.
    """

    figures: dict[str, Any]
    workers: list[KnownWorker]
    reconciled_at: datetime | None
    backlog: Backlog | None
    missing_handlers: dict[str, int] | None
    troubles: list[Trouble] = field(default_factory=list)

    @property
    def live(self) -> list[KnownWorker]:
        """The workers that are not lost."""
        return [each for each in self.workers if not each.lost]


class Inspection:
    """Reads the condition of the app. Lives as long as the process; every read takes a few bounded statements."""

    def __init__(
        self,
        housekeeping: Housekeeping,
        series: SeriesStore,
        workers: WorkerLog,
        alarms: Alarms,
        clock: Clock,
        *,
        registry: HandlerRegistry,
        abandoned: Callable[[], int],
        overdue_grace: timedelta,
        reconcile_gap: Callable[[], timedelta],
    ) -> None:
        """``abandoned`` counts this process' abandoned threads. ``reconcile_gap`` is how far apart reconciliations are.

        That none by any worker was seen for three times that is a trouble.
        """
        self._housekeeping = housekeeping
        self._series = series
        self._workers = workers
        self._alarms = alarms
        self._clock = clock
        self._registry = registry
        self._abandoned = abandoned
        self._grace = overdue_grace
        self._reconcile_gap = reconcile_gap

    def read(self) -> Condition:
        """Return the condition of the app. Raises ``StoreUnavailable``."""
        figures = self._housekeeping.stats()
        found = Condition(
            figures=figures,
            workers=self._workers.find(),
            reconciled_at=self._series.last_counted(),
            backlog=self._alarms.recent_backlog(),
            missing_handlers=missing_handlers(figures, self._registry),
        )
        found.troubles.extend(sorted(self._troubles(found), key=lambda each: list(TroubleKind).index(each.kind)))
        return found

    def _troubles(self, found: Condition) -> Iterator[Trouble]:
        yield from self._of_reconciling(found)
        yield from self._of_workers(found)
        yield from _of_jobs(found, self._grace)
        if found.backlog is not None and found.backlog.poisoned:
            count = found.backlog.poisoned
            yield Trouble(
                TroubleKind.POISON_MESSAGES,
                f"{_many(count, 'message')} of the queue {_were(count)} given up by the host; the log of wake says why",
                count,
            )

    def _of_reconciling(self, found: Condition) -> Iterator[Trouble]:
        since = found.reconciled_at or min((each.started_at for each in found.live), default=None)
        if since is None:
            return
        silence = self._clock.now() - since
        if silence <= _SHORTEST_SILENCE or silence <= 3 * self._reconcile_gap():
            return
        at = "never" if found.reconciled_at is None else f"last at {_text(since)}"
        yield Trouble(
            TroubleKind.RECONCILE_SILENT,
            f"the timer reconcile does not tick ({at}), so nothing that was lost is taken up again; look at the host",
        )

    def _of_workers(self, found: Condition) -> Iterator[Trouble]:
        if lost := [each for each in found.workers if each.lost]:
            last = max(each.seen_at for each in lost)
            names = ", ".join(each.state.name for each in lost[:3]) + (" …" if len(lost) > 3 else "")  # noqa: PLR2004
            yield Trouble(
                TroubleKind.LOST_WORKERS,
                f"{_many(len(lost), 'worker')} went silent and did not end in order, last at {_text(last)}: {names}",
                len(lost),
            )
        faults = _scheduler_faults(found.live, self._alarms.unavailable_reason)
        if faults:
            yield Trouble(
                TroubleKind.SCHEDULER_AWAY,
                f"the scheduler takes no alarms of {_many(len(faults), 'worker')}, so due jobs run late: {faults[0]}",
                len(faults),
            )
        abandoned = max(sum(each.state.abandoned for each in found.live), self._abandoned())
        if abandoned:
            yield Trouble(
                TroubleKind.ABANDONED_THREADS,
                f"{_many(abandoned, 'thread')} {_were(abandoned, 'is', 'are')} kept by handlers past their timeout; "
                "have them heed it",
                abandoned,
            )


def _scheduler_faults(live: Sequence[KnownWorker], own: str | None) -> list[str]:
    """Return why schedulers are away; ``own`` is why that of this process is, which may be known sooner."""
    faults = [each.state.scheduler_fault for each in live if each.state.scheduler_fault is not None]
    return faults or ([own] if own is not None else [])


def _of_jobs(found: Condition, grace: timedelta) -> Iterator[Trouble]:
    due, recent = found.figures["due"], found.figures["recent"]
    if due is not None and due["late_by_seconds"] > grace.total_seconds():
        late = timedelta(seconds=round(due["late_by_seconds"]))
        yield Trouble(TroubleKind.LATE, f"a job is due for {late} and does not run", None)
    if recent is not None:
        attempts = recent["attempts"]
        failed = sum(attempts[each]["count"] for each in attempts if each in FAULTS or each == AttemptOutcome.LOST)
        ended = sum(each["count"] for each in attempts.values())
        if failed:
            yield Trouble(
                TroubleKind.FAILING,
                f"{failed} of {_many(ended, 'attempt')} failed within the last five minutes; see the failures",
                failed,
            )
    if found.missing_handlers:
        count = sum(found.missing_handlers.values())
        names = ", ".join(sorted(found.missing_handlers))
        yield Trouble(
            TroubleKind.HANDLER_MISSING,
            f"{_many(count, 'job')} {_were(count, 'waits', 'wait')} for a handler that this release lacks: {names}",
            count,
        )


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _were(count: int, one: str = "was", many: str = "were") -> str:
    return one if count == 1 else many


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
