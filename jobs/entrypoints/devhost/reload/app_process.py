"""The app in a process of its own, which loads it at once and serves it on order.

So a new version is loaded while the old one still serves, and one that cannot be loaded costs nothing. Orders and
reports go through two pipes: the parent closes its end to have the app stop, and the end of the parent, however it
comes, does the same. This is the parent's side; the other one is ``served_app``.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading

LOADED, SERVING, SERVE = b"l", b"s", b"s"
_LOOK_SECONDS = 0.2
_END_SECONDS = 30.0
GRACE_SECONDS = "1"
"""How long running handlers get to end at a reload, as JOBS_SHUTDOWN_GRACE_SECONDS, unless that is set."""


class AppProcess:
    """One process with the app, seen from the parent."""

    def __init__(self, port: int) -> None:
        orders, self._orders = os.pipe()
        self._reports, reports = os.pipe()
        arguments = ["-m", "jobs", "dev", "--port", str(port), "--under", f"{orders},{reports}"]
        environment = {"JOBS_SHUTDOWN_GRACE_SECONDS": GRACE_SECONDS} | os.environ
        try:
            self.process = subprocess.Popen(  # noqa: S603  this very program
                [sys.executable, *arguments], env=environment, pass_fds=[orders, reports]
            )
        finally:
            os.close(orders)
            os.close(reports)

    def is_loaded(self, stop: threading.Event) -> bool:
        """Wait until the app is loaded; returns False at ``stop``, or if it has ended, after it said why."""
        return self._reported(LOADED, stop)

    def serve(self, stop: threading.Event) -> bool:
        """Have it serve; returns whether it does."""
        with suppress(OSError):
            os.write(self._orders, SERVE)
        return self._reported(SERVING, stop)

    def end(self) -> None:
        """Have it hand back what runs and end; kill it if that takes too long."""
        os.close(self._orders)
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._reports)

    def _reported(self, what: bytes, stop: threading.Event) -> bool:
        while not stop.is_set():
            if select.select([self._reports], [], [], _LOOK_SECONDS)[0]:
                return os.read(self._reports, 1) == what
        return False
