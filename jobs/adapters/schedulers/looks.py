"""Messages of a storage queue by which the timer scheduler asks other instances to look for due jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.adapters.storage_queue.refusals import QueueRefused
from jobs.core.ports.looks import LOOK

if TYPE_CHECKING:
    from jobs.adapters.storage_queue.queue import StorageQueue

_EXPIRES_SECONDS = 60


class QueueLooks:
    """The ``Looks`` port on a storage queue, which is created if it is missing. Lives as long as the process."""

    def __init__(self, queue: StorageQueue) -> None:
        self._queue = queue

    def count(self) -> int:
        """Return how many messages there are, hidden ones included."""
        try:
            return self._queue.count()
        except QueueRefused as error:
            if not error.missing:
                raise
            self._queue.create()
            return 0

    def put(self, count: int) -> None:
        """Put so many messages, which are visible at once and expire after a minute."""
        for _ in range(count):
            self._queue.put(LOOK, expires_in=_EXPIRES_SECONDS)

    def close(self) -> None:
        """Close the connections."""
        self._queue.close()
