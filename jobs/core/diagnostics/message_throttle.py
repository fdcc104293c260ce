"""Log a lasting condition once, and then once a minute, however often it is detected."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_AGAIN_SECONDS = 55.0  # below a minute, so that a probe that runs each minute logs each time


class MessageThrottle:
    """Remembers when each message was last logged, and with which reason. Safe between threads."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._logged: dict[str, tuple[str, float]] = {}
        self._ever: set[tuple[str, str]] = set()

    def is_due(self, what: str, why: str) -> bool:
        """Whether to log the message now: it is new, has another reason, or was last logged a minute ago."""
        now = self._monotonic()
        with self._lock:
            before, logged_at = self._logged.get(what, (None, now))
            if why == before and now - logged_at < _AGAIN_SECONDS:
                return False
            self._logged[what] = why, now
            return True

    def is_first(self, what: str, why: str) -> bool:
        """Whether this message and reason occur for the first time; log the details then."""
        with self._lock:
            if (what, why) in self._ever:
                return False
            self._ever.add((what, why))
            return True

    def clear(self, what: str) -> bool:
        """Note that the condition has ended. Returns whether it had been logged; log the end then."""
        with self._lock:
            return self._logged.pop(what, None) is not None
