"""A small host for development: serves a FunctionApp over HTTP, and its timers and queues, without Core Tools.

It follows the Azure Functions host in what this product uses: route templates, tried in the order of the functions'
names, prefix, request and response conversion, what is refused before any function, timer coalescing and
``/admin/functions/{name}``, which it opens to everybody on this machine as Core Tools do.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import logging
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from azure.functions.timer import TimerRequest
from waitress.server import create_server

from jobs.entrypoints.devhost.host.dispatch import Dispatcher
from jobs.entrypoints.devhost.host.functions import DevHostError, LoadedFunction, TraceContext, load_functions
from jobs.entrypoints.devhost.host.http import Site
from jobs.entrypoints.devhost.host.queue_settings import QueueSettings
from jobs.entrypoints.devhost.host.queues import queue_listeners
from jobs.entrypoints.devhost.host.timers import Timer
from jobs.entrypoints.devhost.host.wire import Channel, is_new

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import azure.functions as func

    from jobs.entrypoints.devhost.host.queues import OpenQueues, QueueListener

__all__ = ["DevHost", "DevHostError", "read_route_prefix"]

_MAX_BODY = 100 * 1024 * 1024  # bytes, as in the Functions host
_MAX_CONNECTIONS = 10_000  # a scheduler may call back about as many jobs at once
_OTHER_FILES = 200


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
        self._server: _Server | None = None

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
        self._server = _Server(self._site, self._listening or _listen(self._host, self._port), self._threads)
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


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise DevHostError(
                f"port {port} is in use by another program; choose another with --port, or stop that program"
            ) from error
        raise DevHostError(f"cannot listen on {host}, port {port}: {error.strerror or error}") from error


def _allow_connections(most: int) -> int:
    """Raise the process's limit of open files where necessary and permitted; returns how many connections fit."""
    try:
        import resource  # noqa: PLC0415  not on Windows, which has no such limit
    except ImportError:
        return most
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if now == resource.RLIM_INFINITY else max(min(most, now - _OTHER_FILES), 100)


class _Server:
    """waitress, from the first request to an orderly end, which its own API has no call for."""

    def __init__(self, site: Site, listening: socket.socket, threads: int) -> None:
        self.port: int = listening.getsockname()[1]
        # A burst of more requests than threads is no fault, and waitress warns of each request that waits.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        dispatcher = Dispatcher(site.async_function)
        dispatcher.set_thread_count(threads)
        self._waitress = create_server(
            site,
            _dispatcher=dispatcher,
            sockets=[listening],
            threads=threads,
            ident="devhost",
            max_request_body_size=_MAX_BODY + 1,  # waitress refuses a body of just this size, too
            connection_limit=_allow_connections(_MAX_CONNECTIONS),
            asyncore_use_poll=True,  # select() cannot watch file descriptors above 1023
            clear_untrusted_proxy_headers=False,  # X-Forwarded-… reach a function, as behind the real front end
            log_socket_errors=False,  # a caller who hangs up is no news
        )
        self._waitress.channel_class = Channel
        self._pulled = threading.Event()
        self._thread = threading.Thread(target=self._waitress.run, name="devhost-http", daemon=True)
        self._thread.start()

    def close(self, deadline: float, refuse_further: Callable[[], None]) -> bool:
        """Stop accepting, wait until ``deadline`` for calls and their answers, then close; True if none was cut off.

        ``refuse_further`` is called once each accepted connection has had time to send its first request.
        """
        self._on_loop(self._stop_accepting)
        while any(map(is_new, self._channels())):
            time.sleep(0.02)
        self._on_loop(refuse_further)
        while not (idle := self._idle()) and time.monotonic() < deadline:
            time.sleep(0.02)
        self._waitress.task_dispatcher.shutdown(timeout=0.5)  # idle threads leave at once
        self._waitress.trigger.pull_trigger(self._close_all)
        self._pulled.set()
        self._thread.join(timeout=1.0)
        return idle

    def _idle(self) -> bool:
        return not any(channel.requests or channel.total_outbufs_len for channel in self._channels())

    def _on_loop(self, step: Callable[[], None]) -> None:
        done = threading.Event()

        def run() -> None:
            step()
            done.set()

        self._waitress.trigger.pull_trigger(run)
        done.wait(1.0)

    def _channels(self) -> list[Channel]:
        return list(self._waitress.active_channels.values())

    # The next two run on the thread of waitress's loop, the only one that may touch its sockets.

    def _stop_accepting(self) -> None:
        self._waitress.accepting = False
        self._waitress.del_channel()
        self._waitress.socket.close()

    def _close_all(self) -> None:
        # An earlier pull may have brought the loop here already; the trigger must not be closed while it is pulled.
        self._pulled.wait(1.0)
        for channel in self._channels():
            channel.handle_close()  # and not close(): so a call still running sees that nobody listens any more
        self._waitress.close()
