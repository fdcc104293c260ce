"""A small host for development: serves a FunctionApp over HTTP, and its timers and queues, without Core Tools.

It follows the Azure Functions host in what this product uses: route templates, tried in the order of the functions'
names, prefix, request and response conversion, what is refused before any function, timer coalescing and
``/admin/functions/{name}``, which it opens to everybody on this machine as Core Tools do.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import time
from typing import TYPE_CHECKING, Any, Self

from azure.functions.timer import TimerRequest

from jobs.entrypoints.devhost.host.functions import DevHostError, LoadedFunction, TraceContext, load_functions
from jobs.entrypoints.devhost.host.http import Site
from jobs.entrypoints.devhost.host.queue_settings import QueueSettings
from jobs.entrypoints.devhost.host.queues import queue_listeners
from jobs.entrypoints.devhost.host.server import Server, listen
from jobs.entrypoints.devhost.host.timers import Timer

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

    import azure.functions as func

    from jobs.entrypoints.devhost.host.queues import OpenQueues, QueueListener

__all__ = ["DevHost", "DevHostError", "read_route_prefix"]


def read_route_prefix(host_json: Path) -> str:
    """Return ``extensions.http.routePrefix`` of a host.json, without slashes; ``api`` if it, or the file, is absent.

    Raises ``DevHostError`` naming the file if it cannot be read.
    """
    try:
        settings: Any = json.loads(host_json.read_text("utf-8-sig"))
        prefix = settings.get("extensions", {}).get("http", {}).get("routePrefix", "api")
    except FileNotFoundError:
        return "api"
    except (OSError, ValueError, AttributeError) as error:
        raise DevHostError(f"{host_json} is not a usable host.json: {error}") from error
    if not isinstance(prefix, str):
        raise DevHostError(f"{host_json}: extensions.http.routePrefix must be a string, not {prefix!r}")
    return prefix.strip("/")


class DevHost:
    """Serves ``app`` from ``start`` to ``stop``, or inside a ``with`` block.

    ``port`` 0 takes a free one; see ``url``. A ``listening`` socket is bound to the port already; ``stop`` closes
    it, so that such a host starts once. Sync HTTP functions share ``threads`` threads, async ones wait neither for them
    nor for one another; each timer, and each message of a queue, has a thread of its own. ``open_queues`` finds the
    queues of queue triggers. Settings written as ``%NAME%`` come from the environment. Making one raises
    ``DevHostError`` for a fault that the Functions host would refuse or stumble over.
    """

    def __init__(
        self,
        app: func.FunctionApp,
        *,
        host: str = "127.0.0.1",
        port: int = 7071,
        listening: socket.socket | None = None,
        threads: int = 32,
        route_prefix: str = "api",
        open_queues: OpenQueues | None = None,
        queue_settings: QueueSettings | None = None,
        log: logging.Logger | None = None,
    ) -> None:
        self._host, self._port, self._listening, self._threads = host, port, listening, threads
        self._log = log or logging.getLogger("jobs.devhost")
        self.functions = load_functions(app, prefix=route_prefix.strip("/"), settings=os.environ, log=self._log)
        self._open_queues, self._queue_settings = open_queues, queue_settings or QueueSettings()
        self._site, self._timers = self._assemble()
        self._listeners: list[QueueListener] = []
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """Where the functions answer, without a slash at the end; with port 0 it is known once started."""
        host = {"0.0.0.0": "localhost", "::": "localhost", "": "localhost"}.get(self._host, self._host)  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self._server.port if self._server else self._port}"

    def start(self) -> None:
        """Take the port, serve, and start the timers; returns at once.

        Raises ``DevHostError`` if the port cannot be taken.
        """
        if self._server is not None:
            raise DevHostError("this host has been started before; stop it first")
        self._site, self._timers = self._assemble()  # anew, for a timer's thread can be started only once
        self._server = Server(self._site, self._listening or listen(self._host, self._port), self._threads)
        self._listeners = queue_listeners(self.functions, self._open_queues, self._queue_settings, self._log)
        for trigger in self._triggers():
            trigger.start()

    def stop(self, timeout: float = 10.0) -> bool:
        """Begin no further call, and wait up to ``timeout`` seconds for those under way.

        Returns whether all have ended; one that has not is left on a daemon thread, which dies with the process.
        """
        server, self._server = self._server, None
        if server is None:
            return True
        deadline = time.monotonic() + timeout
        for trigger in self._triggers():
            trigger.stop()
        ended = server.close(deadline, refuse_further=self._site.close)
        for trigger in self._triggers():
            if not trigger.join(max(0.0, deadline - time.monotonic())):
                self._log.warning("%s is still running after %g seconds", trigger.name, timeout)
                ended = False
        return ended

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _triggers(self) -> Iterator[Timer | QueueListener]:
        yield from self._timers.values()
        yield from self._listeners

    def _assemble(self) -> tuple[Site, dict[str, Timer]]:
        timers = {
            function.name: Timer(
                function.name,
                function.schedule,
                functools.partial(_fire, function),
                run_on_startup=function.run_on_startup,
                log=self._log,
            )
            for function in self.functions
            if function.schedule is not None
        }
        return Site(self.functions, timers, self._log), timers


def _fire(function: LoadedFunction) -> None:
    # past_due is for ticks missed while the host was down, which a host that keeps no state cannot know of; the
    # Functions host leaves it False too for the run that makes up for ticks missed during another.
    if function.invoke(TimerRequest(past_due=False), TraceContext()) is not None:
        raise TypeError("a timer function must return None; the Functions worker fails one that does not")
