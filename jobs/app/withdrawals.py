"""Withdraw alarms that are of no use any more, also those that could not be withdrawn at once."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

from jobs.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from jobs.core.identifiers import AlarmName
    from jobs.core.ports import Scheduler

_logger = logging.getLogger("jobs.alarms")
_KEPT_IN_MIND = 50_000  # beyond that the oldest are left to ring for nothing
_PAGE = 500
_CLOSE_SECONDS = 5.0


class Withdrawals:
    """Withdraws alarms now or soon; lives as long as the process. Its thread is started when it is first needed."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._pending: deque[AlarmName] = deque(maxlen=_KEPT_IN_MIND)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = False

    def now(self, names: Sequence[AlarmName]) -> None:
        """Withdraw these; those that cannot be are kept in mind."""
        if not self._done(names):
            self._pending.extend(names)

    def soon(self, names: Collection[AlarmName]) -> None:
        """Withdraw these on a thread of its own."""
        self._pending.extend(names)
        self.again()

    def again(self) -> None:
        """Try what is still to be withdrawn, on a thread of its own, if the scheduler is there."""
        with self._lock:
            if self._thread is None and self._pending and self._scheduler.available and not self._closing:
                self._thread = threading.Thread(target=self._withdraw_all, name="jobs-withdrawals", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Stop, and leave the rest to ring for nothing."""
        with self._lock:
            self._closing = True
            thread = self._thread
        if thread is not None:
            thread.join(_CLOSE_SECONDS)

    def _withdraw_all(self) -> None:
        going_on = True
        while going_on:
            page = [self._pending.popleft() for _ in range(min(_PAGE, len(self._pending)))]
            withdrawn = self._done(page)
            if not withdrawn:
                self._pending.extend(page)
            with self._lock:
                going_on = withdrawn and bool(self._pending) and not self._closing
                if not going_on:
                    self._thread = None

    def _done(self, names: Sequence[AlarmName]) -> bool:
        """Withdraw; False where it should be tried again."""
        try:
            self._scheduler.disarm_many(names)
        except Unavailable as error:
            level = logging.INFO if self._scheduler.available else logging.DEBUG
            _logger.log(level, "%d alarms are withdrawn later: %s", len(names), error)
            return False
        except Exception:
            _logger.exception("%d alarms not withdrawn, they will ring for nothing", len(names))
        return True
