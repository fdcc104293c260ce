"""Say again and again what keeps the app from working, but not at every tick."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from jobs.core.errors import ConfigurationError

_AGAIN_SECONDS = 55.0  # below a minute, so that a timer that ticks each minute says it each time


class SetupFaults:
    """Logs what is wrong with the app's setup as an error: at once, and once a minute while it lasts."""

    def __init__(self, logger: logging.Logger, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._logger = logger
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._said = ""
        self._said_at = 0.0

    def tell(self, fault: ConfigurationError) -> None:
        """Log ``fault``, unless just that was logged less than a minute ago."""
        text, now = str(fault), self._monotonic()
        with self._lock:
            if text == self._said and now - self._said_at < _AGAIN_SECONDS:
                return
            self._said, self._said_at = text, now
        self._logger.error("no job is run, for the app cannot work as it is set up: %s", text)
