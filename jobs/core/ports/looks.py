"""Messages by which one instance asks others to look for due jobs."""

from __future__ import annotations

from typing import Protocol

LOOK = "look"
"""The text of such a message."""


class Looks(Protocol):
    """A queue of such messages, by whose length the platform starts instances."""

    def count(self) -> int:
        """Return how many there are, those included that instances work on. Raises ``SchedulerUnavailable``."""

    def put(self, count: int) -> None:
        """Put so many more; they expire after a minute. Raises ``SchedulerUnavailable``."""

    def close(self) -> None:
        """Close the connections."""
