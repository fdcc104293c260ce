"""The log of a database outage: its beginning, once a minute while it lasts, and its end.

Every loop runs into the same outage, some of them many times a second. So the database adapter logs the outage, and the
loops log their own failures at the debug level only.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from jobs.core.diagnostics.error_text import log_lines, traceback_of
from jobs.core.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

_logger = logging.getLogger("jobs.store")
_BETWEEN_LINES_SECONDS = 60.0


class OutageLog:
    """Logs the beginning, each minute and the end of outages. One per process; safe between threads.

    Check ``ongoing`` before calling ``ended``: that is cheap enough for every successful statement. An outage that
    comes and goes is logged once a minute as well.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.ongoing = False
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._began_at = 0.0
        self._failures = 0
        self._line_at: float | None = None
        self._logged = False

    def failed(self, error: BaseException) -> None:
        """Note that a statement failed because of an outage."""
        with self._lock:
            now = self._monotonic()
            if not self.ongoing:
                self.ongoing, self._began_at, self._failures, self._logged = True, now, 0, False
            self._failures += 1
            if self._line_at is not None and now - self._line_at < _BETWEEN_LINES_SECONDS:
                return
            again, self._logged, self._line_at = self._logged, True, now
            seconds, failures = now - self._began_at, self._failures
        if again:
            _logger.warning("the database has been away for %.0f s, %d calls failed: %s", seconds, failures, error)
        else:
            _logger.warning("the database is away, what needs it is tried again: %s", error)

    def ended(self) -> None:
        """Note that a statement succeeded, which ends the outage."""
        with self._lock:
            if not self.ongoing:
                return
            self.ongoing = False
            logged, seconds, failures = self._logged, self._monotonic() - self._began_at, self._failures
        if logged:
            _logger.warning("the database is back after %.1f s, in which %d calls failed", seconds, failures)


def log_failure(logger: logging.Logger, error: BaseException, message: str, *values: object) -> None:
    """Log the failure of a task with its traceback; at the debug level, without one, if the database is unavailable."""
    if isinstance(error, StoreUnavailable):
        logger.debug(f"{message}: %s", *values, error)  # noqa: G004  the message is a template itself
    else:
        logger.error(f"{message}%s", *values, log_lines(traceback_of(error, whole=True)))  # noqa: G004
