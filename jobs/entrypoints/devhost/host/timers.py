"""Timers that fire as the Functions host fires them."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from jobs.entrypoints.devhost.host.schedules import Schedule

_LONGEST_WAIT = 60.0  # seconds; a clock that was set, or a computer that slept, is noticed this soon


def utc_now() -> datetime:
    """Return the present instant in UTC."""
    return datetime.now(UTC)


class Timer:
    """Runs one function on its schedule, on a thread of its own, from ``start`` to ``stop``.

    It never overlaps itself: ticks that come due during a run are made up for by one run right after it. An exception
    is logged, and the timer goes on.
    """

    def __init__(
        self,
        name: str,
        schedule: Schedule,
        run: Callable[[], None],
        *,
        run_on_startup: bool,
        log: logging.Logger,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.name = name
        self._schedule, self._run, self._run_on_startup = schedule, run, run_on_startup
        self._log, self._clock = log, clock
        self._changed = threading.Condition()
        self._requested = 0
        self._stopped = False
        # A daemon, so that a function that does not end cannot keep the process from ending.
        self._thread = threading.Thread(target=self._loop, name=f"devhost-timer-{name}", daemon=True)

    def start(self) -> None:
        """Begin to follow the schedule."""
        self._thread.start()

    def request_run(self) -> None:
        """Run once more as soon as no run is under way; the schedule stays as it is."""
        with self._changed:
            self._requested += 1
            self._changed.notify()

    def stop(self) -> None:
        """Begin no further run; the one under way continues."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def join(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for the run that is under way; returns whether it has ended."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        began = self._clock()
        if self._run_on_startup:
            self._fire("startup")
        due = self._schedule.after(began)
        while (cause := self._wait_until(due)) != "stop":
            # The tick after this one is counted from the start of this run, so it may be overdue when the run ends,
            # and then it is the only one of those missed that is made up for.
            began = max(self._clock(), due)
            self._fire(cause)
            if cause == "schedule":
                due = self._schedule.after(began)

    def _wait_until(self, due: datetime) -> Literal["stop", "request", "schedule"]:
        with self._changed:
            while not self._stopped:
                if self._requested:
                    self._requested -= 1
                    return "request"
                wait = (due - self._clock()).total_seconds()
                if wait <= 0:
                    return "schedule"
                self._changed.wait(min(wait, _LONGEST_WAIT))
            return "stop"

    def _fire(self, cause: str) -> None:
        began = time.perf_counter()
        try:
            self._run()
        except BaseException:  # noqa: BLE001 - a function may call sys.exit or be cancelled, and the timer goes on
            self._log.exception("timer %s (%s) failed", self.name, cause)
        else:
            self._log.debug("timer %s (%s) %.0f ms", self.name, cause, (time.perf_counter() - began) * 1000)
