"""A Python without the app's packages is told at the command line in a sentence, and nowhere else."""

from __future__ import annotations

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
    assert "`make run` once and use .venv/bin/python, or `. .venv/bin/activate`" in line


def test_a_bare_python_is_told_so_too(tmp_path):
    done = run(tmp_path, "-S", "-m", "jobs", "db", "upgrade")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "make run" in done.stderr


def test_a_program_that_imports_jobs_is_given_the_error_itself(tmp_path):
    done = run(tmp_path, "-S", "-c", "import jobs")
    assert "ModuleNotFoundError: No module named 'pydantic'" in done.stderr
