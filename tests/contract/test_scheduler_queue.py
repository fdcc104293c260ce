"""The queue scheduler under the schedulers' contract, on a real storage emulator."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from jobs.adapters.schedulers.queue import HORIZON, QueueScheduler
from jobs.adapters.storage_queue.account import StorageAccount
from jobs.adapters.storage_queue.queue import StorageQueue
from jobs.adapters.storage_queue.refusals import QueueRefused
from jobs.core.errors import SchedulerUnavailable
from jobs.core.lifecycle.ids import AlarmName, new_id
from jobs.core.ports.scheduler import Alarm
from tests.contract.scheduler_contract import Harness, SchedulerContract
from tests.emulator import queues_of
from tests.support import until

SECOND = timedelta(seconds=1)


def now() -> datetime:
    return datetime.now(UTC)


def alarm(seconds: float = 0) -> Alarm:
    return Alarm(AlarmName(new_id(), 1), now() + timedelta(seconds=seconds))


class Listener:
    """Takes down and deletes every message that becomes visible, as a trigger would."""

    def __init__(self, queue: StorageQueue) -> None:
        self.rung: list[str] = []
        self.idle = True
        self._queue = queue
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _listen(self) -> None:
        while not self._stop.wait(0.02):
            self.idle = False
            for message in self._queue.take(32, hidden_for=60):
                assert message.text is not None
                self.rung.append(message.text)
                self._queue.delete(message)
            self.idle = True


@pytest.fixture
def queue(queues):
    return queues[0]


@pytest.fixture
def scheduler(queues):
    scheduler = QueueScheduler(*queues, now)
    yield scheduler
    scheduler.close()


@pytest.fixture
def harness(scheduler, queue, azurite):
    queue.create()
    listened, _ = queues_of(azurite, queue.name)  # with connections of its own, since the scheduler closes those it has
    listener = Listener(listened)

    def cut_off():
        nowhere = StorageAccount("http://127.0.0.1:1", "jobs", b"key")
        scheduler._queue = StorageQueue(nowhere, "jobs")

    def let_pass(span: timedelta) -> None:
        time.sleep(span.total_seconds() + 0.5)
        # A busy machine takes a while to take what is visible, and to note it.
        until(lambda: queue.oldest() is None and listener.idle)

    yield Harness(
        scheduler,
        now=now,
        let_pass=let_pass,
        rung=lambda: listener.rung,
        cut_off=cut_off,
        far=HORIZON.total_seconds() - 60,
    )
    listener.close()
    listened.close()


class TestQueue(SchedulerContract):
    pass


def test_the_queue_is_created_by_the_first_alarm_that_finds_none(scheduler, queue):
    alarms = [alarm() for _ in range(40)]
    assert scheduler.arm_many(alarms) == {each.name for each in alarms}
    assert queue.count() == 40


def test_an_alarm_beyond_the_horizon_is_no_message_and_no_fault(scheduler, queue):
    queue.create()
    soon, later = alarm(60), alarm(HORIZON.total_seconds() + 60)
    assert scheduler.arm_many([soon, later]) == {soon.name}
    assert scheduler.arm_many([later]) == set()
    assert queue.count() == 1
    assert scheduler.available


def test_a_message_is_the_alarms_name_in_base64_and_never_expires(scheduler, queue):
    due = alarm()
    scheduler.arm_many([due])
    [message] = queue.take(32, hidden_for=60)
    assert message.text == str(due.name)
    assert message.dequeue_count == 1


def test_an_alarm_that_rang_is_put_back_unless_its_time_is_beyond_the_horizon(scheduler, queue):
    queue.create()
    scheduler.put_back(alarm().name, 30)
    scheduler.put_back(alarm().name, 30 * 86_400)  # longer than a message may be hidden
    assert queue.count() == 1
    assert scheduler.available


def test_it_is_the_databases_clock_by_which_an_alarm_is_due(queues):
    """With the machine's own clock an hour behind, as it is here, every alarm would be beyond the horizon."""
    ahead = timedelta(hours=1)
    scheduler = QueueScheduler(*queues, lambda: now() + ahead)
    due = alarm(3600)
    assert scheduler.arm_many([due]) == {due.name}
    assert queues[0].take(1, hidden_for=60)
    scheduler.close()


