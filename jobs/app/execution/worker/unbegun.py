"""What waits for a thread of the pool and gets none: alarms fail, so that they ring again, and runs are given back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jobs.app.execution.worker.in_hand import OfferedSlot, Step
from jobs.core.diagnostics.outage import log_failure
from jobs.core.lifecycle.job import ClaimedRun

if TYPE_CHECKING:
    from jobs.app.execution.pipeline import RunPipeline
    from jobs.app.execution.worker.in_hand import WorkInHand
    from jobs.app.execution.worker.pending_results import PendingResults
    from jobs.core.errors import Unavailable

_logger = logging.getLogger("jobs.worker")
BEFORE_IT_BEGAN = "this instance was stopped, as by a reload, before the handler began"


class Unbegun:
    """Takes back what waits. Lives as long as the process; safe between threads."""

    def __init__(self, work: WorkInHand, pending: PendingResults, pipeline: RunPipeline) -> None:
        self._in_hand = work
        self._pending = pending
        self._pipeline = pipeline

    def withdraw(self, error: Unavailable) -> list[ClaimedRun]:
        """Take back all that waits for a thread: alarms fail with ``error``, runs are returned."""
        unbegun: list[ClaimedRun] = []
        for work in self._in_hand.withdraw():
            if isinstance(work, ClaimedRun):
                unbegun.append(work)
            elif isinstance(work, OfferedSlot):
                self._in_hand.accept(work)
                self._in_hand.finish(work)
            elif isinstance(work, Step):
                if work.run is not None:
                    unbegun.append(work.run)
                work.withdrawn()
            else:
                self._pending.resolve(work.name, error=error)
        return unbegun

    def give_back(self, error: Unavailable, why: str = BEFORE_IT_BEGAN) -> None:
        """Take back all that waits, and give back its runs; ``why`` is kept in their history. Never raises."""
        unbegun = self.withdraw(error)
        try:
            self._pipeline.give_back(unbegun, why)
        except Exception as failure:  # noqa: BLE001  their leases expire instead
            log_failure(_logger, failure, "%d runs that had not begun could not be given back", len(unbegun))
        for run in unbegun:
            self._in_hand.finish(run)
