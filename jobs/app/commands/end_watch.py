"""Watch for the end of jobs that callers wait for: one query for all of them, a few times a second."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from jobs.core.diagnostics.message_throttle import MessageThrottle
from jobs.core.diagnostics.outage import log_failure
from jobs.core.errors import Unavailable

if TYPE_CHECKING:
    from uuid import UUID

    from jobs.core.ports.jobs import JobStore

_logger = logging.getLogger("jobs.waits")
MOST_WATCHED = 500
_EVERY_SECONDS = 0.2


class EndWatch:
    """Lives as long as the process. Its thread runs while there is something to watch. Safe between threads."""

    def __init__(self, store: JobStore, *, most: int = MOST_WATCHED, every_seconds: float = _EVERY_SECONDS) -> None:
        self._store = store
        self._most = most
        self._every = every_seconds
        self._changed = threading.Condition()
        self._watched: dict[Future[bool], UUID] = {}
        self._thread: threading.Thread | None = None
        self._closed = False
        self._throttle = MessageThrottle()

    def __len__(self) -> int:
        return len(self._watched)

    def watch(self, job_id: UUID) -> Future[bool] | None:
        """Return a future that is set to True once the job has ended; None if there are too many already.

        It is set to False when the process ends before. Pass it to ``forget`` afterwards.
        """
        with self._changed:
            if self._closed or len(self._watched) >= self._most:
                return None
            future: Future[bool] = Future()
            self._watched[future] = job_id
            if self._thread is None:
                self._thread = threading.Thread(target=self._look, name="jobs-end-watch", daemon=True)
                self._thread.start()
            return future

    def forget(self, future: Future[bool]) -> bool:
        """Watch no longer, whether the job has ended or not. Returns whether it was still watched."""
        with self._changed:
            return self._watched.pop(future, None) is not None

    def close(self) -> None:
        """Let everyone who waits go on, and watch nothing more."""
        with self._changed:
            self._closed = True
            waiting, self._watched = [*self._watched], {}
            thread = self._thread
            self._changed.notify_all()
        for future in waiting:
            _set(future, ended=False)
        if thread is not None:
            thread.join()

    def _look(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed, self._every)
                if self._closed or not self._watched:
                    self._thread = None
                    return
                watched = dict(self._watched)
            try:
                active = self._store.active_among(set(watched.values()))
            except Unavailable:  # the store says so itself; whoever waits has a time limit
                continue
            except Exception as error:  # noqa: BLE001  the next look may succeed, and a thread that ended would not look
                if self._throttle.is_due("jobs that callers wait for", "failed"):
                    log_failure(_logger, error, "whether jobs that callers wait for have ended is not known")
                continue
            for future, job_id in watched.items():
                if job_id not in active and self.forget(future):  # else ``close`` has set it
                    _set(future, ended=True)


def _set(future: Future[bool], *, ended: bool) -> None:
    if future.set_running_or_notify_cancel():
        future.set_result(ended)
