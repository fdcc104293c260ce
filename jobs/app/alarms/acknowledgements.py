"""Alarm acknowledgements: write to the rows which alarms the scheduler has accepted, many in one statement.

Nothing waits for an acknowledgement. A job is claimed with or without it, and if one is lost, the reconciler sets an
alarm that is set already. So an enqueue costs one statement, not two.
"""

from __future__ import annotations

import logging
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING

from jobs.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Collection

    from jobs.core.lifecycle.ids import AlarmName
    from jobs.core.ports.jobs import JobStore

_logger = logging.getLogger("jobs.alarms")
_LINGER_SECONDS = 0.1
_MOST_AT_ONCE = 1_000
_CLOSE_SECONDS = 5.0


class Acknowledgements:
    """Writes acknowledgements on a thread, which the first one starts. Lives as long as the process."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._waiting: SimpleQueue[Collection[AlarmName] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, names: Collection[AlarmName]) -> None:
        """Acknowledge these alarms within a moment; returns at once."""
        self._waiting.put(names)
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._write_all, name="jobs-armed-notes", daemon=True)
                    self._thread.start()

    def close(self) -> None:
        """Write what is waiting; takes a few seconds at most."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._waiting.put(None)
            thread.join(_CLOSE_SECONDS)

    def _write_all(self) -> None:
        going_on = True
        while going_on:
            first = self._waiting.get()
            going_on = first is not None
            names = set(first or ())
            if going_on:
                time.sleep(_LINGER_SECONDS)
            while len(names) < _MOST_AT_ONCE and not self._waiting.empty():
                more = self._waiting.get()
                going_on = going_on and more is not None
                names.update(more or ())
            self._write(names)

    def _write(self, names: set[AlarmName]) -> None:
        try:
            self._store.mark_armed(names)
        except Unavailable as error:
            _logger.debug("%d alarms not noted as set, they will be set again: %s", len(names), error)
        except Exception:
            _logger.exception("%d alarms not noted as set, they will be set again", len(names))
