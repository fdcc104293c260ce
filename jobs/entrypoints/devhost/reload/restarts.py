"""When an app that has ended is started again: after a pause, which doubles while it goes on ending."""

from __future__ import annotations

import signal

_FIRST_SECONDS, _LONGEST_SECONDS = 1, 60
_STABLE_SECONDS = 60.0


class Restarts:
    """The pauses of one app. ``now`` is always the monotonic clock's, in seconds."""

    def __init__(self) -> None:
        self._pause = _FIRST_SECONDS
        self._due_at: float | None = None
        self._served_since: float | None = None

    def serves(self, now: float) -> None:
        """Note that the app serves from now on."""
        self._due_at, self._served_since = None, now

    def after_end(self, now: float) -> int:
        """Note that the app has ended; returns after how many seconds it is to be started again.

        The pause is the shortest again for an app that has served for a minute.
        """
        if self._served_since is not None and now - self._served_since >= _STABLE_SECONDS:
            self._pause = _FIRST_SECONDS
        seconds, self._pause = self._pause, min(self._pause * 2, _LONGEST_SECONDS)
        self._due_at, self._served_since = now + seconds, None
        return seconds

    def due(self, now: float) -> bool:
        """Return whether the app is to be started now; True once for each time that it has ended."""
        if self._due_at is None or now < self._due_at:
            return False
        self._due_at = None
        return True

    def forget(self) -> None:
        """Start with the shortest pause again, since the app has changed."""
        self._pause, self._due_at = _FIRST_SECONDS, None


def how_it_ended(status: int) -> str:
    """Return how a process ended, by its exit status or by minus the number of the signal that killed it."""
    if status >= 0:
        return f"ended, with exit status {status}"
    try:
        return f"was killed, by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed, by signal {-status}"
