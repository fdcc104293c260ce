"""One call for each of many alarms, several at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from jobs.core.errors import SchedulerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from jobs.core.lifecycle.ids import AlarmName


class ParallelCalls:
    """Up to ``most`` calls at once, on threads that start when they are needed. Safe to share between threads."""

    def __init__(self, most: int, thread_name: str) -> None:
        self._most = most
        self._thread_name = thread_name
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None

    def each(self, names: Collection[AlarmName], call: Callable[[AlarmName], str | None]) -> set[AlarmName]:
        """Call for each name; returns those that succeeded. ``call`` returns its error as text.

        A single call is made on the caller's thread. Raises ``SchedulerUnavailable`` if none succeeded.
        """
        errors = [call(name) for name in names] if len(names) == 1 else list(self._started().map(call, names))
        done = {name for name, error in zip(names, errors, strict=True) if error is None}
        if names and not done:
            raise SchedulerUnavailable(next(error for error in errors if error is not None))
        return done

    def close(self) -> None:
        """Make no further call; a later ``each`` starts threads again."""
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(cancel_futures=True)

    def _started(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self._most, thread_name_prefix=self._thread_name)
            return self._threads
