"""Wait for what a signal's handler sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading

_STEP_SECONDS = 0.5


def wait_for(event: threading.Event) -> None:
    """Wait on the main thread until a handler of signals, or anybody else, sets ``event``.

    The kernel may give a signal to any thread of the process. Python runs its handler on the main thread, but does not
    wake that up: a wait without an end would go on although the signal has come.
    https://docs.python.org/3/library/signal.html#signals-and-threads
    """
    while not event.wait(_STEP_SECONDS):
        pass
