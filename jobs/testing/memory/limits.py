"""Claims within limits over rows in memory: which jobs may start next, and when the rate allows another start."""

from __future__ import annotations

from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from jobs.core.lifecycle.status import JobStatus
from jobs.testing.memory.rows import StartRow

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from jobs.core.lifecycle.limits import Limits
    from jobs.testing.memory.database import MemoryTransaction
    from jobs.testing.memory.rows import JobRow


class HandlerSlots:
    """The free slots of one handler by its limits, at one instant and within one statement."""

    def __init__(
        self,
        transaction: MemoryTransaction,
        handler_name: str,
        limits: Limits[Any],
        now: datetime,
        *,
        alone: bool = False,
    ) -> None:
        database = transaction.database
        self._transaction = transaction
        self._handler_name = handler_name
        self._limits = limits
        self._now = now
        jobs = [row for row in transaction.all(database.jobs) if row.limited and row.handler_name == handler_name]
        self._running = [row for row in jobs if row.status is JobStatus.RUNNING]
        self._due = sorted(
            (row for row in jobs if row.is_due(now) and (alone or not row.suspect)),
            key=attrgetter("next_run_at", "id"),
        )
        starts = [row for row in transaction.all(database.starts) if row.handler_name == handler_name]
        period = limits.rate.per if limits.rate is not None else None
        self._starts = [row for row in starts if period is not None and row.started_at > now - period]
        self._expired = [row for row in starts if row not in self._starts]

    def claimable(self, limit: int, wanted: Callable[[JobRow], bool]) -> list[JobRow]:
        """Return the wanted rows that may start: due, unlocked and within every limit, the longest due first."""
        slots = max(0, min(limit, *self._allowed())) if self._allowed() else limit
        held = Counter(row.concurrency_key for row in self._running)
        chosen: list[JobRow] = []
        for row in self._due:
            if len(chosen) == slots:
                break
            if not wanted(row):
                continue
            if self._limits.concurrency_key is not None and row.concurrency_key is not None:
                held[row.concurrency_key] += 1
                if held[row.concurrency_key] > (self._limits.per_key or 1):
                    continue
            chosen.append(row)
        return [row for row in chosen if self._transaction.database.is_free(self._transaction, row.id)]

    def _allowed(self) -> list[int]:
        allowed = []
        if self._limits.concurrency is not None:
            allowed.append(self._limits.concurrency - len(self._running))
        if self._limits.rate is not None:
            allowed.append(self._limits.rate.count - self._made)
        return allowed

    @property
    def _made(self) -> int:
        return sum(row.attempts for row in self._starts)

    def record_starts(self, started: int) -> None:
        """Record how many attempts were started, and delete starts outside the rate's period."""
        starts = self._transaction.database.starts
        for row in self._expired:
            self._transaction.put(starts, row.number, None)
        if self._limits.rate is not None and started:
            number = self._transaction.database.next_number()
            self._transaction.put(starts, number, StartRow(number, self._handler_name, self._now, started))

    def wait_seconds(self, taken: list[JobRow]) -> float | None:
        """Return the seconds until the rate allows another start; None if it does not throttle any due job."""
        rate = self._limits.rate
        more = {row.id for row in self._due} - {row.id for row in taken}
        if rate is None or not more or self._made + len(taken) < rate.count:
            return None
        first = min((row.started_at for row in self._starts), default=self._now)
        return (first + rate.per - self._now).total_seconds()
