"""Ask other instances for help while more jobs are due than this one runs: for schedulers that only poll.

A timer runs on one instance, however many jobs are due. The platform starts instances by the length of a queue. So that
one puts a message for each instance that would have enough to do, and whoever takes one drains what is due.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from math import ceil
from typing import TYPE_CHECKING

from jobs.core.diagnostics.message_throttle import MessageThrottle
from jobs.core.errors import SchedulerUnavailable, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.core.ports.housekeeping import Housekeeping
    from jobs.core.ports.looks import Looks

_logger = logging.getLogger("jobs.scale_out")
_FIRST_SECONDS = 0.2  # a drain that ends sooner had no need of help
_EACH_SECONDS = 1.0


class ScaleOut:
    """Keeps the queue as long as instances are needed. Lives as long as the process."""

    def __init__(self, housekeeping: Housekeeping, looks: Looks | None, concurrency: int, instances: int) -> None:
        self._housekeeping = housekeeping
        self._looks = looks
        self._concurrency = concurrency
        self._instances = instances
        self._throttle = MessageThrottle()

    def ask(self) -> int:
        """Put a message for each instance that is missing, and return how many.

        Raises ``StoreUnavailable`` or ``SchedulerUnavailable``.
        """
        if self._looks is None:
            return 0
        due = self._housekeeping.longest_wait(self._concurrency * self._instances).due
        if due <= self._concurrency:
            return 0
        missing = min(ceil(due / self._concurrency), self._instances) - self._looks.count()
        if missing > 0:
            self._looks.put(missing)
        return max(missing, 0)

    @contextmanager
    def while_draining(self) -> Iterator[None]:
        """Ask each second for as long as the block lasts, on a thread of its own."""
        if self._looks is None:
            yield
            return
        over = threading.Event()
        thread = threading.Thread(target=self._ask_until, args=[over], name="jobs-scale-out", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _ask_until(self, over: threading.Event) -> None:
        pause = _FIRST_SECONDS
        while not over.wait(pause):
            pause = _EACH_SECONDS
            try:
                self.ask()
            except StoreUnavailable as error:
                _logger.debug("no instance was asked for help: %s", error)  # the drain logs it
            except SchedulerUnavailable as error:
                if self._throttle.is_due("looks", "away"):
                    _logger.warning("no instance can be asked for help, and one runs what is due: %s", error)
            except Exception:
                _logger.exception("no instance was asked for help")
