"""The messages of a scheduler that is a queue, as of some seconds ago, so that nobody who asks waits for the queue."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from jobs.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.core.ports.scheduler import Backlog

_logger = logging.getLogger("jobs.alarms")
_FRESH_SECONDS = 10.0
_WAIT_SECONDS = 0.05


class RecentBacklog:
    """Reads the messages on a thread of its own, at most every ten seconds, and only while somebody asks.

    Lives as long as the process; safe between threads.
    """

    def __init__(self, read: Callable[[], Backlog | None], monotonic: Callable[[], float] = time.monotonic) -> None:
        """``read`` may take seconds, and raise ``Unavailable``."""
        self._read = read
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._asked_at: float | None = None
        self._reading: threading.Thread | None = None
        self._latest: Backlog | None = None

    def get(self) -> Backlog | None:
        """Return what was read last; None where there is nothing, or the queue does not answer.

        What is old is read again meanwhile. Where that takes a moment only, the result is from now.
        """
        with self._lock:
            old = self._asked_at is None or self._monotonic() - self._asked_at >= _FRESH_SECONDS
            if old and self._reading is None:
                self._asked_at = self._monotonic()
                self._reading = threading.Thread(target=self._refresh, name="jobs-backlog", daemon=True)
                self._reading.start()
            reading = self._reading if old else None
        if reading is not None:
            reading.join(_WAIT_SECONDS)
        return self._latest

    def _refresh(self) -> None:
        try:
            self._latest = self._read()
        except Unavailable as error:
            self._latest = None
            _logger.debug("the scheduler's messages were not counted: %s", error)
        except Exception:
            self._latest = None
            _logger.exception("the scheduler's messages were not counted")
        finally:
            with self._lock:
                self._reading = None
