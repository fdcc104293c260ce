"""Every scheduler is held to the one contract, and the memory one to what its own helpers promise."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from jobs.adapters.schedulers.timer import TimerScheduler
from jobs.core.errors import SchedulerUnavailable
from jobs.core.lifecycle.ids import AlarmName, new_id
from jobs.core.ports.scheduler import Alarm
from jobs.testing import FrozenClock, MemoryScheduler
from tests.contract.scheduler_contract import Harness, SchedulerContract

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def timer_harness() -> Harness:
    clock = FrozenClock(NOON)
    return Harness(TimerScheduler(), clock.now, let_pass=clock.advance, rung=list)


def memory_harness() -> Harness:
    clock, scheduler, rung = FrozenClock(NOON), MemoryScheduler(), []

    def let_pass(time):
        scheduler.ring_due(clock.advance(time), lambda name: rung.append(str(name)))

    def cut_off():
        scheduler.available = False

    return Harness(scheduler, clock.now, let_pass, rung=lambda: rung, cut_off=cut_off)


@pytest.fixture(params=[timer_harness, memory_harness], ids=["timer", "memory"])
def harness(request):
    harness = request.param()
    yield harness
    harness.scheduler.close()


class TestEveryScheduler(SchedulerContract):
    pass


# --- what the memory scheduler promises beyond that


def alarm(seconds: float = 0) -> Alarm:
    return Alarm(AlarmName(new_id(), 1), NOON + timedelta(seconds=seconds))


def test_the_memory_scheduler_rings_each_alarm_once_and_the_longest_due_first():
    scheduler, rung = MemoryScheduler(), []
    late, later, not_yet = alarm(-2), alarm(-1), alarm(1)
    scheduler.arm_many([not_yet, later, late])
    assert scheduler.due(NOON) == [late, later]
    assert scheduler.ring_due(NOON, rung.append) == rung == [late.name, later.name]
    assert scheduler.ring_due(NOON, rung.append) == []
    assert scheduler.alarms == {not_yet.name: not_yet.due_at}


def test_an_alarm_whose_callback_fails_rings_again():
    scheduler, due = MemoryScheduler(), alarm()
    scheduler.arm_many([due])

    def fail(name):
        raise ConnectionError(name)

    with pytest.raises(ConnectionError):
        scheduler.ring_due(NOON, fail)
    assert scheduler.due(NOON) == [due]


def test_an_alarm_that_is_set_by_a_callback_waits_for_the_next_time():
    scheduler, first, second = MemoryScheduler(), alarm(), alarm()
    scheduler.arm_many([first])
    assert scheduler.ring_due(NOON, lambda _: scheduler.arm_many([second])) == [first.name]
    assert scheduler.ring_due(NOON, lambda _: None) == [second.name]


def test_an_alarm_that_a_callback_withdraws_does_not_ring():
    scheduler, first, second = MemoryScheduler(), alarm(-1), alarm()
    scheduler.arm_many([first, second])
    assert scheduler.ring_due(NOON, lambda _: scheduler.disarm_many([second.name])) == [first.name]


def test_an_alarm_that_a_callback_puts_off_does_not_ring_early():
    scheduler, first, second = MemoryScheduler(), alarm(-1), alarm()
    put_off = second._replace(due_at=NOON + SECOND)
    scheduler.arm_many([first, second])
    assert scheduler.ring_due(NOON, lambda _: scheduler.arm_many([put_off])) == [first.name]
    assert scheduler.ring_due(NOON + SECOND, lambda _: None) == [second.name]


def test_the_memory_scheduler_keeps_its_alarms_while_it_is_unavailable():
    scheduler, due = MemoryScheduler(), alarm()
    scheduler.arm_many([due])
    scheduler.available = False
    with pytest.raises(SchedulerUnavailable):
        scheduler.disarm_many([due.name])
    scheduler.available = True
    assert scheduler.due(NOON) == [due]


def test_a_frozen_clock_stands_until_it_is_advanced():
    clock = FrozenClock(NOON.astimezone(timezone(timedelta(hours=3))))
    assert clock.now() == clock.now() == NOON
    assert clock.now().tzinfo is UTC
    assert clock.advance(SECOND) == clock.now() == NOON + SECOND


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="zone"):
        FrozenClock(datetime(2026, 6, 1))
    with pytest.raises(ValueError, match="zone"):
        MemoryScheduler().arm_many([Alarm(AlarmName(new_id(), 1), datetime(2026, 6, 1))])
