"""Dapr on a developer's machine, without Docker or Kubernetes: one scheduler and one sidecar, both on loopback."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Self

from jobs.core.errors import ConfigurationError
from jobs.entrypoints.devhost.processes import Folder, Program

_logger = logging.getLogger("jobs.dev")
_READY_SECONDS = 30
_MOST_CALLBACKS = 256
_INSTALL_FOLDER = Path.home() / ".dapr" / "bin"  # where `dapr init --slim` puts them


def find_dapr() -> tuple[Path, Path]:
    """Find ``scheduler`` and ``daprd`` on PATH or where the Dapr CLI installs them.

    Raises ``ConfigurationError``, which says how to get them.
    """
    found = [shutil.which(name) or shutil.which(name, path=str(_INSTALL_FOLDER)) for name in ("scheduler", "daprd")]
    if None in found:
        raise ConfigurationError(
            "scheduler and daprd are neither on PATH nor in ~/.dapr/bin; install the Dapr CLI and run "
            "`dapr init --slim`, or take the timer backend: make run SCHEDULER=timer"
        )
    return Path(str(found[0])), Path(str(found[1]))


def free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on; all are held until all are found, so that no two are the same."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class LocalDapr:
    """A scheduler and a sidecar for the app on ``app_port``, on free ports, with tokens of their own.

    Their logs and the scheduler's data are kept under ``folder``. ``environment`` holds what the app needs. Each of the
    two can be stopped or killed and started again on its ports and data. ``find_ports`` takes the number of
    ports to return; by default it is ``free_ports``.
    """

    def __init__(self, folder: Path, app_port: int, find_ports: Callable[[int], list[int]] = free_ports) -> None:
        self._binaries = dict(zip(("scheduler", "daprd"), find_dapr(), strict=True))
        self.folder = folder.resolve()
        self._folder = Folder(self.folder)
        self._programs: dict[str, Program] = {}
        names = ("scheduler", "health", "metrics", "etcd", "peer", "http", "grpc", "internal", "sidecar_metrics")
        ports = dict(zip(names, find_ports(len(names)), strict=True))
        self._ports = ports
        self._callback_token, self._api_token = secrets.token_hex(16), secrets.token_hex(16)
        self.environment = {
            "JOBS_SCHEDULER": "dapr",
            "JOBS_CALLBACK_TOKENS": self._callback_token,
            "DAPR_API_TOKEN": self._api_token,
            "DAPR_HTTP_PORT": str(ports["http"]),
            "DAPR_GRPC_PORT": str(ports["grpc"]),
        }
        self._commands = {
            "scheduler": [
                "--id=dapr-scheduler-server-0",
                f"--port={ports['scheduler']}",
                "--listen-address=127.0.0.1",
                f"--healthz-port={ports['health']}",
                "--healthz-listen-address=127.0.0.1",
                f"--metrics-port={ports['metrics']}",
                "--metrics-listen-address=127.0.0.1",
                f"--etcd-data-dir={self.folder / 'data'}",
                f"--etcd-client-port={ports['etcd']}",
                "--etcd-client-listen-address=127.0.0.1",
                f"--etcd-initial-cluster=dapr-scheduler-server-0=http://127.0.0.1:{ports['peer']}",
                f"--identity-directory-write={self.folder / 'identity'}",
            ],
            "daprd": [
                "--app-id=jobs",
                f"--app-port={app_port}",
                "--app-protocol=http",
                f"--dapr-http-port={ports['http']}",
                f"--dapr-grpc-port={ports['grpc']}",
                "--dapr-listen-addresses=127.0.0.1",
                f"--dapr-internal-grpc-port={ports['internal']}",
                "--dapr-internal-grpc-listen-address=127.0.0.1",
                f"--metrics-port={ports['sidecar_metrics']}",
                "--metrics-listen-address=127.0.0.1",
                f"--scheduler-host-address=127.0.0.1:{ports['scheduler']}",
                "--dapr-graceful-shutdown-seconds=1",
                # Callbacks wait while the app is down, and beyond a number that no app on one machine works on at once.
                "--enable-app-health-check",
                "--app-health-check-path=/api/health/live",
                "--app-health-probe-interval=2",
                "--app-health-probe-timeout=1900",
                f"--app-max-concurrency={_MOST_CALLBACKS}",
            ],
        }
        self._marks = {"scheduler": f"--etcd-data-dir={self.folder / 'data'}", "daprd": f"--app-port={app_port}"}

    def __enter__(self) -> Self:
        self._folder.take()
        try:
            for name in self._commands:
                if (stale := self._folder.end_stale(name)) is not None:
                    _logger.warning("ended %s (process %d), which an earlier start had left behind", name, stale)
            for name in self._commands:
                self.start(name)
        except BaseException:
            self.__exit__()
            raise
        _logger.info("Dapr's scheduler and sidecar run; their logs are in %s", self.folder)
        return self

    def __exit__(self, *_: object) -> None:
        for name in ("daprd", "scheduler"):
            self.stop(name)
        self._folder.leave()

    def start(self, name: str) -> None:
        """Start ``scheduler`` or ``daprd``, and wait until it answers.

        Raises ``ConfigurationError`` naming the log if it does not come up.
        """
        log = self.folder / f"{name}.log"
        environment = os.environ | {"NAMESPACE": "default"}
        if name == "daprd":
            environment |= {"APP_API_TOKEN": self._callback_token, "DAPR_API_TOKEN": self._api_token}
        with log.open("ab") as out:
            program = Program([str(self._binaries[name]), *self._commands[name]], environment, out)
        self._programs[name] = program
        self._folder.note(name, program.process.pid, self._marks[name])
        url = {
            "scheduler": f"http://127.0.0.1:{self._ports['health']}/healthz",
            "daprd": f"http://127.0.0.1:{self._ports['http']}/v1.0/healthz/outbound",
        }[name]
        until = time.monotonic() + _READY_SECONDS
        while not self._answers(url):
            if program.process.poll() is not None or time.monotonic() > until:
                raise ConfigurationError(f"{self._binaries[name]} did not come up; see {log}")
            time.sleep(0.05)

    def stop(self, name: str) -> None:
        """Stop it in good order."""
        self._end(name, signal.SIGTERM)

    def kill(self, name: str) -> None:
        """Kill it, as the kernel would for want of memory."""
        self._end(name, signal.SIGKILL)

    def wipe(self) -> None:
        """Delete everything that the scheduler keeps; it must not be running."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def _end(self, name: str, number: signal.Signals) -> None:
        program = self._programs.pop(name, None)
        if program is not None:
            program.end(number)
            self._folder.forget(name)

    def _answers(self, url: str) -> bool:
        request = urllib.request.Request(url, headers={"dapr-api-token": self._api_token})  # noqa: S310  loopback
        try:
            with urllib.request.urlopen(request, timeout=1) as answer:  # noqa: S310  loopback
                return bool(answer.status < 300)  # noqa: PLR2004  success
        except (OSError, urllib.error.HTTPError):
            return False
