"""What ``make test`` shows while it runs, by ``--brief``: a line every few seconds, and each failure at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from typing import Any

import pytest

EVERY_SECONDS = 10.0


class Progress:
    """Counts the tests that are done; ``say`` writes a line."""

    def __init__(self, config: pytest.Config) -> None:
        self._reporter: Any = config.pluginmanager.getplugin("terminalreporter")
        self._reporter._show_progress_info = False
        self._total = self._done = self._failed = 0
        self._under_way: dict[str, float] = {}
        self._began = time.monotonic()
        self._ended = threading.Event()
        threading.Thread(target=self._speak, daemon=True).start()

    def say(self) -> None:
        failed = f"{self._failed} failed" if self._failed else "none failed"
        share = 100 * self._done // self._total if self._total else 0
        oldest = next(iter(dict(self._under_way)), "")
        self._reporter.write_line(
            f"{share:3} %  {self._done:,} of {self._total:,} tests, {failed}, "
            f"{time.monotonic() - self._began:.0f} s  {oldest}".rstrip()
        )

    def _speak(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            if self._total:
                self.say()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._total = len(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._total = len(ids)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._under_way[nodeid] = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._under_way.pop(nodeid, None)
        self._done += 1

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed += 1
            self._reporter.write_line(f"FAILED {report.nodeid}  (why stands at the end)", red=True)

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self) -> Generator[None, tuple[str, Any, Any], tuple[str, Any, Any]]:
        category, letter, word = yield
        return (category, letter, word) if self._ended.is_set() else (category, "", "")

    def pytest_sessionfinish(self) -> None:
        self._ended.set()
        self.say()
