"""The app in a process of its own, which loads it at once and serves it on order.

So a new version is loaded while the old one still serves, and one that cannot be loaded costs nothing. Orders and
reports go through two pipes: the parent closes its end to have the app stop, and the end of the parent, however it
comes, does the same. Both versions accept connections from one socket, which the parent keeps open, so that none is
refused between them. This is the parent's side; the other one is ``served_app``.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

LOADED, SERVING, SERVE = b"l", b"s", b"s"
_LOOK_SECONDS = 0.5
_END_SECONDS = 30.0
GRACE_SECONDS = "1"
"""How long running handlers get to end at a reload, as JOBS_SHUTDOWN_GRACE_SECONDS, unless that is set."""


class AppProcess:
    """One process with the app, seen from the parent."""

    def __init__(self, port: int, listening: socket.socket) -> None:
        orders, self._orders = os.pipe()
        self._reports, reports = os.pipe()
        self._loaded = False
        inherited = [orders, reports, listening.fileno()]
        arguments = ["-m", "jobs", "dev", "--port", str(port), "--under", ",".join(map(str, inherited))]
        environment = {"JOBS_SHUTDOWN_GRACE_SECONDS": GRACE_SECONDS} | os.environ
        try:
            self.process = subprocess.Popen(  # noqa: S603  this very program
                [sys.executable, *arguments], env=environment, pass_fds=inherited
            )
        finally:
            os.close(orders)
            os.close(reports)

    def is_loaded(self, given_up: Callable[[], bool]) -> bool:
        """Wait until the app is loaded; returns False once it is ``given_up``, or if it has ended and said why."""
        self._loaded = self._reported(LOADED, given_up)
        return self._loaded

    def serve(self, given_up: Callable[[], bool]) -> bool:
        """Have it serve; returns whether it does."""
        with suppress(OSError):
            os.write(self._orders, SERVE)
        return self._reported(SERVING, given_up)

    def end(self) -> None:
        """Have it hand back what runs and end; kill it if that takes too long, and at once while it is being loaded.

        Until it is loaded it has taken up nothing, and it may wait for something that never comes.
        """
        os.close(self._orders)
        try:
            self.process.wait(_END_SECONDS if self._loaded else 0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._reports)

    def _reported(self, what: bytes, given_up: Callable[[], bool]) -> bool:
        while not given_up():
            if select.select([self._reports], [], [], _LOOK_SECONDS)[0]:
                return os.read(self._reports, 1) == what
        return False
