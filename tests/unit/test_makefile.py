"""What `make` sets up and starts, with stand-ins for Python, uv and the app that note how they are called."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT

# It is each Python and each uv: it says it may be used, makes environments of itself, and notes every other call.
STAND_IN = """#!/bin/sh
case "$*" in
  "-c import sys; print"*) cat "$0.base" 2>/dev/null || basename "$0"; exit 0 ;;
  "-c import sys"*) exit 0 ;;
  "--version") echo "Python 3.14.0"; exit 0 ;;
esac
echo "$(basename "$0") $*" >> "$CALLS"
case "$*" in
  "-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; basename "$0" > "$3/bin/python.base" ;;
  *"uv.txt"*) cp "$0" .venv/bin/uv ;;
  "pip install"*) [ "$UV_FAILS" = "" ] || exit 1 ;;
  "pip compile"*) [ "$UV_FAILS" = "" ] || exit 1; echo "httpx==0.28.1" > requirements-app.txt ;;
esac
"""


@pytest.fixture
def make(tmp_path: Path):
    """Run make in a folder with our Makefile, the lock files and the Pythons that are named; returns the calls."""
    for file in [ROOT / "Makefile", *ROOT.glob("requirements*.txt")]:
        shutil.copy(file, tmp_path)
    programs = tmp_path / "programs"
    programs.mkdir()
    calls = tmp_path / "calls"
    for name in ("sh", "basename", "cp", "echo", "mkdir", "sed", "touch", "cat"):
        (programs / name).symlink_to(str(shutil.which(name)))

    def run(*arguments: str, pythons: tuple[str, ...] = ("python3.13",), **environment: str) -> list[str]:
        for name in pythons:
            (programs / name).write_text(STAND_IN)
            (programs / name).chmod(0o755)
        calls.write_text("")
        done = subprocess.run(
            [str(shutil.which("make")), *arguments],
            cwd=tmp_path,
            env={"PATH": str(programs), "HOME": str(tmp_path), "CALLS": str(calls)} | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if done.returncode:
            raise AssertionError(done.stderr)
        return calls.read_text().splitlines()

    return run


def installed(calls: list[str]) -> list[str]:
    """The files that were installed from, in order."""
    return [file for call in calls for file in re.findall(r"-r (\S+)", call) if " install " in call]


def test_a_first_start_installs_what_running_needs_and_nothing_that_only_tests_use(make):
    calls = make("run")
    assert installed(calls) == [".venv/uv.txt", "requirements-run.txt", *own()]
    assert calls[-1] == "python -m jobs dev --demo --port 7071"
    assert make("run") == ["python -m jobs dev --demo --port 7071"], "a second start installs nothing"


def own() -> list[str]:
    return [name for name in ["requirements-app.txt"] if (ROOT / name).exists()]


def test_tests_and_checks_add_to_what_running_has_installed(make):
    make("run")
    assert installed(make(".venv/installed")) == ["requirements-dev.txt", *own()]


def test_packages_of_the_users_own_are_installed_with_the_rest(make, tmp_path):
    (tmp_path / "requirements-app.txt").write_text("httpx==0.28.1\n")
    assert installed(make("run")) == [".venv/uv.txt", "requirements-run.txt", "requirements-app.txt"]


def test_pinning_the_users_own_packages_keeps_the_comment_that_says_how_that_is_done(make, tmp_path):
    pins = tmp_path / "requirements-app.txt"
    head = (ROOT / "requirements-app.txt").read_text()
    for _ in ("the first time", "again"):
        make("lock-app")
        assert pins.read_text() == f"{head}httpx==0.28.1\n"
    with pytest.raises(AssertionError):
        make("lock-app", UV_FAILS="yes")
    assert pins.read_text() == f"{head}httpx==0.28.1\n"


def test_pip_installs_where_uv_cannot(make):
    calls = make("run", UV_FAILS="yes")
    assert any(call.startswith("python -m pip install") and "-r requirements-run.txt" in call for call in calls)


@pytest.mark.parametrize(
    ("pythons", "chosen"),
    [
        (("python3.14",), "python3.14"),
        (("python3.11", "python3.12", "python3.13", "python3.14"), "python3.13"),
        (("python3.12", "python3.14"), "python3.14"),
        (("python3",), "python3"),
    ],
)
def test_3_13_is_taken_before_all_others_and_3_14_is_taken_too(make, pythons, chosen):
    assert make("run", pythons=pythons)[0] == f"{chosen} -m venv .venv"


def test_no_python_is_told_with_the_versions_and_how_to_name_one(make):
    with pytest.raises(AssertionError, match=r"Python 3\.11, 3\.12, 3\.13 or 3\.14 is needed.*make run PYTHON="):
        make("run", pythons=())


@pytest.mark.parametrize("target", ["run", "test"])
def test_another_python_than_that_of_the_environment_is_refused_with_how_to_change_it(make, target):
    pythons = ("python3.13", "python3.12")
    assert make(target, "PYTHON=python3.12", pythons=pythons)[0] == "python3.12 -m venv .venv"
    assert make(target, "PYTHON=python3.12", pythons=pythons), "the same again is no fault"
    with pytest.raises(AssertionError, match=r"\.venv is not on python3\.13 but on .*; remove it: rm -rf \.venv"):
        make(target, "PYTHON=python3.13", pythons=pythons)


def test_port_scheduler_and_host_are_passed_on_but_no_host_of_the_shells(make):
    assert make("run", "PORT=7072", "SCHEDULER=dapr", "HOST=func")[-1] == (
        "python -m jobs dev --demo --port 7072 --scheduler dapr --host func"
    )
    assert "--host" not in make("run", HOST="my-laptop")[-1]


def test_the_lock_files_agree_on_every_version():
    versions: dict[str, set[str]] = {}
    for name in ("requirements", "requirements-run", "requirements-dev"):
        for line in (ROOT / f"{name}.txt").read_text().splitlines():
            if found := re.match(r"([\w.-]+(?:\[\w+\])?)==(\S+)(.*)", line):
                versions.setdefault(found[1] + found[3].rstrip("\\ "), set()).add(found[2])
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_what_running_needs_has_no_tool_of_the_tests_and_all_that_is_deployed():
    def names(file: str) -> set[str]:
        return set(re.findall(r"^([\w.-]+)(?:\[\w+\])?==", (ROOT / file).read_text(), re.MULTILINE))

    running = names("requirements-run.txt")
    assert running.isdisjoint({"pytest", "ruff", "mypy", "hypothesis", "httpx", "pgqueuer", "coverage"})
    assert names("requirements.txt") < running < names("requirements-dev.txt")


def test_make_test_runs_those_tests_only_that_it_is_given(make) -> None:
    assert make("test", "TESTS=tests/handlers")[-1].endswith("-m pytest --quiet tests/handlers")
    assert "--numprocesses" in make("test")[-1]
