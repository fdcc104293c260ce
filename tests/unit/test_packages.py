"""A Python without the app's packages is told at the command line in a sentence, and nowhere else."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this Python, with packages of ``folder`` before all others."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("missing", ["pydantic", "sqlalchemy"])
def test_the_command_line_says_how_to_come_by_missing_packages_and_shows_no_traceback(tmp_path, missing):
    text = f"raise ModuleNotFoundError(\"No module named '{missing}'\", name='{missing}')"
    (tmp_path / f"{missing}.py").write_text(text)
    done = run(tmp_path, "-m", "jobs", "preview", "@daily")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("error: the packages of requirements.txt are missing in this Python")
    assert missing in line
    assert "run `make run` once, then `.venv/bin/python -m jobs preview @daily`" in line
    assert "or enter the environment with `. .venv/bin/activate`" in line


def test_a_bare_python_is_told_so_too(tmp_path):
    done = run(tmp_path, "-S", "-m", "jobs", "db", "upgrade")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "make run" in done.stderr


def test_a_program_that_imports_jobs_is_given_the_error_itself(tmp_path):
    done = run(tmp_path, "-S", "-c", "import jobs")
    assert "ModuleNotFoundError: No module named 'pydantic'" in done.stderr


def test_a_python_that_is_too_old_is_told_so_before_it_stumbles_over_anything_else(tmp_path):
    text = "import sys; sys.version_info = (3, 9, 18, 'final', 0)\n"
    (tmp_path / "sitecustomize.py").write_text(text)
    done = run(tmp_path, "-m", "jobs", "apply", "my jobs.yaml")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith("error: this is Python 3.9.18, ")
    assert "3.11 to 3.14 are supported" in line
    assert "`.venv/bin/python -m jobs apply 'my jobs.yaml'`" in line


def test_what_an_old_python_reads_first_has_no_syntax_that_it_cannot_read():
    for file in ("jobs/packages.py", "jobs/__init__.py", "jobs/__main__.py"):
        ast.parse((ROOT / file).read_text(), feature_version=(3, 7))
