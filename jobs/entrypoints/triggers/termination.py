"""Release runs on SIGTERM, on which Python does not run ``atexit`` handlers."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from types import FrameType

    from jobs.core.handlers.marking.decorators import Middleware

_logger = logging.getLogger("jobs")


class ClosableApp(NamedTuple):
    """A function app, and the functions by which the development host ends it.

    ``start_nothing_more`` is called first, while the host still serves requests: no work is claimed from then on.
    ``close`` waits for current runs, releases the rest and closes the connections. ``open_queues`` finds the queues
    whose messages call functions: a queue by its connection's setting and its name, and its poison queue.
    ``log_advice`` logs what a developer should know of an app that serves. It may take seconds, and never raises.
    """

    app: Any
    close: Callable[[], None]
    start_nothing_more: Callable[[], None]
    open_queues: Any = None
    log_advice: Callable[[], None] = lambda: None


class CreateApp(Protocol):
    """Makes the app for a host of our own."""

    def __call__(self, *middleware: Middleware) -> ClosableApp:
        """Return the app, with ``middleware`` around every attempt, outside of the app's own.

        Raises ``ConfigurationError`` for a setting or a handler that cannot be used.
        """


def on_termination(close: Callable[[], None]) -> bool:
    """Call ``close`` on SIGTERM, and then do what the signal would have done otherwise.

    ``close`` runs on a thread of its own, since the main thread may be an event loop that serves the host. A previous
    handler is called at once; it may end the interpreter, which waits for the thread. Returns False and changes nothing
    if no handler can be set (outside the main thread), or if the signal is ignored or handled outside Python.
    """
    if threading.current_thread() is not threading.main_thread():
        _logger.info("SIGTERM cannot be handled, as the main thread does not load the app; leases run out instead")
        return False
    before = signal.getsignal(signal.SIGTERM)
    if before is None or before is signal.SIG_IGN:
        return False
    closing: list[threading.Thread] = []
    closed = threading.Event()

    def terminate(number: int, frame: FrameType | None) -> None:
        if not closing:
            closing.append(threading.Thread(target=close_app, args=[number], name="jobs-termination", daemon=False))
            closing[0].start()
        if callable(before):
            before(number, frame)
        elif closed.is_set():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def close_app(number: int) -> None:
        try:
            close()
        except Exception:
            _logger.exception("the app did not close in good order; leases run out instead")
        closed.set()
        if not callable(before):
            os.kill(os.getpid(), number)  # only the main thread can restore the default handler

    signal.signal(signal.SIGTERM, terminate)
    return True
