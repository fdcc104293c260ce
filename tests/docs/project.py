"""A reader's clone of the repository, in which a page's steps are run as a reader would run them."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.docs.blocks import ROOT, Block
from tests.support import PATIENCE_SECONDS

# Compiled code comes along: a page would pay for it with seconds.
_LEFT_OUT = shutil.ignore_patterns(".*", "tests", "docs", "infra", "*.local", "local.settings.json")
_PACKAGES = {"jobs", "examples"}
_FUNCTION_APP = "from jobs.bootstrap import create_app\n\napp = create_app()\n"
_DOCUMENTED_URL = "http://127.0.0.1:7071"
_ANYTHING = "…"


class Project:
    """A clone with an environment that stands already; ``close`` stops the app that a step has started."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.folder = folder / "clone"
        shutil.copytree(ROOT, self.folder, ignore=_left_out)
        for file in (ROOT / "tests").glob("*.py"):
            self._copy(file.relative_to(ROOT))
        (self.folder / "function_app.py").write_text(_FUNCTION_APP)  # which may name packages of whoever runs this
        (self.folder / ".venv").symlink_to(sys.prefix)
        self._state, self._log = folder / "state", folder / "log"
        self.port = free_port()
        self.url = url or f"http://127.0.0.1:{self.port}"
        self._app: subprocess.Popen[bytes] | None = None
        self._began = self._changed = 0
        self._last, self._printed, self._answer = "", "", ""
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("JOBS_", "COV"))}
        self.environment |= {
            "PATH": f"{self._make_wrapper(folder)}:{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}",
            "PORT": str(self.port),
            "PYTHONUNBUFFERED": "1",
            "PYTEST_ADDOPTS": "-p no:cacheprovider",
        }

    def _copy(self, path: Path) -> None:
        (self.folder / path.parent).mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, self.folder / path)

    @staticmethod
    def _make_wrapper(folder: Path) -> Path:
        """Put a ``make`` first on PATH that installs nothing: the environment is the one that the tests run in."""
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        wrapper = bin_folder / "make"
        wrapper.write_text(
            f'#!/bin/sh\nexec {shutil.which("make")} -o .venv/running -o .venv/installed -o .venv/bin/uv "$@"\n'
        )
        wrapper.chmod(0o755)
        return bin_folder

    def do(self, step: Block) -> None:
        """Do what a page says; raises ``AssertionError`` that names the page's line where it is not so."""
        try:
            getattr(self, f"_{step.step}")(step)
        except AssertionError as error:
            raise AssertionError(f"{step.place}: {error}\nThe app printed:\n{self.log()[-3000:]}") from None

    def _file(self, step: Block) -> None:
        self._changed = len(self.log())
        path = self.folder / step.marks["file"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(step.text, encoding="utf-8")

    def _starts(self, step: Block) -> None:
        self.start(step.text.strip())

    def start(self, command: str) -> None:
        """Start the app by a command, in place of the one that runs, and wait until it is ready."""
        self.close()
        self._began = self._changed = len(self.log())
        with self._log.open("ab") as output:
            self._app = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.until(lambda: httpx.get(f"{self.url}/api/health/ready", verify=False).status_code == httpx.codes.OK)

    def _runs(self, step: Block) -> None:
        self._changed = len(self.log())
        self._shell(step.text, fails=False, beside=self._printed_environment() if "uses" in step.marks else {})

    def _fails(self, step: Block) -> None:
        self._shell(step.text, fails=True)

    def _prints(self, step: Block) -> None:
        assert printed_in_order(step.text, self._printed), f"it printed:\n{self._printed}"

    def _logs(self, step: Block) -> None:
        self.until(lambda: all(printed_in_order(line, self.log()[self._changed :]) for line in step.text.splitlines()))

    def _answers(self, step: Block) -> None:
        expected = json.loads(step.text)

        def answered() -> bool:
            if is_within(expected, body_of(self._answer)):
                return True
            assert not re.search(r" -(d|X) ", self._last), "it is another"  # a change is not made twice
            self._shell(self._last, fails=False)
            return False

        try:
            self.until(answered)
        except AssertionError as error:
            raise AssertionError(f"{error}; the last answer:\n{self._answer}") from None

    def _shell(self, text: str, *, fails: bool, beside: dict[str, str] | None = None) -> None:
        """Run a command as typed into one terminal: what it sets and activates is there for the next."""
        state = shlex.quote(str(self._state))
        script = f"if [ -f {state} ]; then . {state}; fi\nset -ea\n{text}\nexport -p > {state}\n"
        done = subprocess.run(
            ["bash", "-c", script.replace(_DOCUMENTED_URL, self.url)],
            cwd=self.folder,
            env=self.environment | (beside or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        self._last = text
        self._answer = done.stdout.replace(self.url, _DOCUMENTED_URL)
        self._printed = (done.stdout + done.stderr).replace(self.url, _DOCUMENTED_URL)
        assert (done.returncode != 0) == fails, f"exit status {done.returncode}:\n{self._printed}"

    def _printed_environment(self) -> dict[str, str]:
        """What the line that the app prints for other terminals sets: the address of its database."""
        lines = [
            line.split("export ", 1)[1] for line in self.log().splitlines() if " export JOBS_DATABASE_URL=" in line
        ]
        assert lines, "the app printed no line to paste into another terminal"
        return dict(word.split("=", 1) for word in shlex.split(lines[-1]))

    def until(self, condition: Any) -> None:
        """Wait for a condition; raises ``AssertionError`` when it does not come about or the app has ended."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < give_up_at:
            if self._app is not None and self._app.poll() is not None:
                raise AssertionError(f"the app ended with {self._app.returncode}")
            try:
                if condition():
                    return
            except (httpx.TransportError, json.JSONDecodeError):
                pass
            time.sleep(0.1)
        raise AssertionError("this did not come about")

    def log(self) -> str:
        """What the app has printed so far."""
        return self._log.read_text(encoding="utf-8") if self._log.exists() else ""

    def close(self) -> None:
        """Stop the app as Ctrl-C does, and see that it ends well."""
        app, self._app = self._app, None
        if app is None or app.poll() is not None:
            return
        os.killpg(app.pid, signal.SIGINT)
        try:
            app.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(app.pid, signal.SIGKILL)
            app.wait()
            raise AssertionError(f"the app does not stop:\n{self.log()}") from None
        assert "stopping" in self.log()[self._began :], self.log()


def _left_out(folder: str, names: list[str]) -> set[str]:
    """Leave out the packages of whoever runs this as well: the reader has none yet."""
    own = {name for name in names if name not in _PACKAGES and (Path(folder) / name).is_dir()}
    return _LEFT_OUT(folder, names) | (own if Path(folder) == ROOT else set())


def skip_without_samples() -> None:
    """Skip the test in a clone whose samples are deleted."""
    if not (ROOT / "examples").is_dir():
        pytest.skip("the pages begin with the samples, which are deleted here")


def printed_in_order(expected: str, printed: str) -> bool:
    """Whether each expected line is among the printed ones, in this order; … stands for anything."""
    printed_lines = iter(line.rstrip() for line in printed.splitlines())
    patterns = [
        re.compile(".*".join(re.escape(part) for part in line.split(_ANYTHING)))
        for line in expected.splitlines()
        if line.strip() and line.strip() != _ANYTHING
    ]
    return all(any(pattern.search(line) for line in printed_lines) for pattern in patterns)


def is_within(expected: Any, found: Any) -> bool:
    """Whether JSON has all that is expected of it; objects may have more, and "…" stands for anything."""
    if expected == _ANYTHING:
        return True
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            key in found and is_within(expected[key], found[key]) for key in expected
        )
    if isinstance(expected, list):
        return (
            isinstance(found, list)
            and len(expected) == len(found)
            and all(is_within(*pair) for pair in zip(expected, found, strict=True))
        )
    return bool(expected == found)


def body_of(answer: str) -> Any:
    """The JSON of an answer, also after the head that ``curl -i`` prints."""
    text = answer.replace("\r\n", "\n")
    return json.loads(text.partition("\n\n")[2] if text.startswith("HTTP/") else text)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
