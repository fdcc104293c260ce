"""Which tests go to which process of xdist's, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

_APART = (
    "tests/e2e/test_dapr.py",
    "tests/e2e/test_poison.py",
    "tests/docs/test_tutorial.py::test_the_tutorial",
    "tests/docs/test_pages.py::test_every_step_of_a_page_does_what_the_page_says[README.md]",
    "tests/docs/test_pages.py::test_every_step_of_a_page_does_what_the_page_says[docs/how-to/run-locally.md]",
    "tests/e2e/test_your_code.py",
    "tests/e2e/test_kill.py",
)
"""Long tests that share nothing: each may go to another process."""

_TOGETHER = (
    "tests/infra/test_parity.py",
    "tests/infra/test_seeded_mistakes.py",
    "tests/infra/test_terraform.py",
)
"""Files that share what takes long to make, Terraform's plans: they go to one process."""


def longest_first(items: list[pytest.Item]) -> None:
    """Put what takes long before the rest, so that in the end no process waits for another's long test."""
    items.sort(key=lambda item: _rank(item.nodeid, slow=item.get_closest_marker("slow") is not None))


def _rank(nodeid: str, *, slow: bool) -> int:
    """Return a test's place: those of ``_APART`` in that order, whatever else is slow, then the rest."""
    first = (*_APART, *_TOGETHER)
    return next((place for place, start in enumerate(first) if nodeid.startswith(start)), len(first) + (not slow))


def _scope(nodeid: str) -> str:
    """Return what a test is distributed with: as a rule its file, whose tests share a server or a database."""
    if nodeid.startswith(_APART):
        return nodeid
    file = nodeid.partition("::")[0]
    return _TOGETHER[0] if file in _TOGETHER else file


def scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Return a scheduler that distributes tests by their scope."""
    from xdist.scheduler import LoadScopeScheduling

    class ByScope(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _scope(nodeid)

    config.option.loadscopereorder = False
    return ByScope(config, log)
