"""Programs beside the app on a developer's machine: none outlives it, however it ends, and a stale one is ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import IO, TYPE_CHECKING, Any

from jobs.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_END_SECONDS = 10.0

# It becomes the program, so that its process id is the program's. Before that it leaves a process behind which reads
# from a pipe that only the parent can write to: the end of that is the parent's end, also by kill -9 and on macOS. That
# one then ends the program's whole group, and so it does when the program ends: its own children end with it.
_WATCHED = """
import os, select, signal, sys, time
pipe, program = int(sys.argv[1]), sys.argv[2:]
watched = os.getpid()
if os.fork() == 0:
    os.setpgid(0, 0)  # so that it is not among those that it ends
    for descriptor in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    while os.getppid() == watched and not select.select([pipe], [], [], 0.5)[0]:
        pass
    for number in (signal.SIGTERM, signal.SIGKILL):
        until = time.monotonic() + 5
        while time.monotonic() < until:
            try:
                os.killpg(watched, number)
            except OSError:  # none of the group is left
                os._exit(0)
            time.sleep(0.2)
    os._exit(0)
os.close(pipe)
os.execv(program[0], program)
"""


class Program:
    """One program under this process, with a process group of its own: it ends with this process at the latest.

    What it says goes into ``log``, or where this process writes if that is None.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: IO[bytes] | None) -> None:
        reading, self._writing = os.pipe()
        try:
            self.process = subprocess.Popen(  # noqa: S603  found on PATH by the caller
                [sys.executable, "-I", "-S", "-c", _WATCHED, str(reading), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=None if log is None else subprocess.STDOUT,
                env=dict(environment),
                pass_fds=[reading],
                start_new_session=True,  # Ctrl-C is for the app, which then stops these in order
            )
        except BaseException:
            os.close(self._writing)
            raise
        finally:
            os.close(reading)

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float | None = None) -> None:
        """Send a signal to its process group, as a terminal does, and kill what does not end in ``seconds``."""
        self._send(number)
        try:
            self.process.wait(_END_SECONDS if seconds is None else seconds)
        except subprocess.TimeoutExpired:
            self._send(signal.SIGKILL)
            self.process.wait()
        os.close(self._writing)

    def _send(self, number: signal.Signals) -> None:
        if self.process.poll() is None:  # else its id may be another's by now
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, number)


class Folder:
    """A folder that one process at a time works in, with notes of the programs that it runs there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None

    def take(self) -> None:
        """Lock the folder against other processes until ``leave``, or this process's end.

        Raises ``ConfigurationError`` naming the process that has locked it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = (self.path / "lock").open("a+")
        if not _locked(lock):
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise ConfigurationError(
                f"another process (id {holder}) works in {self.path}; stop it, or choose another folder with --data"
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def leave(self) -> None:
        """Release the folder to other processes."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def note(self, name: str, process_id: int, mark: str) -> None:
        """Note that a program runs here; ``mark`` stands in its command line and in no other program's."""
        (self.path / f"{name}.pid").write_text(json.dumps({"pid": process_id, "mark": mark}))

    def forget(self, name: str) -> None:
        """Delete that note."""
        (self.path / f"{name}.pid").unlink(missing_ok=True)

    def end_stale(self, name: str) -> int | None:
        """End the program of that name that an earlier process left behind; returns its id, None if there is none.

        Raises ``ConfigurationError`` naming it if it does not end.
        """
        try:
            noted: Any = json.loads((self.path / f"{name}.pid").read_text())
            process_id, mark = int(noted["pid"]), str(noted["mark"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        found = None
        until = time.monotonic() + _END_SECONDS
        while mark in command_of(process_id):
            found = process_id
            number = signal.SIGTERM if time.monotonic() < until - _END_SECONDS / 2 else signal.SIGKILL
            if time.monotonic() > until:
                raise ConfigurationError(f"{name} (process {process_id}) is left over and does not end; kill it")
            with contextlib.suppress(OSError):
                os.kill(process_id, number)
            time.sleep(0.1)
        self.forget(name)
        return found


def command_of(process_id: int) -> str:
    """Return the command line of a process; empty if there is none, or if it has ended and waits to be collected."""
    asked = subprocess.run(  # noqa: S603
        ["ps", "-ww", "-p", str(process_id), "-o", "stat=,command="],  # noqa: S607  on every Unix, wherever it is
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, command = asked.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else command


def _locked(file: IO[str]) -> bool:
    try:
        import fcntl  # noqa: PLC0415  not on Windows
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
