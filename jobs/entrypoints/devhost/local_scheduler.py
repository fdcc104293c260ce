"""What wakes jobs up in a local start: a timer, or Dapr or a storage queue, which are started beside the app."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.entrypoints.devhost.azurite import LocalAzurite
from jobs.entrypoints.devhost.dapr import LocalDapr, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.entrypoints.devhost.options import DevOptions

_logger = logging.getLogger("jobs.dev")
_EMULATED = "UseDevelopmentStorage=true"
_EMULATED_QUEUES = ("127.0.0.1", 10001)
_STORAGE = "AzureWebJobsStorage"
_QUEUE = "jobs-wake"


def name_own_queues() -> None:
    """Have a start that uses a queue use a storage emulator, where no setting says which storage account it is to use.

    Messages for other instances are taken one at a time; host.json is made for the queue scheduler.
    """
    if _uses_queues() and os.environ["JOBS_SCHEDULER"] == "timer":
        os.environ.setdefault("AzureFunctionsJobHost__extensions__queues__newBatchThreshold", "0")
    chosen = os.environ.get("JOBS_QUEUE_CONNECTION", _STORAGE)
    if _uses_queues() and not any(name.casefold().startswith(chosen.casefold()) for name in os.environ):
        os.environ[chosen] = _EMULATED


@contextmanager
def local_scheduler(options: DevOptions) -> Iterator[str]:
    """Start what the chosen scheduler needs beside the app, and stop it at the end; use one that runs already.

    Yields lines for the terminal, on how other programs reach it; empty where it is not ours. Raises
    ``ConfigurationError`` where it is not installed, or does not come up.
    """
    data = Path(options.data)
    if os.environ["JOBS_SCHEDULER"] == "dapr" and not os.environ.get("DAPR_GRPC_PORT"):
        with LocalDapr(data / "dapr", options.port) as dapr:
            os.environ.update(dapr.environment)
            yield ""
    elif _uses_queues() and _emulated() and not _answers(_EMULATED_QUEUES):
        with LocalAzurite(data / "azurite", free_ports(1)[0]) as azurite:
            os.environ.update({os.environ.get("JOBS_QUEUE_CONNECTION", _STORAGE): azurite.connection_string})
            yield _reached_by(azurite.connection_string) if os.environ["JOBS_SCHEDULER"] == "queue" else ""
    else:
        _logger.info("jobs are woken up by %s", _there_already())
        yield ""


def _reached_by(connection_string: str) -> str:
    # No line to export: a later start in that terminal would take it for a storage account of the user's.
    queue = "" if os.environ.get("JOBS_QUEUE", _QUEUE) == _QUEUE else f", queue={os.environ['JOBS_QUEUE']!r}"
    return (
        "  Another program, until this one ends, has its jobs start at once with\n"
        f'    connect(..., scheduler="queue", queue_connection={connection_string!r}{queue})\n'
    )


def _uses_queues() -> bool:
    scale_out = os.environ.get("JOBS_SCALE_OUT", "").casefold() in {"true", "1", "yes", "on"}
    return os.environ["JOBS_SCHEDULER"] == "queue" or (os.environ["JOBS_SCHEDULER"] == "timer" and scale_out)


def _emulated() -> bool:
    return os.environ.get(os.environ.get("JOBS_QUEUE_CONNECTION", _STORAGE)) == _EMULATED


def _there_already() -> str:
    match os.environ["JOBS_SCHEDULER"]:
        case "dapr":
            return "the sidecar that runs already"
        case "queue":
            return "the storage emulator that runs already" if _emulated() else "the storage account that is set"
    return "a timer"


def _answers(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=0.5).close()
    except OSError:
        return False
    return True
