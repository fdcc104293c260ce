"""The port of a local start."""

from __future__ import annotations

import socket

from jobs.core.errors import ConfigurationError


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