def test_the_backlog_counts_hidden_messages_and_those_that_were_given_up(scheduler, queues):
    queue, poison = queues
    assert scheduler.arm_many([alarm(), alarm(300)])
    assert scheduler.backlog() == (2, 0, scheduler.backlog().oldest)
    assert now() - scheduler.backlog().oldest < timedelta(minutes=5)
    poison.create()
    poison.put("given up")
    assert scheduler.backlog().poisoned == 1
    queue.clear()
    assert scheduler.backlog() == (0, 1, None)


def test_while_the_queue_is_away_calls_fail_at_once_and_its_return_is_told(azurite, scheduler, queue, caplog):
    caplog.set_level(logging.INFO, "jobs")
    scheduler.arm_many([alarm()])
    missed, returned = alarm(), []
    scheduler.on_return = lambda: returned.append(scheduler.arm_many([missed]))
    azurite.kill()
    try:
        for _ in range(100):
            with pytest.raises(SchedulerUnavailable, match="cannot be reached"):
                scheduler.arm_many([alarm() for _ in range(50)])
        assert not scheduler.available
        assert "cannot be reached" in scheduler.unavailable_reason
        with pytest.raises(SchedulerUnavailable):
            scheduler.backlog()
    finally:
        azurite.start()
    until(lambda: returned == [{missed.name}])
    assert scheduler.available
    lines = [record.getMessage() for record in caplog.records if record.name == "jobs.circuit_breaker"]
    assert len(lines) == 2, "one line a change"


def test_an_idle_connection_that_the_service_has_closed_is_no_fault(azurite, scheduler):
    scheduler.arm_many([alarm()])
    azurite.stop()
    azurite.start()
    due = alarm()
    assert scheduler.arm_many([due]) == {due.name}
    assert scheduler.available


def test_a_wrong_key_is_told_of_with_the_mend(azurite, queues):
    account = StorageAccount.of({"Azurite": azurite.connection_string}, "Azurite")
    scheduler = QueueScheduler(StorageQueue(account._replace(key=b"wrong"), "jobs"), queues[1], now)
    with pytest.raises(SchedulerUnavailable, match="refuses the signature"):
        scheduler.arm_many([alarm()])
    assert not scheduler.available
    scheduler.close()


def test_while_the_queue_is_being_deleted_this_is_the_reason_and_it_is_created_anew_then(scheduler, queue, monkeypatch):
    deleted = threading.Event()
    create = queue.create

    def refuse_until_it_is_deleted() -> bool:
        if deleted.is_set():
            return create()
        raise QueueRefused.of("jobs", "shop", 409, "QueueBeingDeleted")

    monkeypatch.setattr(queue, "create", refuse_until_it_is_deleted)
    with pytest.raises(SchedulerUnavailable, match="is being deleted, which takes half a minute"):
        scheduler.arm_many([alarm()])
    until(lambda: "is being deleted" in (scheduler.unavailable_reason or ""))
    deleted.set()
    until(lambda: scheduler.available)
    scheduler.arm_many([alarm()])
    assert queue.count() == 1


def test_an_identity_that_may_not_create_the_queue_says_that_it_is_missing(scheduler, queue, monkeypatch):
    def refuse() -> bool:
        raise QueueRefused.of("jobs", "shop", 403, "AuthorizationPermissionMismatch")

    monkeypatch.setattr(queue, "create", refuse)
    with pytest.raises(SchedulerUnavailable, match="create the queue test-"):
        scheduler.arm_many([alarm()])


def test_a_message_is_hidden_while_it_is_taken_and_may_be_hidden_for_longer(queue):
    queue.create()
    queue.put("text")
    [message] = queue.take(32, hidden_for=60)
    assert queue.take(32, hidden_for=60) == []
    shown = queue.hide(message, 0)
    [again] = queue.take(32, hidden_for=60)
    assert (again.text, again.dequeue_count) == ("text", 2)
    with pytest.raises(SchedulerUnavailable) as refused:
        queue.delete(shown)
    assert refused.value.gone, "it was taken by another meanwhile"
    queue.delete(again)
    assert queue.count() == 0


def test_a_message_that_is_no_base64_has_no_text(queue):
    queue.create()
    queue.put_raw("<not & base64>")
    [message] = queue.take(1, hidden_for=60)
    assert (message.text, message.raw) == (None, "<not & base64>")
