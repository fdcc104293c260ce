"""Withdraw alarms that are not needed any more, and try again those that cannot be withdrawn at once."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING

from jobs.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from jobs.core.lifecycle.ids import AlarmName
    from jobs.core.ports.scheduler import Scheduler

_logger = logging.getLogger("jobs.alarms")
_MOST_PENDING = 50_000  # beyond that the oldest stay, and ring for nothing
_PAGE = 500
_CLOSE_SECONDS = 5.0
LINGER_SECONDS = 1.0
"""How long ``soon`` waits: by then an alarm that is being set is set, and one that is about to ring has rung."""


class Withdrawals:
    """Withdraws alarms now or soon. Lives as long as the process; its thread starts when it is first needed.

    An alarm that has rung in this process is used up: ``soon`` makes no call for it.
    """

    def __init__(self, scheduler: Scheduler, linger_seconds: float = LINGER_SECONDS) -> None:
        self._scheduler = scheduler
        self._linger = linger_seconds
        self._pending: deque[AlarmName] = deque(maxlen=_MOST_PENDING)
        self._has_rung: dict[AlarmName, None] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def rang(self, name: AlarmName) -> None:
        """Note that an alarm has rung and will not ring again."""
        with self._lock:
            self._has_rung[name] = None
            if len(self._has_rung) > _MOST_PENDING:
                del self._has_rung[next(iter(self._has_rung))]

    def set_anew(self, names: Iterable[AlarmName]) -> None:
        """Note that these alarms are set again, even if they have rung before."""
        if self._has_rung:
            with self._lock:
                for name in names:
                    self._has_rung.pop(name, None)

    def now(self, names: Sequence[AlarmName]) -> None:
        """Withdraw these alarms; those that cannot be withdrawn stay pending."""
        if not self._withdrawn(names):
            self._pending.extend(names)

    def soon(self, names: Collection[AlarmName]) -> None:
        """Withdraw these alarms a moment later on another thread, except those that have rung by then."""
        self._pending.extend(names)
        self.again()

    def again(self) -> None:
        """Withdraw what is pending on another thread, if the scheduler is available."""
        with self._lock:
            if self._thread is None and self._pending and self._scheduler.available and not self._closing.is_set():
                self._thread = threading.Thread(target=self._withdraw_all, name="jobs-withdrawals", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Stop. What is still pending rings for nothing."""
        self._closing.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(_CLOSE_SECONDS)

    def _withdraw_all(self) -> None:
        goes_on = True
        self._closing.wait(self._linger)
        while goes_on:
            page = self._not_rung([self._pending.popleft() for _ in range(min(_PAGE, len(self._pending)))])
            done = not page or self._withdrawn(page)
            if not done:
                self._pending.extend(page)
            with self._lock:
                goes_on = done and bool(self._pending) and not self._closing.is_set()
                if not goes_on:
                    self._thread = None

    def _not_rung(self, names: Sequence[AlarmName]) -> list[AlarmName]:
        with self._lock:
            return [name for name in names if name not in self._has_rung]

    def _withdrawn(self, names: Sequence[AlarmName]) -> bool:
        """Withdraw alarms; False where it should be tried again."""
        try:
            self._scheduler.disarm_many(names)
        except Unavailable as error:
            level = logging.INFO if self._scheduler.available else logging.DEBUG
            _logger.log(level, "%d alarms are withdrawn later: %s", len(names), error)
            return False
        except Exception:
            _logger.exception("%d alarms not withdrawn, they will ring for nothing", len(names))
        return True
