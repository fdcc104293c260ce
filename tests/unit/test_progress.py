"""What `make test` shows, and how far its tests go."""

from __future__ import annotations

import subprocess
import sys

from tests.support import ROOT

TESTS = """
import time
from hypothesis import given, settings, strategies
from tests.sizes import examples, sized

def test_that_is_well(): pass
def test_that_fails(): assert not "what it is about"
def test_of_sizes(): assert (sized(1, 2), examples(10), settings.default.max_examples) == {sizes}

@given(strategies.none())
def test_of_random_examples(_): pass
"""


def run(folder, *arguments: str, sizes: tuple[int, int, int] = (1, 10, 40)) -> list[str]:
    (folder / "test_some.py").write_text(TESTS.format(sizes=sizes))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"),
         "-p", "tests.conftest", "--rootdir", str(ROOT), *arguments, str(folder / "test_some.py")],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    return done.stdout.splitlines()


def test_briefly_each_failure_is_said_at_once_and_then_how_far_it_is_but_no_dot(tmp_path):
    lines = run(tmp_path, "--brief")
    failed = next(n for n, line in enumerate(lines) if line.startswith("FAILED") and "test_that_fails" in line)
    how_far = next(n for n, line in enumerate(lines) if line.startswith("100 %  4 of 4 tests, 1 failed"))
    why = next(n for n, line in enumerate(lines) if "what it is about" in line)
    assert failed < how_far < why
    assert not any(set(line) <= set(".FEsx") for line in lines if line)
    assert lines[-1].startswith("1 failed, 3 passed")


def test_a_soak_goes_further_and_the_seed_of_what_is_random_is_said_and_may_be_chosen(tmp_path):
    lines = run(tmp_path, "--soak", "--hypothesis-seed", "77", sizes=(2, 500, 2000))
    assert "test_of_sizes" not in "".join(line for line in lines if line.startswith("FAILED"))
    assert any("those of seed 77" in line and "pytest --hypothesis-seed=77" in line for line in lines)


def test_no_seed_is_said_where_nothing_is_random(tmp_path):
    lines = run(tmp_path, "-k", "well or fails")
    assert lines[-1].startswith("1 failed, 1 passed")
    assert not any("those of seed" in line for line in lines)


def test_the_seed_is_said_too_where_processes_share_the_tests(tmp_path):
    lines = run(tmp_path, "--numprocesses", "1", "--hypothesis-seed", "77", "-k", "well or random")
    assert any("those of seed 77" in line for line in lines)
