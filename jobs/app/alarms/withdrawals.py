"""Withdraw alarms that are of no use any more, also those that could not be withdrawn at once."""

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
_KEPT_IN_MIND = 50_000  # beyond that the oldest are left to ring for nothing
_PAGE = 500
_CLOSE_SECONDS = 5.0
LINGER_SECONDS = 1.0
"""How long ``soon`` waits: an alarm that is just being set, or about to ring, is set or has rung by then."""


class Withdrawals:
    """Withdraws alarms now or soon; lives as long as the process. Its thread is started when it is first needed.

    An alarm that has rung in this process is used up: ``soon`` makes no call for it.
    """

    def __init__(self, scheduler: Scheduler, linger_seconds: float = LINGER_SECONDS) -> None:
        self._scheduler = scheduler
        self._linger = linger_seconds
        self._pending: deque[AlarmName] = deque(maxlen=_KEPT_IN_MIND)
        self._rung: dict[AlarmName, None] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def rang(self, name: AlarmName) -> None:
        """Note that an alarm has rung, and was answered for good."""
        with self._lock:
            self._rung[name] = None
            if len(self._rung) > _KEPT_IN_MIND:
                del self._rung[next(iter(self._rung))]

    def set_anew(self, names: Iterable[AlarmName]) -> None:
        """Note that these alarms are set, also if they have rung before."""
        if self._rung:
            with self._lock:
                for name in names:
                    self._rung.pop(name, None)

    def now(self, names: Sequence[AlarmName]) -> None:
        """Withdraw these; those that cannot be are kept in mind."""
        if not self._done(names):
            self._pending.extend(names)

    def soon(self, names: Collection[AlarmName]) -> None:
        """Withdraw these a moment later on a thread of its own, but for those that have rung by then."""
        self._pending.extend(names)
        self.again()

    def again(self) -> None:
        """Try what is still to be withdrawn, on a thread of its own, if the scheduler is there."""
        with self._lock:
            if self._thread is None and self._pending and self._scheduler.available and not self._closing.is_set():
                self._thread = threading.Thread(target=self._withdraw_all, name="jobs-withdrawals", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Stop, and leave the rest to ring for nothing."""
        self._closing.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(_CLOSE_SECONDS)

    def _withdraw_all(self) -> None:
        going_on = True
        self._closing.wait(self._linger)
        while going_on:
            page = self._not_rung([self._pending.popleft() for _ in range(min(_PAGE, len(self._pending)))])
            withdrawn = not page or self._done(page)
            if not withdrawn:
                self._pending.extend(page)
            with self._lock:
                going_on = withdrawn and bool(self._pending) and not self._closing.is_set()
                if not going_on:
                    self._thread = None

    def _not_rung(self, names: Sequence[AlarmName]) -> list[AlarmName]:
        with self._lock:
            return [name for name in names if name not in self._rung]

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
