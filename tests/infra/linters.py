"""Linters that are no part of the app's own environment: run where they are, else told of."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_HOW = {"actionlint": "get it with `go install github.com/rhysd/actionlint/cmd/actionlint@latest`"}


def lint(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a linter in the repository's root; skips the test where there is none."""
    beside = ROOT / ".venv-infra/bin" / tool
    found = str(beside) if beside.exists() else shutil.which(tool)
    if found is None:
        how = _HOW.get(tool, "`make infra-check` brings it")
        pytest.skip(f"{tool} is neither in .venv-infra nor on PATH; {how}")
    return subprocess.run([found, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
