"""Answers that alarms wait for, each given once: when the outcome of its run is recorded, or why there was none."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from jobs.app.execution.dispatcher import Ring, Rung
from jobs.core.errors import Unavailable

if TYPE_CHECKING:
    from jobs.core.lifecycle.ids import AlarmName


def going_down() -> Unavailable:
    """Give the error of an alarm that should ring again, elsewhere."""
    return Unavailable("the host is going down; another instance will answer")


class Answers:
    """The alarms under way in this process; safe between threads. Its length is how many there are."""

    def __init__(self) -> None:
        self._waiting: dict[AlarmName, Future[Rung]] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    def to(self, name: AlarmName) -> tuple[Future[Rung], bool]:
        """Give the answer to an alarm, and whether it is the first to ring; the same alarm gets the same answer."""
        with self._lock:
            answer = self._waiting.get(name)
            if answer is not None:
                return answer, False
            answer = self._waiting[name] = Future()
            return answer, True

    def give(self, name: AlarmName, rung: Rung | None = None, error: Exception | None = None) -> None:
        """Answer with ``rung``, by default that its job has run, or with an error. A second answer is passed over."""
        with self._lock:
            answer = self._waiting.pop(name, None)
        if answer is None:
            return
        if error is None:
            answer.set_result(rung or Rung(Ring.RAN))
        else:
            answer.set_exception(error)
