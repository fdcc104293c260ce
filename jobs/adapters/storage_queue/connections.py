"""Connections that stay open between requests, and that are not used any more once they may be half open."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection

_IDLE_SECONDS = 60.0
"""Gateways drop an idle connection after some minutes, and say so to neither end: a request on it has no answer."""


class _WhileInUse:
    """Adds to a connection that it counts as closed once it has not been used for ``_IDLE_SECONDS``."""

    _used_at = 0.0

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._used_at = time.monotonic()
        super().request(*args, **kwargs)  # type: ignore[misc]

    @property
    def is_connected(self) -> bool:
        return bool(super().is_connected) and time.monotonic() - self._used_at < _IDLE_SECONDS  # type: ignore[misc]


class _Connection(_WhileInUse, HTTPConnection):
    pass


class _SecureConnection(_WhileInUse, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def connections_to(address: str, most: int, timeout_seconds: float) -> HTTPConnectionPool:
    """Return a pool that keeps up to ``most`` connections open. Nothing is connected until the first request.

    ``timeout_seconds`` bounds the wait for a connection, and for each part of an answer. No request is repeated.
    """
    parts = urlsplit(address)
    kind = _SecurePool if parts.scheme == "https" else _Pool
    timeout = Timeout(connect=timeout_seconds, read=timeout_seconds)
    return kind(parts.hostname or "", parts.port, maxsize=most, timeout=timeout, retries=False)
