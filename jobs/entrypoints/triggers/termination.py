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

    from jobs.core.handlers.decorators import Middleware

_logger = logging.getLogger("jobs")


class ClosableApp(NamedTuple):
    """A function app, and how a host of our own ends it.

    ``start_nothing_more`` is called first, while the host still answers: no work is claimed from then on. ``close``
    waits for what runs, returns the rest back and closes the connections.
    """

    app: Any
    close: Callable[[], None]
    start_nothing_more: Callable[[], None]


class CreateApp(Protocol):
    """Makes the app for a host of our own."""

    def __call__(self, *middleware: Middleware) -> ClosableApp:
        """Return the app, with ``middleware`` around every attempt, outside of the app's own.

        Raises ``ConfigurationError`` for a setting or a handler that cannot be used.
        """


def on_termination(close: Callable[[], None]) -> bool:
    """Have ``close`` called at SIGTERM, and then what the signal would have done without this.

    ``close`` is called on a thread of its own: the main thread may be a loop that answers the host, and goes on. A
    handler that stood there before is called at once; that may end the interpreter, which waits for the thread.
    Returns False, and changes nothing, where no handler can be set (by any thread but the main one) or where the signal
    is ignored or handled by something that is not Python's.
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
            closing.append(threading.Thread(target=give_back, args=[number], name="jobs-termination", daemon=False))
            closing[0].start()
        if callable(before):
            before(number, frame)
        elif closed.is_set():
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def give_back(number: int) -> None:
        try:
            close()
        except Exception:
            _logger.exception("the app did not close in good order; leases run out instead")
        closed.set()
        if not callable(before):
            os.kill(os.getpid(), number)  # only the main thread may put back what the signal does by default

    signal.signal(signal.SIGTERM, terminate)
    return True
