"""Which tests go to which process of xdist's, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

_APART = ("tests/e2e/test_dapr.py", "tests/e2e/test_kill.py", "tests/e2e/test_poison.py")
"""Files of long tests that share nothing: each test may go to another process."""


def longest_first(items: list[pytest.Item]) -> None:
    """Put what takes long before the rest, so that in the end no process waits for another's long test."""
    items.sort(key=lambda item: not (item.nodeid.startswith(_APART) or item.get_closest_marker("slow")))


def scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Return the distribution by file, since a file's tests share a server or a database; but for ``_APART``."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid if nodeid.startswith(_APART) else nodeid.partition("::")[0]

    config.option.loadscopereorder = False
    return ByFile(config, log)
