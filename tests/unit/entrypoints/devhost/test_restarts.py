"""An app that goes on ending is started again ever later, and soon again once it has served for a while or changed."""

import signal

import pytest

from jobs.entrypoints.devhost.reload.restarts import Restarts, how_it_ended


def ends(restarts: Restarts, now: float) -> int:
    restarts.serves(now)
    return restarts.after_end(now + 1)


def test_the_pause_doubles_up_to_a_minute():
    restarts = Restarts()
    assert [ends(restarts, 0.0) for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_it_is_due_once_when_the_pause_is_over():
    restarts = Restarts()
    restarts.serves(0.0)
    assert not restarts.due(1000.0)
    restarts.after_end(10.0)
    assert [restarts.due(now) for now in (10.0, 10.9, 11.0, 12.0)] == [False, False, True, False]


def test_one_that_served_for_a_minute_begins_anew():
    restarts = Restarts()
    ends(restarts, 0.0)
    restarts.serves(100.0)
    assert restarts.after_end(160.0) == 1
    assert ends(restarts, 200.0) == 2


def test_a_change_begins_anew():
    restarts = Restarts()
    ends(restarts, 0.0)
    restarts.forget()
    assert not restarts.due(1000.0)
    assert ends(restarts, 2000.0) == 1


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (0, "ended, with exit status 0"),
        (-signal.SIGKILL, "was killed, by SIGKILL"),
        (-200, "was killed, by signal 200"),
    ],
)
def test_how_it_ended_names_the_status_or_the_signal(status, said):
    assert how_it_ended(status) == said
