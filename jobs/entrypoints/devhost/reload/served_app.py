"""The app in a process of its own, seen from within: load it, serve it on the parent's order, end with the parent."""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from jobs.entrypoints.devhost.built_in import built_in_host
from jobs.entrypoints.devhost.job_names import name_job
from jobs.entrypoints.devhost.reload.app_process import LOADED, SERVE, SERVING
from jobs.entrypoints.devhost.signals import wait_for

if TYPE_CHECKING:
    from jobs.entrypoints.triggers.termination import CreateApp

_PATIENCE_SECONDS = 1.0


def serve_for_parent(inherited: str, port: int, create_app: CreateApp) -> int:
    """Be such a process: load the app, serve it once the parent says so, and stop when the parent has closed its end.

    Raises ``ConfigurationError`` for an app that cannot be loaded.
    """
    orders, reports, listening = map(int, inherited.split(","))
    stop = threading.Event()
    for descriptor in (orders, reports, listening):
        os.set_inheritable(descriptor, False)
    for number in (signal.SIGINT, signal.SIGHUP):  # for the parent, in the same terminal; what is ignored is inherited
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    app = create_app(name_job)
    os.write(reports, LOADED)
    if os.read(orders, 1) != SERVE:
        app.close()
        return 0

    def stop_at_the_end() -> None:
        os.read(orders, 1)  # nothing more is ever written, so this returns when the other end is closed
        stop.set()

    threading.Thread(target=stop_at_the_end, name="jobs-dev-parent", daemon=True).start()
    with built_in_host(app, port, _PATIENCE_SECONDS, socket.socket(fileno=listening)):
        with suppress(OSError):
            os.write(reports, SERVING)
        wait_for(stop)
    return 0
