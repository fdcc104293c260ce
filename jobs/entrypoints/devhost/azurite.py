"""Azurite on a developer's machine: a storage emulator's queues, on loopback, with an account of their own."""

from __future__ import annotations

import base64
import http.client
import logging
import os
import secrets
import shutil
import signal
import time
from pathlib import Path
from typing import Self

from jobs.core.errors import ConfigurationError
from jobs.entrypoints.devhost.processes import Folder, Program

_logger = logging.getLogger("jobs.dev")
_READY_SECONDS = 60
_PROGRAM = "azurite-queue"
INSTALL_FOLDER = Path(".local") / "npm" / "node_modules" / ".bin"
"""Where ``make azurite`` puts it, seen from a clone's folder."""


def find_azurite() -> Path:
    """Find ``azurite-queue`` on PATH or where ``make azurite`` installs it.

    Raises ``ConfigurationError``, which says how to get it.
    """
    found = shutil.which(_PROGRAM) or shutil.which(_PROGRAM, path=str(INSTALL_FOLDER.resolve()))
    if found is None:
        raise ConfigurationError(
            f"{_PROGRAM}, the storage emulator, is neither on PATH nor in {INSTALL_FOLDER}; with Node.js installed, "
            "`make azurite` puts it there; or take the timer backend: make run SCHEDULER=timer"
        )
    return Path(found)


class LocalAzurite:
    """The queues of a storage emulator on ``port``, whose data and log are kept under ``folder``.

    ``connection_string`` is what the app needs. With ``access_log`` the log has a line for each request. It can be
    stopped or killed, and started again on its port and data.
    """

    def __init__(self, folder: Path, port: int, *, access_log: bool = False) -> None:
        self._binary = find_azurite()
        self.folder = folder.resolve()
        self.port = port
        self._said = [] if access_log else ["--silent"]
        self._folder = Folder(self.folder)
        self._program: Program | None = None
        account, key = "jobs", base64.b64encode(secrets.token_bytes(32)).decode()
        self._accounts = f"{account}:{key}"
        self._mark = f"--location={self.folder / 'data'}"
        self.connection_string = (
            f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={key};"
            f"QueueEndpoint=http://127.0.0.1:{port}/{account};"
        )

    def __enter__(self) -> Self:
        self._folder.take()
        try:
            if (stale := self._folder.end_stale(_PROGRAM)) is not None:
                _logger.warning("ended %s (process %d), which an earlier start had left behind", _PROGRAM, stale)
            self.start()
        except BaseException:
            self.__exit__()
            raise
        _logger.info("Azurite's queues are on port %d; its log is in %s", self.port, self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._folder.leave()

    def start(self) -> None:
        """Start it, and wait until it answers. Raises ``ConfigurationError`` naming the log if it does not come up."""
        log = self.folder / f"{_PROGRAM}.log"
        command = [
            str(self._binary),
            *self._said,
            "--disableTelemetry",
            "--skipApiVersionCheck",
            "--queueHost=127.0.0.1",
            f"--queuePort={self.port}",
            self._mark,
        ]
        with log.open("ab") as out:
            program = Program(command, os.environ | {"AZURITE_ACCOUNTS": self._accounts}, out)
        self._program = program
        self._folder.note(_PROGRAM, program.process.pid, self._mark)
        until = time.monotonic() + _READY_SECONDS
        while not self._answers():
            if program.process.poll() is not None or time.monotonic() > until:
                raise ConfigurationError(f"{self._binary} did not come up; see {log}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it, as the kernel would for want of memory."""
        self._end(signal.SIGKILL)

    def wipe(self) -> None:
        """Delete everything that it keeps; it must not be running."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        program, self._program = self._program, None
        if program is not None:
            program.end(number)
            self._folder.forget(_PROGRAM)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        else:
            return True  # whatever it answers, it is there
        finally:
            connection.close()
