"""Backoff of what was tried without success: twice as long each time."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable


class Backoffs:
    """The keys that back off. Safe between threads. A key is forgotten ``longest_seconds`` after its backoff ends."""

    def __init__(self, shortest_seconds: float, longest_seconds: float) -> None:
        self._shortest = shortest_seconds
        self._longest = longest_seconds
        self._until: dict[Hashable, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def begin(self, key: Hashable) -> None:
        """Back a key off from now on, for twice as long as the time before."""
        with self._lock:
            _, before = self._until.get(key, (0.0, 0.0))
            seconds = min(max(before * 2, self._shortest), self._longest)
            self._until[key] = (time.monotonic() + seconds, seconds)

    def end(self, key: Hashable) -> None:
        """Forget a key: its try was successful."""
        with self._lock:
            self._until.pop(key, None)

    def on(self, key: Hashable) -> bool:
        """Whether a key backs off now."""
        return self._until.get(key, (0.0, 0.0))[0] > time.monotonic()

    def __len__(self) -> int:
        """Count the keys that back off now."""
        now = time.monotonic()
        with self._lock:
            for key in [key for key, (until, _) in self._until.items() if until + self._longest < now]:
                del self._until[key]
            return sum(until > now for until, _ in self._until.values())
