"""Report this process as a worker, once in the time of a lease, whether it has something to do or not."""

from __future__ import annotations

import logging
import threading
from functools import lru_cache
from typing import TYPE_CHECKING

from jobs.core.errors import StoreUnavailable
from jobs.core.ports.workers import WorkerState

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.app.alarms.arming import Alarms
    from jobs.app.execution.identity import WorkerIdentity
    from jobs.app.execution.worker.pool import WorkerPool
    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.ports.workers import WorkerLog

_logger = logging.getLogger("jobs.presence")
_FIRST_SECONDS = 1.0  # the first calls of a process that has just started come before it
_CLOSE_SECONDS = 2.0


class Presence:
    """Writes the worker's own row, and deletes it at the end. Lives as long as the process; safe between threads.

    A worker that dies leaves its row, by which others see that it is lost.
    """

    def __init__(
        self,
        workers: WorkerLog,
        registry: HandlerRegistry,
        pool: WorkerPool,
        alarms: Alarms,
        identity: WorkerIdentity,
        concurrency: int,
        app_version: Callable[[], str],
    ) -> None:
        """``app_version`` is called once, on the thread that reports: it may take a while."""
        self._workers = workers
        self._registry = registry
        self._pool = pool
        self._alarms = alarms
        self._identity = identity
        self._concurrency = concurrency
        self._app_version = lru_cache(maxsize=1)(app_version)
        self._interval = identity.lease.total_seconds()
        self._wake = threading.Event()
        self._closed = False
        self._known = False
        self._reported: str | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Report from now on, on a thread of its own."""
        self._thread = threading.Thread(target=self._report_until_closed, name="jobs-presence", daemon=True)
        self._thread.start()

    def report_soon(self) -> None:
        """Report at once, on that thread: the worker's state has changed for good, as it drains."""
        self._wake.set()

    def report(self) -> None:
        """Report once. Never raises."""
        try:
            state = self._state()
            handlers = {spec.name: spec.version for spec in self._registry.all()}
            self._workers.report(state, None if self._known else handlers)
            self._reported, self._known = state.name, True
        except StoreUnavailable as error:
            self._reported = None
            _logger.debug("this worker was not reported: %s", error)
        except Exception:
            self._reported = None
            _logger.exception("this worker was not reported; it is tried again")

    def _state(self) -> WorkerState:
        return WorkerState(
            name=self._identity.name,
            app_version=self._app_version(),
            lease=self._identity.lease,
            concurrency=self._concurrency,
            running=self._pool.abandoned.under_way,
            abandoned=len(self._pool.abandoned),
            draining=self._pool.stopping.is_set(),
            scheduler=self._alarms.scheduler_name,
            scheduler_fault=self._alarms.unavailable_reason,
        )

    def close(self) -> None:
        """Stop reporting, and delete the row if there is one. Takes two seconds at most, and never raises."""
        self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    def _report_until_closed(self) -> None:
        self._wake.wait(_FIRST_SECONDS)
        while not self._closed:
            self._wake.clear()
            self.report()
            self._wake.wait(self._interval)
        self._leave()

    def _leave(self) -> None:
        if self._reported is None:  # there is none, or the database is away
            return
        try:
            self._workers.leave(self._reported)
        except Exception as error:  # noqa: BLE001  it is shown as lost for a while
            _logger.debug("this worker was not signed off: %s", error)
