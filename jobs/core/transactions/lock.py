"""A lock that holds across processes and machines: a row with a token that expires by the database's clock."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import uuid4

from jobs.core.errors import LockLost, LockNotAcquired, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random
    from types import TracebackType

    from jobs.core.ports.locks import LockStore

T = TypeVar("T")
_logger = logging.getLogger("jobs.lock")

_LONGEST_NAME = 500
_LONGEST_TTL = timedelta(days=7)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5
DEFAULT_WAIT = timedelta(seconds=10)


class DistributedLock:
    """Distributed locks on named resources. Lives as long as the process; safe between threads.

    A lock expires after its ``ttl``, by the database's clock, so a holder that dies blocks nobody for longer.
    A slow holder may work on after its lock has expired: ``extend`` the lock in time, and where two holders at once
    would do harm pass its ``fencing_token`` along. Calls raise ``StoreUnavailable`` while the database is unavailable.
    """

    def __init__(
        self,
        store: LockStore,
        holder: str,
        random: Random,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._store = store
        self._holder = holder
        self._random = random
        self._monotonic = monotonic
        self._sleep = sleep

    def try_acquire(self, resource: str, ttl: timedelta) -> LockHandle | None:
        """Acquire the lock and return its handle; None if it is held."""
        _check(resource, ttl)
        token, asked_at = str(uuid4()), self._monotonic()
        fencing_token = self._store.acquire(resource, token, holder=self._holder, ttl=ttl)
        if fencing_token is None:
            return None
        return LockHandle(self._store, resource, token, fencing_token, asked_at + ttl.total_seconds(), self._monotonic)

    def acquire(
        self,
        resource: str,
        ttl: timedelta,
        timeout: timedelta = DEFAULT_WAIT,
        *,
        between_tries: Callable[[], object] = lambda: None,
    ) -> LockHandle:
        """Acquire the lock, waiting up to ``timeout``; raises ``LockNotAcquired`` after that.

        Waiting is not fair: the first to try after the release gets the lock. ``between_tries`` is called before each
        pause; an exception from it ends the wait.
        """
        give_up_at = self._monotonic() + timeout.total_seconds()
        pause = _FIRST_PAUSE
        while (handle := self.try_acquire(resource, ttl)) is None:
            left = give_up_at - self._monotonic()
            if left <= 0:
                raise LockNotAcquired(resource, timeout.total_seconds())
            between_tries()
            self._sleep(min(self._random.uniform(pause / 2, pause), left))
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        return handle

    def execute_with_lock(
        self, resource: str, function: Callable[[], T], ttl: timedelta, timeout: timedelta = DEFAULT_WAIT
    ) -> T:
        """Call ``function`` while holding the lock, and return its result.

        Raises ``LockNotAcquired``, or ``LockLost`` if ``function`` took longer than ``ttl`` and so lost the lock.
        """
        with self.acquire(resource, ttl, timeout):
            return function()


class LockHandle:
    """An acquired lock. As a context manager it is released at the end, and raises ``LockLost`` if it had expired.

    ``fencing_token`` is larger than that of every earlier holder: a system that remembers the largest it has seen, and
    refuses smaller ones, is safe from a holder that continues after its lock has expired.
    """

    def __init__(
        self,
        store: LockStore,
        resource: str,
        token: str,
        fencing_token: int,
        expires_at: float,
        monotonic: Callable[[], float],
    ) -> None:
        self.resource = resource
        self.fencing_token = fencing_token
        self._store = store
        self._token = token
        self._expires_at = expires_at
        self._monotonic = monotonic
        self._released = False

    @property
    def held(self) -> bool:
        """Whether the lock is certainly still held, by this process's monotonic clock. Makes no query."""
        return not self._released and self._monotonic() < self._expires_at

    def extend(self, ttl: timedelta) -> bool:
        """Hold the lock for ``ttl`` from now; False if it had expired or was released, so that others may hold it."""
        _check(self.resource, ttl)
        asked_at = self._monotonic()
        if self._released or not self._store.extend(self.resource, self._token, ttl):
            self._expires_at = asked_at
            return False
        self._expires_at = asked_at + ttl.total_seconds()
        return True

    def release(self) -> bool:
        """Release the lock; False if it had expired, so that others may have held it in the meantime."""
        if self._released:
            return False
        self._released = True
        return self._store.release(self.resource, self._token)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._released:
            return
        try:
            lost = not self.release()
        except Unavailable as unavailable:
            _logger.warning(
                "the lock on %r was not released, its time runs out instead: %s", self.resource, unavailable
            )
            return
        if not lost:
            return
        if error is None:
            raise LockLost(self.resource)
        _logger.warning("%s", LockLost(self.resource))


def _check(resource: Any, ttl: timedelta) -> None:
    if not 0 < len(resource) <= _LONGEST_NAME:
        raise ValueError(f"a lock's resource is a name of 1 to {_LONGEST_NAME} characters, not {len(resource)}")
    if not timedelta() < ttl <= _LONGEST_TTL:
        raise ValueError(f"a lock's ttl is above zero and at most {_LONGEST_TTL.days} days, not {ttl}")
