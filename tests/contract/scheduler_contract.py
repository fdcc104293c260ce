"""What any ``Scheduler`` must do. To hold another one to it, add a ``Harness`` for it in ``test_schedulers``."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from jobs.core.errors import SchedulerUnavailable
from jobs.core.lifecycle.ids import AlarmName, new_id
from jobs.core.ports.scheduler import Alarm, Scheduler

SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Harness:
    """A scheduler and its surroundings.

    ``let_pass`` moves a clock on, or sleeps (somewhat longer, where the scheduler may ring late). ``rung`` lists the
    names as they were called back, in order. ``cut_off`` makes the scheduler unreachable, where that can happen. An
    alarm in ``far`` seconds is accepted, and does not ring during a test.
    """

    scheduler: Scheduler
    now: Callable[[], datetime]
    let_pass: Callable[[timedelta], None]
    rung: Callable[[], list[str]]
    cut_off: Callable[[], None] | None = None
    far: float = 3600

    def alarm(self, name: AlarmName | None = None, *, seconds: float = 1) -> Alarm:
        return Alarm(name or AlarmName(new_id(), 1), self.now() + timedelta(seconds=seconds))

    def rings(self, alarm: Alarm) -> int:
        return self.rung().count(str(alarm.name))


class SchedulerContract:
    """Inherit it where a fixture ``harness`` is at hand."""

    @pytest.fixture
    def ringing(self, harness: Harness) -> Harness:
        """The harness, for tests about alarms that are held; one without has nothing to ring."""
        if not harness.scheduler.holds_alarms:
            pytest.skip("holds no alarms: due rows are polled for")
        return harness

    def test_it_has_a_name_to_choose_it_by(self, harness):
        assert harness.scheduler.name.isidentifier()

    def test_arming_gives_the_names_that_were_accepted(self, harness):
        alarms = [harness.alarm(seconds=harness.far) for _ in range(3)]
        assert harness.scheduler.arm_many(alarms) == {alarm.name for alarm in alarms}

    def test_arming_nothing_accepts_nothing(self, harness):
        assert harness.scheduler.arm_many([]) == set()

    def test_arming_the_same_alarm_twice_is_harmless(self, harness):
        alarm = harness.alarm(seconds=harness.far)
        assert harness.scheduler.arm_many([alarm]) == {alarm.name}
        assert harness.scheduler.arm_many([alarm]) == {alarm.name}

    def test_the_same_alarm_twice_in_one_call_is_harmless(self, harness):
        alarm = harness.alarm(seconds=harness.far)
        assert harness.scheduler.arm_many([alarm, alarm]) == {alarm.name}

    @pytest.mark.parametrize("generation", [1, 2, 10, 99_999, 10**18 - 1])
    def test_any_generation_makes_a_name(self, harness, generation):
        name = AlarmName(new_id(), generation)
        assert harness.scheduler.arm_many([harness.alarm(name, seconds=harness.far)]) == {name}
        harness.scheduler.disarm_many([name])

    def test_many_are_armed_and_disarmed_in_one_call(self, harness):
        alarms = [harness.alarm(seconds=harness.far) for _ in range(500)]
        names = {alarm.name for alarm in alarms}
        assert harness.scheduler.arm_many(alarms) == names
        harness.scheduler.disarm_many(names)

    def test_many_threads_arm_at_once(self, harness):
        pages = [[harness.alarm(seconds=harness.far) for _ in range(20)] for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            accepted = list(pool.map(harness.scheduler.arm_many, pages))
        assert accepted == [{alarm.name for alarm in page} for page in pages]

    def test_disarming_a_missing_alarm_is_harmless(self, harness):
        harness.scheduler.disarm_many([AlarmName(new_id(), 1)])
        harness.scheduler.disarm_many([])

    def test_disarming_twice_is_harmless(self, harness):
        alarm = harness.alarm(seconds=harness.far)
        harness.scheduler.arm_many([alarm])
        harness.scheduler.disarm_many([alarm.name])
        harness.scheduler.disarm_many([alarm.name])

    def test_closing_twice_is_harmless(self, harness):
        harness.scheduler.arm_many([harness.alarm(seconds=harness.far)])
        harness.scheduler.close()
        harness.scheduler.close()

    def test_an_unreachable_scheduler_says_so(self, harness):
        if harness.cut_off is None:
            pytest.skip("it cannot be unreachable")
        harness.cut_off()
        with pytest.raises(SchedulerUnavailable):
            harness.scheduler.arm_many([harness.alarm()])

    def test_an_alarm_rings_under_its_exact_name_and_not_before_it_is_due(self, ringing):
        alarm = ringing.alarm(seconds=2)
        ringing.scheduler.arm_many([alarm])
        ringing.let_pass(SECOND)
        assert ringing.rung() == []
        ringing.let_pass(2 * SECOND)
        assert set(ringing.rung()) == {str(alarm.name)}
        assert AlarmName.parse(ringing.rung()[0]) == alarm.name

    def test_an_alarm_that_is_past_due_rings_at_once(self, ringing):
        alarm = ringing.alarm(seconds=-3600)
        ringing.scheduler.arm_many([alarm])
        ringing.let_pass(SECOND)
        assert ringing.rings(alarm) >= 1

    def test_an_alarm_armed_twice_rings(self, ringing):
        alarm = ringing.alarm()
        ringing.scheduler.arm_many([alarm])
        ringing.scheduler.arm_many([alarm])
        ringing.let_pass(2 * SECOND)
        assert ringing.rings(alarm) >= 1

    def test_an_alarm_can_be_armed_again_after_it_rang(self, ringing):
        first = ringing.alarm()
        ringing.scheduler.arm_many([first])
        ringing.let_pass(2 * SECOND)
        before = ringing.rings(first)
        ringing.scheduler.arm_many([ringing.alarm(first.name)])
        ringing.let_pass(2 * SECOND)
        assert before >= 1
        assert ringing.rings(first) > before

    def test_disarming_one_generation_leaves_the_others_of_the_job(self, ringing):
        job_id = new_id()
        alarms = [ringing.alarm(AlarmName(job_id, generation)) for generation in (1, 10, 11)]
        ringing.scheduler.arm_many(alarms)
        ringing.scheduler.disarm_many([AlarmName(job_id, 1)])
        ringing.let_pass(2 * SECOND)
        assert {str(alarm.name) for alarm in alarms[1:]} <= set(ringing.rung())

    def test_many_alarms_due_at_once_all_ring(self, ringing):
        alarms = [ringing.alarm() for _ in range(200)]
        ringing.scheduler.arm_many(alarms)
        ringing.let_pass(3 * SECOND)
        assert set(ringing.rung()) == {str(alarm.name) for alarm in alarms}
