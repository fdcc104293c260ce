"""The HTTP server of the development host: waitress, its port, its limits, and its end."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import threading
import time
from typing import TYPE_CHECKING

from waitress.server import create_server

from jobs.entrypoints.devhost.host.dispatch import Dispatcher
from jobs.entrypoints.devhost.host.functions import DevHostError
from jobs.entrypoints.devhost.host.wire import Channel, is_new

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.entrypoints.devhost.host.http import Site

_MAX_BODY = 100 * 1024 * 1024  # bytes, as in the Functions host
_MAX_CONNECTIONS = 10_000  # a scheduler may call back about as many jobs at once
_OTHER_FILES = 200


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on a host and port. Raises ``DevHostError``, which says why it cannot."""
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


class Server:
    """waitress on a socket that listens, up to an orderly end, which its own API has no call for."""

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
