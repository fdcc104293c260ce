"""Turns of handlers with limits: who may start next, and when to look again.

A due job of such a handler waits until its limits allow another attempt. Nothing is reserved: a turn is a look at the
database, where the claim counts what runs. So that none is missed, this process looks when an attempt of the handler
has ended here, when its rate allows another start, and with every poll or reconciliation.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from datetime import timedelta

    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.lifecycle.ids import AlarmName
    from jobs.core.lifecycle.job import ClaimedRun
    from jobs.core.ports.runs import RunStore

_AFTER_THE_RATE_SECONDS = 0.001


class Turn(NamedTuple):
    """Work for one of the worker's threads: claim and run a waiting job of that handler, if its limits allow."""

    handler_name: str


class Turns:
    """Claims for handlers with limits; lives as long as the process, and may be called from many threads.

    ``offer`` is called with a handler whose waiting jobs may have got a turn; it must not block. ``later`` is called
    with one and the seconds until its rate allows another start; by default it offers it then.
    """

    def __init__(self, runs: RunStore, registry: HandlerRegistry, worker: str, lease: timedelta) -> None:
        self._runs = runs
        self._registry = registry
        self._worker = worker
        self._lease = lease
        self._timers: dict[str, threading.Timer] = {}
        self._lock = threading.Lock()
        self._closed = False
        self.offer: Callable[[str], None] = lambda _: None
        self.later: Callable[[str, float], None] = self._offer_later

    @property
    def handlers(self) -> Collection[str]:
        """The names of the handlers that have limits."""
        return self._registry.limited

    def claim(self, handler_name: str, alarm: AlarmName | None = None, *, alone: bool = False) -> ClaimedRun | None:
        """Claim the waiting job that is due longest, or the one of ``alarm``, if its handler's limits allow.

        Where its rate does not, the handler is offered again once that allows another start.
        """
        limits = self._registry.limited.get(handler_name)
        if limits is None:
            return None
        claim = self._runs.claim_limited(
            handler_name, limits, 1, worker=self._worker, lease=self._lease, alarm=alarm, alone=alone
        )
        if claim.wait_seconds is not None:
            self.later(handler_name, claim.wait_seconds)
        return claim.runs[0] if claim.runs else None

    def waiting(self) -> list[str]:
        """Give the handlers with limits that have due jobs."""
        return self._runs.throttled_handlers(self.handlers) if self.handlers else []

    def ended(self, handler_names: Iterable[str]) -> None:
        """Offer turns after attempts of these handlers have ended."""
        if self.handlers:
            for name in sorted(set(handler_names).intersection(self.handlers)):
                self.offer(name)

    def _offer_later(self, handler_name: str, seconds: float) -> None:
        with self._lock:
            if self._closed or handler_name in self._timers:
                return
            timer = threading.Timer(seconds + _AFTER_THE_RATE_SECONDS, self._offer_now, [handler_name])
            timer.daemon = True
            self._timers[handler_name] = timer
            timer.start()

    def _offer_now(self, handler_name: str) -> None:
        with self._lock:
            self._timers.pop(handler_name, None)
        self.offer(handler_name)

    def close(self) -> None:
        """Offer nothing more; what waits is found by the next poll or reconciliation, here or elsewhere."""
        with self._lock:
            self._closed = True
            for timer in self._timers.values():
                timer.cancel()
            self._timers.clear()
