"""What the project says of itself: the wheel's requirements are those of a clone, and your code has ordinary rules."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib

import pytest

from jobs.version import __version__
from tests.support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def required(file: str) -> set[str]:
    lines = (line.strip() for line in (ROOT / file).read_text().splitlines())
    return {line for line in lines if line and not line.startswith(("#", "-r"))}


def test_the_wheel_requires_what_a_clone_installs_and_dapr_and_local_runs_by_an_extra():
    extras = {name: set(needed) for name, needed in PROJECT["optional-dependencies"].items()}
    assert set(PROJECT["dependencies"]) | extras["dapr"] == required("requirements.in")
    assert set(PROJECT["dependencies"]).isdisjoint(extras["dapr"])
    assert all(each.startswith("dapr") for each in extras["dapr"])
    assert extras["dev"] == {each for each in required("requirements-run.in") if not each.startswith("uv")}


def test_the_version_is_in_the_changelog():
    assert __version__ in (ROOT / "CHANGELOG.md").read_text()


def test_where_requirements_are_installed_yours_are_too():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    assert lines[-1] == "-r requirements-app.txt"
    assert (ROOT / "requirements-app.txt").is_file()
    assert 'echo "-r requirements-app.txt" >>requirements.txt' in (ROOT / "Makefile").read_text(), "after `make lock`"


NOT_STRICT = """
import os
import sys


class Work:
    def run(self, item, eager=True):
        print(item)
        if item:
            return "a"
        else:
            return "b"
"""


def faults(file: str) -> set[str]:
    """The rules that ruff finds broken if the text stood in this file."""
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--no-cache",
        "--output-format",
        "json",
        "--stdin-filename",
        file,
        "-",
    ]
    done = subprocess.run(command, cwd=ROOT, input=NOT_STRICT, capture_output=True, text=True, check=False)
    return {each["code"] for each in json.loads(done.stdout)}


@pytest.mark.parametrize("folder", ["handlers", "tests/handlers", "shop", "shop/jobs", "examples"])
def test_your_code_is_held_to_ordinary_rules_wherever_it_stands(folder: str):
    assert faults(f"{folder}/work.py") == {"F401"}


@pytest.mark.parametrize("folder", ["jobs", "jobs/core/handlers", "tests", "tests/unit"])
def test_the_framework_is_held_to_more(folder: str):
    assert faults(f"{folder}/work.py") >= {"F401", "RET505"}
