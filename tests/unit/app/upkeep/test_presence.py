"""How a process reports itself as a worker: at once, then once in the time of a lease, and no more after its end."""

from __future__ import annotations

import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest

from jobs.app.execution.identity import WorkerIdentity
from jobs.app.upkeep import presence as presence_module
from jobs.app.upkeep.presence import Presence
from jobs.core.errors import StoreUnavailable
from jobs.core.handlers.registry import HandlerRegistry
from tests.support import until


class Log:
    """A log of workers that notes what it is asked to write."""

    def __init__(self):
        self.reports, self.left, self.away = [], [], False

    def report(self, state, handlers=None):
        if self.away:
            raise StoreUnavailable("the database is away")
        self.reports.append((state, handlers))

    def leave(self, name):
        self.left.append(name)


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def pool():
    class Abandoned(list):
        under_way = 2

    return SimpleNamespace(abandoned=Abandoned([1]), stopping=threading.Event())


@pytest.fixture
def presence(log, pool, monkeypatch):
    monkeypatch.setattr(presence_module, "_FIRST_SECONDS", 0.0)
    alarms = SimpleNamespace(scheduler_name="queue", unavailable_reason="it is away")
    identity = WorkerIdentity("here/1", timedelta(days=1))
    presence = Presence(log, HandlerRegistry(), pool, alarms, identity, 16, lambda: "7.1")
    yield presence
    presence.close()


def test_what_is_reported_is_what_the_process_does(log, presence):
    presence.report()
    [(state, handlers)] = log.reports
    assert state == ("here/1", "7.1", timedelta(days=1), 16, 2, 1, False, "queue", "it is away")
    assert handlers == {}


def test_the_handlers_are_written_with_the_first_report_that_succeeds_and_not_again(log, presence):
    log.away = True
    presence.report()
    log.away = False
    presence.report()
    presence.report()
    assert [handlers for _, handlers in log.reports] == [{}, None]


def test_it_is_reported_once_in_a_lease_and_at_once_when_the_process_drains(log, pool, presence):
    presence.start()
    until(lambda: log.reports)
    pool.stopping.set()
    presence.report_soon()
    until(lambda: len(log.reports) == 2)
    assert [state.draining for state, _ in log.reports] == [False, True]


def test_at_its_end_the_process_signs_off(log, presence):
    presence.start()
    until(lambda: log.reports)
    presence.close()
    assert (len(log.reports), log.left) == (1, ["here/1"])


def test_where_the_database_is_away_at_the_end_nothing_is_waited_for(log, presence):
    presence.start()
    until(lambda: log.reports)
    log.away = True
    presence.report()
    presence.close()
    assert log.left == []


def test_a_process_that_never_reported_signs_off_nowhere(log, presence):
    presence.close()
    assert (log.reports, log.left) == ([], [])
