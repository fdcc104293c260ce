"""Results that alarms wait for. Each is set once: when the outcome of its run is recorded, or when there is no run."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from jobs.app.execution.alarm_result import AlarmOutcome, AlarmResult
from jobs.core.errors import Unavailable

if TYPE_CHECKING:
    from jobs.core.lifecycle.ids import AlarmName


def going_down() -> Unavailable:
    """Return the error for an alarm that should ring again, on another instance."""
    return Unavailable("the host is going down; another instance will answer")


class PendingResults:
    """The futures of the alarms under way in this process. Safe between threads. Its length is how many there are."""

    def __init__(self) -> None:
        self._futures: dict[AlarmName, Future[AlarmResult]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._futures)

    def future(self, name: AlarmName) -> tuple[Future[AlarmResult], bool]:
        """Return the future of an alarm, and whether it is new; the same alarm under way has the same future."""
        with self._lock:
            future = self._futures.get(name)
            if future is not None:
                return future, False
            future = self._futures[name] = Future()
            return future, True

    def resolve(self, name: AlarmName, result: AlarmResult | None = None, error: Exception | None = None) -> None:
        """Set ``result``, by default that the job has run, or ``error``. Does nothing to an alarm not under way."""
        with self._lock:
            future = self._futures.pop(name, None)
        if future is None:
            return
        if error is None:
            future.set_result(result or AlarmResult(AlarmOutcome.RAN))
        else:
            future.set_exception(error)
