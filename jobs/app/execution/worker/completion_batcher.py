"""Record what the worker's threads have finished: one thread, many outcomes in one statement."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING

from jobs.app.execution.worker.in_hand import WAKE, AlarmRun, OfferedSlot, Suspect
from jobs.core.diagnostics.outage import log_failure
from jobs.core.lifecycle.job import RecordedOutcome

if TYPE_CHECKING:
    from jobs.app.execution.pipeline import RunPipeline
    from jobs.app.execution.worker.in_hand import Finished, WorkInHand
    from jobs.app.execution.worker.pending_results import PendingResults
    from jobs.app.execution.worker.scope import CurrentScope
    from jobs.app.execution.worker.threads import WorkerThreads

_logger = logging.getLogger("jobs.worker")
_LINGER_SECONDS = 0.002


class CompletionBatcher:
    """Takes what has finished, up to ``batch`` at once, records it and resolves the alarms that wait for it.

    Lives as long as the process. ``run`` is called on one thread of its own.
    """

    def __init__(
        self,
        work: WorkInHand,
        pipeline: RunPipeline,
        pending: PendingResults,
        scope: CurrentScope,
        threads: WorkerThreads,
        batch: int,
    ) -> None:
        self._work = work
        self._pipeline = pipeline
        self._pending = pending
        self._scope = scope
        self._threads = threads
        self._batch = batch

    def run(self) -> None:
        """Record what has finished until ``close`` is called. While one statement runs, more runs finish."""
        while (first := self._work.finished.get()) is not None:
            if first is WAKE:
                self._threads.grow()
            else:
                self._scope.run(partial(self._flush, self._with_more(first)))

    def close(self) -> None:
        """Have ``run`` return once everything that has finished is recorded."""
        self._work.finished.put(None)

    def _with_more(self, first: Finished) -> list[Finished]:
        """Collect what has finished; under a backlog wait a moment for more to go into one statement."""
        finished, queue = [first], self._work.finished
        if self._work.backlog:
            time.sleep(_LINGER_SECONDS)
        while len(finished) < self._batch and not queue.empty():
            each = queue.get()
            if each is None:
                queue.put(None)
                break
            if each is WAKE:
                self._threads.grow()
            else:
                finished.append(each)
        return finished

    def _flush(self, finished: list[Finished]) -> None:
        alarm_runs = [each for each in finished if isinstance(each, AlarmRun)] if self._pending else []
        outcomes = [each for each in finished if isinstance(each, RecordedOutcome)]
        outcomes += [each.outcome for each in alarm_runs if each.outcome is not None]
        failure: Exception | None = None
        try:
            if outcomes:
                self._pipeline.record(outcomes)
        except Exception as error:  # noqa: BLE001  it is logged, and the work goes on
            failure = error
            log_failure(_logger, error, "%d outcomes were not recorded; their runs are taken up again", len(outcomes))
        for each in alarm_runs:
            self._pending.resolve(each.name, error=failure)
        self._work.without_run += sum(isinstance(each, OfferedSlot | Suspect) for each in finished)
        self._work.done += len(finished) - len(alarm_runs)
        self._work.recorded.set()
