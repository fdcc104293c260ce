"""A driver's connection that closes its socket promptly, however it ends.

pg8000 leaves its socket to the garbage collector if connecting fails, or if the server is gone when it disconnects. The
collector then emits a ResourceWarning elsewhere and much later.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

import pg8000
from pg8000.core import TERMINATE_MSG
from pg8000.exceptions import InterfaceError


class DriverConnection(pg8000.Connection):  # type: ignore[misc]  # pg8000 has no types
    """A pg8000 connection whose socket is closed at once: by ``close``, by ``hang_up``, or if connecting fails."""

    def __init__(
        self,
        *,
        host: str = "localhost",
        port: int = 5432,
        unix_sock: str | None = None,
        timeout: float | None = None,
        **arguments: Any,
    ) -> None:
        self._usock = self._sock = None
        channel = _open_socket(host, port, unix_sock, timeout)
        try:
            super().__init__(host=host, port=port, sock=channel, **arguments)
        except BaseException:
            self.hang_up()
            channel.close()
            raise

    def close(self) -> None:
        """Send Terminate, ignoring a server that is gone, and close the socket. Raises if it is closed already."""
        if self._usock is None:
            raise InterfaceError("connection is closed")
        with suppress(OSError, ValueError):
            self._usock.sendall(TERMINATE_MSG)
        self.hang_up()

    def hang_up(self) -> None:
        """Close the socket of a connection that is broken or out of sync, without Terminate. Never raises or waits."""
        channel, buffered = self._usock, self._sock
        self._usock = self._sock = None
        if channel is not None:
            with suppress(OSError, ValueError):
                channel.shutdown(socket.SHUT_RDWR)  # so that closing the buffer sends nothing more, and fails at once
        for handle in (buffered, channel):
            if handle is not None:
                with suppress(OSError, ValueError):
                    handle.close()


def _open_socket(host: str, port: int, unix_sock: str | None, timeout: float | None) -> socket.socket:
    """Connect as pg8000 does, but without Nagle's delay of small requests and with no open socket after a failure."""
    if unix_sock is None:
        try:
            channel = socket.create_connection((host, port), timeout)
        except OSError as error:
            raise InterfaceError(f"no connection to {host} port {port}: {error}") from error
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return channel
    if not hasattr(socket, "AF_UNIX"):
        raise InterfaceError("this system has no Unix sockets; give a host name in JOBS_DATABASE_URL")
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        channel.settimeout(timeout)
        channel.connect(unix_sock)
    except OSError as error:
        channel.close()
        raise InterfaceError(f"no connection to {unix_sock}: {error}") from error
    return channel
