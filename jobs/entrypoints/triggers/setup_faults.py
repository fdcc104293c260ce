"""Log a configuration error at once, and then once a minute while it lasts."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from jobs.core.errors import ConfigurationError

_AGAIN_SECONDS = 55.0  # below a minute, so that a timer that ticks each minute logs each time


class SetupFaults:
    """Logs configuration errors. Safe between threads."""

    def __init__(self, logger: logging.Logger, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._logged = ""
        self._logged_at = 0.0

    def log(self, fault: ConfigurationError) -> None:
        """Log ``fault`` as an error, unless the same was logged less than a minute ago."""
        text, now = str(fault), self._monotonic()
        with self._lock:
            if text == self._logged and now - self._logged_at < _AGAIN_SECONDS:
                return
            self._logged, self._logged_at = text, now
        self._logger.error("no job is run, for the app cannot work as it is set up: %s", text)
