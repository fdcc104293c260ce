"""Attempts that go on although they no longer count: past their timeout, and without heeding it.

A thread cannot be stopped. So an abandoned attempt keeps its thread, its outcome is reported without it, and the worker
pool puts another thread in its place, up to a bound. An instance that has reached the bound is not ready; only a new
process gets the threads back.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobs.core.diagnostics.error_text import printable

if TYPE_CHECKING:
    from jobs.core.lifecycle.job import ClaimedRun, RecordedOutcome

_logger = logging.getLogger("jobs.worker")

Finish = Callable[["ClaimedRun", "RecordedOutcome | None", "Exception | None"], None]
"""Called once per run: with the outcome to record, if there is one, or with the error that kept it from executing."""


class AbandonedThreads:
    """The attempts under way in this process, and those among them that are abandoned. Safe between threads.

    ``most`` is how many threads may be abandoned before the instance is not ready. Its length is how many there are.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._under_way: dict[str, tuple[Finish, bool]] = {}
        self._abandoned: dict[str, tuple[ClaimedRun, bool]] = {}
        self._ended: set[str] = set()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._abandoned)

    def begin(self, run: ClaimedRun, finish: Finish, *, pooled: bool) -> None:
        """Note that an attempt starts. ``pooled`` says whether it takes a thread of the worker pool."""
        self._under_way[run.token] = (finish, pooled)

    def end(self, run: ClaimedRun, outcome: RecordedOutcome | None, error: Exception | None) -> bool:
        """Note that an attempt has ended, and call its ``finish``. False if that was called when it was abandoned."""
        # Whoever takes the entry out finishes the run: this thread, or the one that abandons it.
        if (found := self._under_way.pop(run.token, None)) is not None:
            found[0](run, outcome, error)
            return True
        self._end_abandoned(run)
        return False

    def end_after_timeout(self, run: ClaimedRun) -> None:
        """Note that an attempt has ended at its timeout: ``abandon``, called on another thread, finishes the run.

        The timeout may not be recorded yet, and nothing may take the run for finished before that.
        """
        with self._lock:
            if run.token in self._under_way:
                self._ended.add(run.token)
                return
        self._end_abandoned(run)

    def _end_abandoned(self, run: ClaimedRun) -> None:
        with self._lock:
            abandoned = self._abandoned.pop(run.token, None)
        if abandoned is not None:
            _logger.info("job %s: the attempt that went on after its time-out has come to its end", run.job_id)

    def abandon(self, run: ClaimedRun, error: Exception | None) -> None:
        """Finish a run past its timeout, whose handler may go on; ``error`` if the timeout could not be recorded."""
        with self._lock:
            found = self._under_way.pop(run.token, None)
            if found is None:
                return  # the attempt has ended in the meantime
            finish, pooled = found
            ended = run.token in self._ended
            self._ended.discard(run.token)
            if not ended:
                self._abandoned[run.token] = (run, pooled)
        if ended:
            finish(run, None, error)
            return
        _logger.warning(
            "job %s (%s, %s) goes on after its time-out; its thread is left to it and another takes its place, as for "
            "%d of at most %d. Have the handler call ctx.raise_if_cancelled() between its steps, and give what it "
            "waits for a timeout of its own",
            run.job_id, printable(run.handler_name), printable(run.job_name), len(self._abandoned), self.most,
            extra={"job_id": str(run.job_id), "handler_name": printable(run.handler_name)},
        )  # fmt: skip
        finish(run, None, error)

    @property
    def under_way(self) -> int:
        """How many attempts have not been finished yet."""
        return len(self._under_way)

    @property
    def replaced(self) -> int:
        """How many threads of the pool have another in their place."""
        return min(self._pooled, self.most)

    @property
    def unreplaced(self) -> int:
        """How many threads of the pool are abandoned and have no other in their place."""
        return max(self._pooled - self.most, 0)

    @property
    def _pooled(self) -> int:
        if not self._abandoned:
            return 0
        with self._lock:
            return sum(pooled for _, pooled in self._abandoned.values())

    def fault(self) -> str | None:
        """Return why this process should get no more work; None while it may."""
        with self._lock:
            names = Counter(printable(run.handler_name) for run, _ in self._abandoned.values())
        if names.total() < self.most:
            return None
        listed = ", ".join(f"{name} ({count})" for name, count in sorted(names.items()))
        return (
            f"{names.total()} threads are kept by handlers that ignore their timeout: {listed}; restart this instance, "
            "and see the app's log"
        )
