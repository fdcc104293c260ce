"""Ports for what a test starts, kills and starts again."""

from __future__ import annotations

import socket
from typing import Self


class HeldPorts:
    """Ports on loopback that no other process is given between two starts of the one that listens on them.

    A port that a killed server has left is otherwise the system's to hand out, and with several tests at once it does.
    Each is bound here with SO_REUSEADDR and never listened on: a server that binds it by number with the same option,
    as ours and Dapr's do, gets it, and a search for a free port passes it over.
    """

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    def take(self, count: int) -> list[int]:
        """Hold as many ports more, until ``close``."""
        taken = []
        for _ in range(count):
            held = socket.socket()
            self._sockets.append(held)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", 0))
            taken.append(int(held.getsockname()[1]))
        return taken

    def close(self) -> None:
        """Let others have them."""
        for held in self._sockets:
            held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
