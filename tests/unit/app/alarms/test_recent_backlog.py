"""The messages of a queue as of some seconds ago: nobody who asks waits for a queue that is slow."""

from __future__ import annotations

import threading

from jobs.app.alarms.recent_backlog import RecentBacklog
from jobs.core.errors import SchedulerUnavailable
from jobs.core.ports.scheduler import Backlog
from tests.support import until

ONE, TWO = Backlog(1, 0, None), Backlog(2, 1, None)


class Queue:
    """A queue that answers once it is let to."""

    def __init__(self):
        self.asked, self.answers = 0, threading.Event()
        self.answers.set()
        self.answer = ONE

    def read(self):
        self.asked += 1
        self.answers.wait(60)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def recent(queue):
    times = [0.0]
    return RecentBacklog(queue.read, lambda: times[0]), times


def test_what_was_read_is_read_again_only_after_ten_seconds():
    queue = Queue()
    backlog, times = recent(queue)
    until(lambda: backlog.get() == ONE)
    queue.answer = TWO
    times[0] = 9.9
    assert (backlog.get(), queue.asked) == (ONE, 1)
    times[0] = 10.0
    until(lambda: backlog.get() == TWO)
    assert queue.asked == 2


def test_while_the_queue_does_not_answer_what_was_read_before_is_returned_and_it_is_asked_once():
    queue = Queue()
    backlog, times = recent(queue)
    until(lambda: backlog.get() == ONE)
    queue.answers.clear()
    times[0] = 30.0
    assert [backlog.get() for _ in range(3)] == [ONE] * 3
    assert queue.asked == 2
    queue.answer = TWO
    queue.answers.set()
    until(lambda: backlog.get() == TWO)


def test_where_the_queue_cannot_be_reached_nothing_is_known():
    queue = Queue()
    backlog, times = recent(queue)
    until(lambda: backlog.get() == ONE)
    queue.answer = SchedulerUnavailable("it is away")
    times[0] = 10.0
    until(lambda: backlog.get() is None)
    queue.answer = TWO
    times[0] = 20.0
    until(lambda: backlog.get() == TWO)
