"""Log what lasts once, and again each minute, however often it is found."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_AGAIN_SECONDS = 55.0  # below a minute, so that a probe that comes each minute says it each time


class MessageThrottle:
    """Remembers which messages were logged, and why. Safe between threads."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._told: dict[str, tuple[str, float]] = {}
        self._ever: set[tuple[str, str]] = set()

    def is_due(self, what: str, why: str) -> bool:
        """Whether to log it now: it is new, has another reason, or was last logged a minute ago."""
        now = self._monotonic()
        with self._lock:
            before, told_at = self._told.get(what, (None, now))
            if why == before and now - told_at < _AGAIN_SECONDS:
                return False
            self._told[what] = why, now
            return True

    def is_first(self, what: str, why: str) -> bool:
        """Whether this is the first time, so that details are worth logging."""
        with self._lock:
            if (what, why) in self._ever:
                return False
            self._ever.add((what, why))
            return True

    def clear(self, what: str) -> bool:
        """Note that it has ended. Returns whether it had been logged, so that its end is worth a line."""
        with self._lock:
            return self._told.pop(what, None) is not None
