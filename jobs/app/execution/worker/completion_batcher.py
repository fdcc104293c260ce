"""Record what the worker's threads have finished: one thread, many outcomes a statement."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from jobs.app.execution.worker.slots import Turn
from jobs.core.diagnostics.outage import log_failure
from jobs.core.lifecycle.job import ClaimedRun, RecordedOutcome

if TYPE_CHECKING:
    from jobs.app.execution.outcomes import Outcomes
    from jobs.app.execution.worker.pending_results import Answers
    from jobs.core.lifecycle.ids import AlarmName

_logger = logging.getLogger("jobs.worker")
_LINGER_SECONDS = 0.002


Work = Callable[[], None]
Within = Callable[[Work], None]
"""Runs a piece of work on the thread it is called on, within what the caller of the worker is within."""


def by_itself(work: Work) -> None:
    """Run a piece of work within nothing."""
    work()


@dataclass(frozen=True, slots=True)
class RungRun:
    """What came of a run that an alarm asked for; no outcome where its lease was lost."""

    name: AlarmName
    outcome: RecordedOutcome | None


class Suspect(NamedTuple):
    """A suspect to be run alone, and whether it was found by a poll, so that no alarm waits for its end."""

    name: AlarmName
    polled: bool


Finished = RecordedOutcome | RungRun | Turn | Suspect | ClaimedRun
"""An outcome to record; the end of a run that an alarm waits for; or what led to nothing that is to be recorded."""


class Recorder:
    """Takes what is finished, records it and answers alarms; lives as long as the process.

    ``done`` counts what it was given, ``in_vain`` the turns and suspects among it that led to no run; those that alarms
    asked for are not counted. ``recorded`` is set after each batch. ``pressed`` says whether more is under way than has
    threads: then it waits a moment for more to go into one statement.
    """

    def __init__(self, outcomes: Outcomes, answers: Answers, batch: int, pressed: Callable[[], bool]) -> None:
        self._outcomes = outcomes
        self._answers = answers
        self._batch = batch
        self._pressed = pressed
        self._finished: SimpleQueue[Finished | None] = SimpleQueue()
        self.put = self._finished.put
        self.done = 0
        self.in_vain = 0
        self.recorded = threading.Event()
        self.within: Within = by_itself

    def close(self) -> None:
        """Let ``work`` return once it has recorded what there is."""
        self._finished.put(None)

    def work(self) -> None:
        """Record what has finished, as much at once as is there; while one statement is under way more is finished."""
        while (first := self._finished.get()) is not None:
            self.within(partial(self._record, self._with_more(first)))

    def _record(self, finished: list[Finished]) -> None:
        rung = [each for each in finished if isinstance(each, RungRun)] if self._answers else []
        outcomes = [each for each in finished if isinstance(each, RecordedOutcome)]
        outcomes += [each.outcome for each in rung if each.outcome is not None]
        failure: Exception | None = None
        try:
            if outcomes:
                self._outcomes.record(outcomes)
        except Exception as error:  # noqa: BLE001  it is logged, and the work goes on
            failure = error
            log_failure(_logger, error, "%d outcomes were not recorded; their runs are taken up again", len(outcomes))
        for each in rung:
            self._answers.give(each.name, error=failure)
        self.in_vain += sum(isinstance(each, Turn | Suspect) for each in finished)
        self.done += len(finished) - len(rung)
        self.recorded.set()

    def _with_more(self, first: Finished) -> list[Finished]:
        finished = [first]
        if self._pressed():
            time.sleep(_LINGER_SECONDS)
        while len(finished) < self._batch and not self._finished.empty():
            each = self._finished.get()
            if each is None:
                self._finished.put(None)
                break
            finished.append(each)
        return finished
