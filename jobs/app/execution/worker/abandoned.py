"""Attempts that go on although they no longer count: past their timeout, and deaf to being told.

A thread cannot be stopped. So such an attempt keeps its thread, and the thread's slot is given back: what it would have
reported is reported without it, and the worker puts another thread in its place, up to a bound. An instance that has
reached the bound is not ready; only a new process gets the threads back.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobs.core.diagnostics.error_text import printable

if TYPE_CHECKING:
    from jobs.app.execution.dispatcher import Dispatcher
    from jobs.core.lifecycle.job import ClaimedRun, RecordedOutcome

_logger = logging.getLogger("jobs.worker")

Finish = Callable[["ClaimedRun", "RecordedOutcome | None", "Exception | None"], None]
"""Called once for a run, with what is to be recorded of it if anything, or what kept it from being executed."""


class AbandonedThreads:
    """The attempts under way in this process, and those among them that are abandoned; safe between threads.

    ``on_change`` is called after one is abandoned and after one has come to its end.
    """

    def __init__(self, most: int, dispatcher: Dispatcher) -> None:
        self.most = most
        self.on_change: Callable[[], None] = lambda: None
        self._dispatcher = dispatcher
        self._under_way: dict[str, tuple[Finish, bool]] = {}
        self._abandoned: dict[str, tuple[ClaimedRun, bool]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._abandoned)

    def execute(self, run: ClaimedRun, finish: Finish, *, pooled: bool = True) -> None:
        """Execute a run, and finish it unless that is done already because it was abandoned.

        ``pooled`` says whether it takes one of the worker's slots, which another thread is then to have.
        """
        self._under_way[run.token] = (finish, pooled)
        outcome = error = None
        try:
            outcome = self._dispatcher.execute(run)
        except Exception as raised:  # noqa: BLE001  it is the caller's to judge
            error = raised
        # Whoever takes the entry out finishes the run: this thread, or the one that abandons it.
        if self._under_way.pop(run.token, None) is not None:
            finish(run, outcome, error)
            return
        with self._lock:
            abandoned = self._abandoned.pop(run.token, None)
        if abandoned is not None:
            _logger.info("job %s: the attempt that went on after its time-out has come to its end", run.job_id)
            self.on_change()

    def abandon(self, run: ClaimedRun, error: Exception | None) -> None:
        """Finish a run whose time is over and whose handler goes on, with ``error`` if that could not be recorded."""
        with self._lock:
            found = self._under_way.pop(run.token, None)
            if found is None:
                return  # it has come to its end meanwhile
            finish, pooled = found
            self._abandoned[run.token] = (run, pooled)
        _logger.warning(
            "job %s (%s, %s) goes on after its time-out; its thread is left to it and another takes its place, as for "
            "%d of at most %d. Have the handler call ctx.raise_if_cancelled() between its steps, and give what it "
            "waits for a timeout of its own",
            run.job_id, printable(run.handler_name), printable(run.job_name), len(self._abandoned), self.most,
            extra={"job_id": str(run.job_id), "handler_name": printable(run.handler_name)},
        )  # fmt: skip
        finish(run, None, error)
        self.on_change()

    @property
    def replaced(self) -> int:
        """How many of the worker's threads have others in their place."""
        return min(self._pooled, self.most)

    @property
    def unreplaced(self) -> int:
        """How many of the worker's threads are kept, and have no other in their place."""
        return max(self._pooled - self.most, 0)

    @property
    def _pooled(self) -> int:
        if not self._abandoned:
            return 0
        with self._lock:
            return sum(pooled for _, pooled in self._abandoned.values())

    def fault(self) -> str | None:
        """Say why this process should get no more work, None while it may."""
        with self._lock:
            names = Counter(printable(run.handler_name) for run, _ in self._abandoned.values())
        if names.total() < self.most:
            return None
        told = ", ".join(f"{name} ({count})" for name, count in sorted(names.items()))
        return (
            f"{names.total()} threads are kept by handlers that ignore their timeout: {told}; restart this instance, "
            "and see the app's log"
        )
