"""What the log says while the database is away: that it is, once a minute, and how it ended.

Every loop runs into the same outage, some of them many times a second. So the outage is logged where it is met, by the
statements themselves; whoever is kept from his work by it says so for debugging only.
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
    """Logs the beginning, each minute and the end of outages; one for a process, and safe between threads.

    ``going_on`` is to be read before ``over`` is called: that is cheap, so that every statement that succeeds may. An
    outage that comes and goes is logged once a minute as well.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.going_on = False
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._began_at = 0.0
        self._failures = 0
        self._line_at: float | None = None
        self._told = False

    def failed(self, error: BaseException) -> None:
        """Note that a statement failed because of an outage."""
        with self._lock:
            now = self._monotonic()
            if not self.going_on:
                self.going_on, self._began_at, self._failures, self._told = True, now, 0, False
            self._failures += 1
            if self._line_at is not None and now - self._line_at < _BETWEEN_LINES_SECONDS:
                return
            again, self._told, self._line_at = self._told, True, now
            seconds, failures = now - self._began_at, self._failures
        if again:
            _logger.warning("the database has been away for %.0f s, %d calls failed: %s", seconds, failures, error)
        else:
            _logger.warning("the database is away, what needs it is tried again: %s", error)

    def over(self) -> None:
        """Note that a statement succeeded."""
        with self._lock:
            if not self.going_on:
                return
            self.going_on = False
            told, seconds, failures = self._told, self._monotonic() - self._began_at, self._failures
        if told:
            _logger.warning("the database is back after %.1f s, in which %d calls failed", seconds, failures)


def log_failure(logger: logging.Logger, error: BaseException, message: str, *values: object) -> None:
    """Log what ``error`` kept from being done, with its traceback; for debugging only where the database is away."""
    if isinstance(error, StoreUnavailable):
        logger.debug(f"{message}: %s", *values, error)  # noqa: G004  the message is a template itself
    else:
        logger.error(f"{message}%s", *values, log_lines(traceback_of(error, whole=True)))  # noqa: G004
