"""Named locks that expire."""

from __future__ import annotations

from datetime import timedelta
from typing import Protocol


class LockStore(Protocol):
    """Named locks that expire by the store's clock. Each call is a single statement, committed when it returns."""

    def acquire(self, resource: str, token: str, *, holder: str, ttl: timedelta) -> int | None:
        """Acquire a lock that is free or has expired, for ``ttl``; None while another token holds it.

        Returns its fencing token: a number larger than that of every earlier holder of ``resource``.
        """

    def extend(self, resource: str, token: str, ttl: timedelta) -> bool:
        """Set the expiry to now + ``ttl``; False if ``token`` no longer holds the lock."""

    def release(self, resource: str, token: str) -> bool:
        """Release the lock; False if ``token`` no longer held it."""
