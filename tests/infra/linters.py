"""Linters that `make infra-check` installs beside the app's own environment: run where they are, else told of."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lint(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a linter in the repository's root; skips the test where there is none."""
    beside = ROOT / ".venv-infra/bin" / tool
    found = str(beside) if beside.exists() else shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is neither in .venv-infra, where `make infra-check` puts it, nor on PATH")
    return subprocess.run([found, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
