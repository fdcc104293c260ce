"""The port of a local start."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from jobs.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOTE = "served-port"


def take_port(port: int) -> socket.socket:
    """Return a socket that is bound to ``port`` on 127.0.0.1, and refuses connections until somebody listens on it.

    Raises ``ConfigurationError`` if it cannot be bound.
    """
    bound = socket.socket()
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise ConfigurationError(
            f"port {port} on 127.0.0.1 cannot be used ({error}); choose another: --port 7072, or make run PORT=7072"
        ) from None
    return bound


@contextmanager
def noted_port(data: Path, url: str) -> Iterator[None]:
    """Note in the folder ``data`` where an app is served, for other commands, until the block is left."""
    note = data / _NOTE
    data.mkdir(parents=True, exist_ok=True)
    note.write_text(str(urlsplit(url).port))
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def served_port(data: Path) -> int | None:
    """Return the port of the app that a start on the folder ``data`` serves now; None if none answers."""
    try:
        port = int((data / _NOTE).read_text())
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except (OSError, ValueError, OverflowError):  # one that was killed has left its note
        return None
    return port
