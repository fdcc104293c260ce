"""Delete what is past its retention, page by page, each within a time of its own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.app.upkeep.limits import ReconcileLimits
    from jobs.core.ports.housekeeping import Housekeeping, JobPosition


class Pruning:
    """Deletes old jobs, history, idempotency keys and locks. Lives as long as the process.

    Every method goes on until ``until``, by the monotonic clock, and one page further at most.
    """

    def __init__(self, housekeeping: Housekeeping, limits: ReconcileLimits) -> None:
        self._housekeeping = housekeeping
        self._limits = limits
        self._history_after: JobPosition | None = None
        self._history_rests_until = 0.0

    def prune_jobs(self, until: float) -> Iterator[int]:
        """Delete ended jobs with all of theirs; yields how many, page by page."""
        limits = self._limits
        while limits.retention is not None:
            gone = self._housekeeping.prune(limits.page, limits.retention, keep=limits.keep_attempts)
            yield gone
            if gone < limits.page or time.monotonic() > until:
                return

    def prune_history(self, until: float) -> Iterator[int]:
        """Delete old attempts and audit of living jobs; yields how many lines, page by page.

        It goes on where the last call stopped; after the last job it waits a while before starting over.
        """
        limits = self._limits
        while limits.retention is not None and time.monotonic() >= self._history_rests_until:
            pruned = self._housekeeping.prune_history(
                limits.history, limits.retention, keep=limits.keep_attempts, after=self._history_after
            )
            yield pruned.attempts + pruned.audit
            self._history_after = pruned.after if pruned.more else None
            if not pruned.more:
                self._history_rests_until = time.monotonic() + limits.history_rest_seconds
            if time.monotonic() > until:
                return

    def prune_keys(self, until: float) -> None:
        """Delete old idempotency keys."""
        page, retention = self._limits.page, self._limits.key_retention
        while self._housekeeping.prune_keys(page, retention) == page and time.monotonic() < until:
            pass

    def prune_locks(self, until: float) -> None:
        """Delete locks that expired long ago."""
        page, retention = self._limits.page, self._limits.lock_retention
        while self._housekeeping.prune_locks(page, retention) == page and time.monotonic() < until:
            pass
