"""A container that is stopped lets its runs end: shown by a stand-in for the host, under a script like the base's."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.infra.linters import ROOT
from tests.sizes import sized
from tests.support import until

STAND_IN = Path(__file__).parent / "stand_in_host.py"
# Orphans below it become its children, as those of a container's first process do: PR_SET_CHILD_SUBREAPER.
ADOPT = "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1); os.execv(sys.argv[1], sys.argv[1:])"
AS_FIRST_PROCESS = [sys.executable, "-c", ADOPT]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the container's first process with a host whose one run takes so long; it is up when this returns."""
    started = []

    def go(run_seconds: float, **environment: str) -> subprocess.Popen[str]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        script = tmp_path / "start.sh"  # as the base image's: the host is its child, and gets no signal from it
        script.write_text(f"#!/usr/bin/env bash\n{sys.executable} {STAND_IN} {port} {tmp_path} {run_seconds}\n")
        script.chmod(0o755)
        urls = {"ASPNETCORE_URLS": f"http://+:{port}"}
        entry = [*AS_FIRST_PROCESS, sys.executable, "-I", "jobs/entrypoints/container.py", str(script)]
        process = subprocess.Popen(
            entry,
            cwd=ROOT,
            env=os.environ | urls | environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        until((tmp_path / "up").exists)
        return process

    yield go
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def happened(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()} & {"drained", "ended", "cut"}


@pytest.mark.soak
def test_a_run_ends_that_takes_longer_than_the_host_itself_would_wait(start: Start, tmp_path: Path) -> None:
    process = start(sized(3.0, 15.0))  # the host itself waits for ten seconds, the stand-in not at all
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert happened(tmp_path) == {"drained", "ended"}


def test_the_app_is_told_that_its_host_is_drained_and_not_of_a_drain_before(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "host-drained"
    file.touch()
    process = start(600, STOP_GRACE_SECONDS="0.2", HOST_DRAINED_FILE=str(file))
    assert not file.exists()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert (tmp_path / "told").exists()


def test_a_run_that_outlasts_the_grace_period_is_cut(start: Start, tmp_path: Path) -> None:
    process = start(600, STOP_GRACE_SECONDS="0.2", WEBSITE_SITE_NAME="func-jobs")
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert happened(tmp_path) == {"drained", "cut"}
    assert "had not ended" not in told, "it waited for processes that had ended"


@pytest.mark.parametrize("answer", ["no answer of HTTP", "HTTP/1.0 200 OK\r\n\r\nno JSON", "HTTP/1.0 200 OK\r\n\r\n[]"])
def test_a_host_whose_answer_cannot_be_read_is_ended_all_the_same(start: Start, tmp_path: Path, answer: str) -> None:
    process = start(600, STOP_GRACE_SECONDS="0.2", STAND_IN_STATUS=answer)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert happened(tmp_path) == {"drained", "cut"}


def test_a_second_signal_ends_the_host_at_once(start: Start, tmp_path: Path) -> None:
    process = start(600)
    process.send_signal(signal.SIGTERM)
    until((tmp_path / "drained").exists)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert happened(tmp_path) == {"drained", "cut"}


def test_a_host_that_cannot_be_drained_is_ended_and_the_log_says_why(start: Start, tmp_path: Path) -> None:
    process = start(600, ASPNETCORE_URLS="http://+:1")
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert happened(tmp_path) == {"cut"}
    assert "the host cannot be drained" in told


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -KILL $$", 137), ("exit 0", 0)])
def test_a_host_that_ends_by_itself_ends_the_container_with_its_code(tmp_path: Path, script: str, code: int) -> None:
    entry = [sys.executable, "-I", "jobs/entrypoints/container.py", "/bin/sh", "-c", script]
    assert subprocess.run(entry, cwd=ROOT, timeout=60, check=False).returncode == code
