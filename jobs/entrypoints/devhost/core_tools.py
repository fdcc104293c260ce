"""The app under Azure Functions Core Tools: ``--host func``.

Core Tools run the worker with the first ``python3`` on PATH, which is the environment's only where that was activated.
A worker without the app's packages finds no function, and the host stays up all the same. So they are started with the
environment's programs first on PATH.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.core.errors import ConfigurationError
from jobs.entrypoints.devhost.processes import Program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_STORAGE_EMULATOR = ("127.0.0.1", 10000)
_EMULATED = "UseDevelopmentStorage=true"
_STOP_SECONDS = 15.0


class CoreToolsEnded(ConfigurationError):
    """Core Tools ended on their own; ``status`` is their exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"Core Tools ended by themselves, with exit status {status}; their last lines above say why")
        self.status = status


def environment_of_core_tools(environment: Mapping[str, str]) -> dict[str, str]:
    """Return ``environment`` with what has Core Tools run the worker with this Python and its packages."""
    programs = str(Path(sys.executable).parent)
    made = dict(environment) | {
        "PATH": os.pathsep.join([programs, *filter(None, [environment.get("PATH")])]),
        "languageWorkers__python__defaultExecutablePath": sys.executable,
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "AzureWebJobsStorage": environment.get("AzureWebJobsStorage", _EMULATED),
        "PYTHON_ISOLATE_WORKER_DEPENDENCIES": "0",  # 1 breaks starts on 3.12 and older, 3.13 does not read it
    }
    if sys.prefix != sys.base_prefix:
        made["VIRTUAL_ENV"] = sys.prefix
    return made


def find_core_tools() -> str:
    """Return where ``func`` is.

    Raises ``ConfigurationError`` where it, or the storage emulator that it is to use, is missing.
    """
    func = shutil.which("func")
    if func is None:
        raise ConfigurationError(
            "--host func: Azure Functions Core Tools are not on PATH; npm i -g azure-functions-core-tools@4, or leave "
            "--host out for the built-in host"
        )
    if os.environ.get("AzureWebJobsStorage", _EMULATED) == _EMULATED and not _answers(_STORAGE_EMULATOR):  # noqa: SIM112  Azure spells it so
        raise ConfigurationError(
            f"--host func: AzureWebJobsStorage is {_EMULATED}, and no storage emulator listens on 127.0.0.1:10000, "
            "without which no timer fires; start one: npx azurite --silent --location .local/azurite"
        )
    return func


def _answers(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=0.5).close()
    except OSError:
        return False
    return True


@contextmanager
def core_tools(func: str, port: int, stop: threading.Event) -> Iterator[str]:
    """Run ``func start``, and yield the app's address; end it as Ctrl-C does.

    Where Core Tools end on their own ``stop`` is set, and ``CoreToolsEnded`` raised unless its exit status is 0.
    """
    command = [func, "start", "--port", str(port)]
    environment = environment_of_core_tools(os.environ)
    program = Program(command, environment, log=None)

    def stop_with_it() -> None:
        program.process.wait()
        stop.set()

    threading.Thread(target=stop_with_it, name="jobs-core-tools", daemon=True).start()
    try:
        yield f"http://127.0.0.1:{port}"
        ended = program.process.poll()
    finally:
        program.end(signal.SIGINT, _STOP_SECONDS)
    if ended:
        raise CoreToolsEnded(ended)
