"""The app under the built-in host, in this process."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.entrypoints.devhost.host.host import DevHost, read_route_prefix
from jobs.entrypoints.devhost.host.logs import InvocationFilter, read_log_levels
from jobs.entrypoints.devhost.host.queue_settings import read_queue_settings
from jobs.entrypoints.devhost.job_names import JobNamingFormatter

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from jobs.entrypoints.triggers.termination import ClosableApp


@contextmanager
def built_in_host(
    app: ClosableApp, port: int, patience_seconds: float = 10.0, listening: socket.socket | None = None
) -> Iterator[str]:
    """Serve ``app`` and yield its address; then claim nothing more, end the calls, and release what still runs.

    Calls get ``patience_seconds`` to end. A ``listening`` socket is bound to the port already.
    Raises ``DevHostError`` for an app that the Functions host would refuse.
    """
    host_json = Path("host.json")
    shown = InvocationFilter(read_log_levels(host_json))
    for handler in logging.getLogger().handlers:
        handler.addFilter(shown)
        handler.setFormatter(JobNamingFormatter(handler.formatter))
    try:
        host = DevHost(
            app.app,
            port=port,
            listening=listening,
            route_prefix=read_route_prefix(host_json),
            open_queues=app.open_queues,
            queue_settings=read_queue_settings(host_json),
        )
        host.start()
    except BaseException:
        app.close()
        raise
    threading.Thread(target=app.log_advice, name="jobs-advice", daemon=True).start()
    try:
        yield host.url
    finally:
        app.start_nothing_more()  # before the host stops, which waits for its calls while jobs would be claimed
        host.stop(patience_seconds)
        app.close()
