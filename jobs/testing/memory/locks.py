"""Locks in memory. A released row stays until it is pruned: the next holder's fencing token derives from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from jobs.core.strict_json import refuse_unstorable_text
from jobs.testing.memory.rows import LockRow

if TYPE_CHECKING:
    from jobs.testing.memory.database import MemoryDatabase

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)


class MemoryLockStore:
    """The ``LockStore`` port in memory; lives as long as its ``MemoryDatabase``."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def acquire(self, resource: str, token: str, *, holder: str, ttl: timedelta) -> int | None:
        """Acquire a lock under ``token``; returns its fencing token, None while another token holds it."""
        refuse_unstorable_text(resource, "")
        refuse_unstorable_text(holder, "")
        with self._database.statement() as transaction:
            now, known = self._database.clock.now(), transaction.get(self._database.locks, resource)
            if known is not None and known.expires_at > now and known.token != token:
                return None
            acquired_at = now if known is None else max(now, known.acquired_at + _TICK)
            transaction.put(self._database.locks, resource, LockRow(token, holder, acquired_at, now + ttl))
        return (acquired_at - _EPOCH) // _TICK

    def extend(self, resource: str, token: str, ttl: timedelta) -> bool:
        """Set the expiry to now + ``ttl``; False if ``token`` no longer holds the lock."""
        return self._expire(resource, token, ttl)

    def release(self, resource: str, token: str) -> bool:
        """Release the lock; False if ``token`` no longer held it."""
        return self._expire(resource, token, timedelta())

    def _expire(self, resource: str, token: str, after: timedelta) -> bool:
        refuse_unstorable_text(resource, "")
        with self._database.statement() as transaction:
            now, known = self._database.clock.now(), transaction.get(self._database.locks, resource)
            if known is None or known.token != token or known.expires_at <= now:
                return False
            transaction.put(self._database.locks, resource, known._replace(expires_at=now + after))
        return True
