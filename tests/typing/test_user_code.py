"""A type checker, as strict as it can be, sees the mistakes in what users write, and nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
USER_CODE = HERE / "user_code.py"
_REFUSED = re.compile(r"# refused: (.+)")
_ERROR = re.compile(r"[^:]+:(\d+): error: (.+)")


@pytest.mark.slow
def test_a_type_checker_refuses_the_mistakes_of_users_and_nothing_else():
    expected = {
        number: match[1]
        for number, line in enumerate(USER_CODE.read_text().splitlines(), 1)
        if (match := _REFUSED.search(line))
    }
    # A user's settings: strict, and without pydantic's plugin, which this project has.
    command = [sys.executable, "-m", "mypy", "--config-file=", "--strict", "--no-pretty", "--no-error-summary"]
    checked = subprocess.run(
        [*command, f"--cache-dir={ROOT / '.mypy_cache' / 'typing'}", "--follow-imports=silent", str(USER_CODE)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not checked.stderr, checked.stderr
    found = {int(match[1]): match[2] for line in checked.stdout.splitlines() if (match := _ERROR.match(line))}
    assert found.keys() == expected.keys(), checked.stdout
    assert not {line: found[line] for line, text in expected.items() if text not in found[line]}
