"""A fresh clone of this checkout, as somebody has it who is about to write handlers in it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.docs.project import free_port
from tests.support import PATIENCE_SECONDS, ROOT

YOURS = ("handlers/", "tests/handlers/")
_GIT = ("git", "-c", "user.name=somebody", "-c", "user.email=somebody@example.com")


def command_environment(**settings: str) -> dict[str, str]:
    """The environment of a terminal, without the settings of whoever runs the tests."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("JOBS_", "COV", "PYTEST_", "GIT_"))
    }
    # Compiled code is kept: one command after the other is run in a clone.
    return kept | {"PYTHONDONTWRITEBYTECODE": "", "PYTHONUNBUFFERED": "1"} | settings


class Folder:
    """A folder in which commands are run."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.environment = command_environment(**settings)

    def write(self, files: Mapping[str, str]) -> None:
        """Write files, their text indented or not."""
        self.folder.mkdir(exist_ok=True)
        for name, text in files.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text))

    def run(self, *command: str, fails: bool = False) -> str:
        """Run a command and return what it prints; raises ``AssertionError`` unless it ends as expected."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=600
        )
        said = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, f"{' '.join(command)} ended with {done.returncode}:\n{said}"
        return said

    def python(self, *arguments: str, fails: bool = False) -> str:
        """Run Python, such as ``python -m jobs``; as ``run``."""
        return self.run(sys.executable, *arguments, fails=fails)

    def test(self, *tests: str) -> str:
        """Run tests as ``make test`` would, in one process; raises ``AssertionError`` unless they pass."""
        return self.python("-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)

    @contextmanager
    def served(self, data: Path, *options: str) -> Iterator[Path]:
        """Serve the app with its demo until the block ends; yields the file of what it prints."""
        log = data / "log"
        command = [sys.executable, "-m", "jobs", "dev", "--demo", *options]
        command += ["--host", "builtin", "--port", str(free_port()), "--data", str(data)]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            yield log
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_SECONDS) == 0, log.read_text()


def wait_for_line(pattern: str, log: Path) -> None:
    """Wait until a line of the log matches; raises ``AssertionError`` with the log if none does."""
    give_up_at = time.monotonic() + 3 * PATIENCE_SECONDS
    while not re.search(pattern, log.read_text()):
        assert time.monotonic() < give_up_at, f"{pattern} is not in:\n{log.read_text()}"
        time.sleep(0.1)


class Clone(Folder):
    """A folder that is a repository."""

    def git(self, *arguments: str, fails: bool = False) -> str:
        """Run git; as ``run``."""
        return self.run(*_GIT, *arguments, fails=fails)

    def commit(self, message: str) -> None:
        """Commit everything."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)


def copy_with_compiled_code(source: Path, copy: Path) -> None:
    """Copy a file, and what Python and pytest have compiled of it, which its time of change keeps valid."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, copy)
    for compiled in (source.parent / "__pycache__").glob(f"{source.stem}.*.pyc") if source.suffix == ".py" else ():
        (copy.parent / "__pycache__").mkdir(exist_ok=True)
        shutil.copy2(compiled, copy.parent / "__pycache__")


def fresh_clone(folder: Path) -> Clone:
    """Make a clone of this checkout, with what is not committed yet and without handlers of yours."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0"):
        if (ROOT / name).is_file() and not name.startswith(YOURS):
            copy_with_compiled_code(ROOT / name, folder / name)
    clone = Clone(folder)
    clone.git("init", "--quiet", "--initial-branch", "main")
    clone.commit("a release")
    return clone
