"""How far a test goes: far enough under ``make test``, all the way under ``make soak``, which passes ``--soak``.

What a test shows is the same; with ``--soak`` it shows it for longer, or over more cases. Such a test is marked
``soak``, or is one of Hypothesis's.
"""

from __future__ import annotations

import os
from random import SystemRandom
from typing import TypeVar

import pytest
from hypothesis import core, settings

Size = TypeVar("Size")

_SOAKING = "TESTS_SOAK"
_EXAMPLES = 40
_SOAK_TIMES = 50


def sized(size: Size, soak: Size) -> Size:
    """The size for this run of the tests: ``soak`` with ``--soak``. Known from when test files are imported."""
    return soak if os.environ.get(_SOAKING) else size


def examples(count: int) -> int:
    """How many examples Hypothesis tries: fifty times ``count`` with ``--soak``."""
    return sized(count, _SOAK_TIMES * count)


def choose_sizes(config: pytest.Config) -> None:
    """Choose all sizes by ``--soak``, and the seed of Hypothesis, which each process of xdist's then has."""
    os.environ.pop(_SOAKING, None)
    if config.getoption("soak"):
        os.environ[_SOAKING] = "1"
    # No deadline, since other processes share the machine; no database, since a seed says all.
    settings.register_profile("jobs", database=None, deadline=None, print_blob=True, max_examples=examples(_EXAMPLES))
    settings.load_profile("jobs")
    if config.getoption("hypothesis_seed") is None:
        config.option.hypothesis_seed = str(SystemRandom().randrange(2**32))
    core.global_force_seed = int(config.getoption("hypothesis_seed"))


class SeedLine:
    """Writes at the end which seed there was and how to use it again, if a test of Hypothesis's was run."""

    def __init__(self) -> None:
        self._is_of_use = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._is_of_use |= "hypothesis" in report.keywords and not report.skipped

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        seed = config.getoption("hypothesis_seed")
        if self._is_of_use:
            terminalreporter.write_line(
                f"the random examples are those of seed {seed}; for the same again: pytest --hypothesis-seed={seed}"
            )
