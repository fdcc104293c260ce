"""Processes that run a command of Python's without importing the framework anew, which costs each a second of CPU.

Each is forked from a server that has imported it, one per process of the tests. It has its own memory, descriptors,
environment and folder, and may be signalled and killed like any other. What a test shows about the start of an
interpreter, about imports or about what happens as an interpreter ends needs ``subprocess``.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from tests.support import ROOT

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "jobs.adapters.schedulers.dapr",
        "jobs.bootstrap.database",
        "jobs.entrypoints.cli.main",
        "jobs.entrypoints.devhost.host.host",
        "jobs.startup",
        "jobs.testing",
        "tests.warm",
    ]
)
_OUTPUTS = ("stdout", "stderr")


class WarmProcess:
    """``python ARGUMENTS``, where these are ``-m MODULE …``, ``-c CODE …`` or ``SCRIPT …``; with Popen's methods.

    What it prints is in the files ``stdout`` and ``stderr`` of the folder ``output``.
    """

    def __init__(
        self, arguments: Sequence[str], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None, output: Path
    ) -> None:
        environment = dict(os.environ if env is None else env)
        for name in _OUTPUTS:
            (output / name).write_bytes(b"")  # there to be read, even before the process has begun
        self._process = _CONTEXT.Process(
            target=_run, args=(list(arguments), str(cwd), environment, str(output)), daemon=True
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended: minus the signal if by one; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()


def warm_run(
    arguments: Sequence[str], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a command of Python's to its end and return what it printed, as ``subprocess.run`` does with text."""
    with TemporaryDirectory() as folder:
        process = WarmProcess(arguments, cwd=cwd, env=env, output=Path(folder))
        try:
            status = process.wait(timeout)
        finally:
            process.kill()
        printed, told = ((Path(folder) / name).read_text(encoding="utf-8") for name in _OUTPUTS)
    return subprocess.CompletedProcess(list(arguments), status, printed, told)


def _run(arguments: list[str], cwd: str, environment: dict[str, str], output: str) -> None:
    """Become such a process, whose output goes to the files ``stdout`` and ``stderr`` in the folder ``output``."""
    for number, name in enumerate(_OUTPUTS, 1):
        with (Path(output) / name).open("wb") as file:
            os.dup2(file.fileno(), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    if encoding := environment.get("PYTHONIOENCODING"):
        for stream in (sys.stdout, sys.stderr):
            cast("TextIOWrapper", stream).reconfigure(encoding=encoding)
    installed = [entry for entry in sys.path if entry and Path(entry) != ROOT]
    named = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    head, *rest = arguments
    sys.path[:] = [cwd if head in {"-m", "-c"} else str(Path(head).parent), *named, *installed]
    if head == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif head == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = arguments
        runpy.run_path(head, run_name="__main__")
