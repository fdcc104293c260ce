"""One instance asks others for help by as many messages as instances are missing."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from jobs.app.upkeep.scale_out import ScaleOut
from jobs.core.errors import SchedulerUnavailable
from jobs.core.ports.housekeeping import Wait
from tests.support import until


class Looks:
    """A queue of messages in memory; ``fails`` is raised in place of its length."""

    def __init__(self, waiting: int = 0) -> None:
        self.waiting = waiting
        self.fails: Exception | None = None
        self.asked = 0

    def count(self) -> int:
        self.asked += 1
        if self.fails:
            raise self.fails
        return self.waiting

    def put(self, count: int) -> None:
        self.waiting += count


def scale_out(due: int, looks: Looks | None) -> ScaleOut:
    housekeeping = SimpleNamespace(longest_wait=lambda limit: Wait(min(due, limit), 0.0))
    return ScaleOut(housekeeping, looks, concurrency=16, instances=4)


@pytest.mark.parametrize(
    ("due", "waiting", "put"),
    [
        (0, 0, 0),
        (16, 0, 0),  # one instance runs these at once
        (17, 0, 2),
        (33, 0, 3),
        (33, 2, 1),
        (33, 5, 0),
        (10_000, 0, 4),
        (10_000, 4, 0),
    ],
)
def test_there_is_a_message_for_each_instance_that_has_enough_to_do(due, waiting, put):
    looks = Looks(waiting)
    assert scale_out(due, looks).ask() == put
    assert looks.waiting == waiting + put


def test_without_a_queue_nobody_is_asked():
    asks = scale_out(10_000, None)
    assert asks.ask() == 0
    with asks.while_draining():
        pass


def test_while_a_drain_goes_on_it_is_asked_again_and_again_and_not_afterwards(monkeypatch):
    monkeypatch.setattr("jobs.app.upkeep.scale_out._EACH_SECONDS", 0.01)
    looks = Looks()
    with scale_out(100, looks).while_draining():
        until(lambda: looks.asked > 3)
    asked = looks.asked
    assert looks.waiting == 4
    assert looks.asked == asked


def test_a_queue_that_is_away_is_told_of_once_and_the_drain_goes_on(monkeypatch, caplog):
    monkeypatch.setattr("jobs.app.upkeep.scale_out._EACH_SECONDS", 0.01)
    looks = Looks()
    looks.fails = SchedulerUnavailable("it does not answer")
    with caplog.at_level(logging.WARNING), scale_out(100, looks).while_draining():
        until(lambda: looks.asked > 3)
    assert [record.getMessage() for record in caplog.records] == [
        "no instance can be asked for help, and one runs what is due: it does not answer"
    ]
