"""How far one reconciliation goes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from jobs.core.ports.housekeeping import HistoryLimit

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
    lost_workers_for: timedelta = timedelta(hours=1)
