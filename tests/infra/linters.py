"""Tools that are no part of the app's own environment: run where they are, else told of.

They take minutes of the processor's time, so they are left out where all tests are run: `make infra-test` runs them,
and so does whoever names a test of this folder. JOBS_INFRA_CHECK says which of them: `found`, or `all`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]


def with_tools() -> None:
    """Skip the test where these tools are not to be run."""
    if not os.environ.get("JOBS_INFRA_CHECK"):
        pytest.skip("needs tools for infrastructure, with which `make infra-test` runs it")


def missing(told: str) -> NoReturn:
    """Skip the test for want of a tool; under `make infra-check`, which is there to miss nothing, fail it."""
    if os.environ.get("JOBS_INFRA_CHECK") == "all":
        pytest.fail(told, pytrace=False)
    pytest.skip(told)


def lint(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a linter in the repository's root; skips the test where there is none."""
    with_tools()
    beside = ROOT / ".venv-infra/bin" / tool
    found = str(beside) if beside.exists() else shutil.which(tool)
    if found is None:
        missing(f"{tool} is neither in .venv-infra nor on PATH; `make infra-check` brings it")
    return subprocess.run([found, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
