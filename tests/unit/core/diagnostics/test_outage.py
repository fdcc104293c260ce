"""The log of an outage: one line as it begins, one a minute and one as it ends, however many calls fail."""

from __future__ import annotations

import logging

import pytest

from jobs.core.diagnostics.outage import OutageLog, log_failure
from jobs.core.errors import StoreUnavailable


class Hours:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hours() -> Hours:
    return Hours()


@pytest.fixture
def outage(hours) -> OutageLog:
    return OutageLog(hours)


def test_an_outage_of_five_minutes_is_six_lines_and_an_end(outage, hours, caplog):
    for _ in range(300):
        for _ in range(595):
            outage.failed(StoreUnavailable("no route"))
        hours.now += 1
    outage.ended()
    outage.ended()
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "the database is away, what needs it is tried again: no route"
    assert [line.split(",")[0] for line in lines[1:5]] == [
        f"the database has been away for {minutes * 60} s" for minutes in (1, 2, 3, 4)
    ]
    assert lines[5] == f"the database is back after 300.0 s, in which {300 * 595} calls failed"
    assert len(lines) == 6
    assert not outage.ongoing


def test_a_database_that_comes_and_goes_is_told_of_once_a_minute(outage, hours, caplog):
    for _ in range(119):
        outage.failed(StoreUnavailable("no room"))
        outage.ended()
        hours.now += 1
    assert len(caplog.records) == 4, "two beginnings, two ends"


def test_an_outage_after_an_hour_is_told_of_at_once(outage, hours, caplog):
    outage.failed(StoreUnavailable("no route"))
    outage.ended()
    hours.now += 3600
    caplog.clear()
    outage.failed(StoreUnavailable("no route"))
    assert len(caplog.records) == 1


def test_without_an_outage_nothing_is_logged(outage, caplog):
    outage.ended()
    assert caplog.records == []


def test_what_an_outage_kept_from_being_done_is_for_debugging_and_a_bug_is_not(caplog):
    caplog.set_level(logging.DEBUG, "jobs")
    log_failure(logging.getLogger("jobs"), StoreUnavailable("no route"), "%d outcomes were not recorded", 3)
    log_failure(logging.getLogger("jobs"), ZeroDivisionError("a bug"), "%d outcomes were not recorded", 3)
    away, bug = caplog.records
    assert (away.levelno, away.getMessage()) == (logging.DEBUG, "3 outcomes were not recorded: no route")
    assert bug.levelno == logging.ERROR
    assert bug.getMessage() == "3 outcomes were not recorded\n  | ZeroDivisionError: a bug"
