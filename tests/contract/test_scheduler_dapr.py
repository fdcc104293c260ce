"""Dapr Jobs under the schedulers' contract, with the real sidecar where it is installed and with the stand-in."""

import logging
import os
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from jobs.adapters.schedulers.dapr import DaprScheduler
from jobs.core.errors import ConfigurationError, SchedulerUnavailable
from jobs.core.lifecycle.ids import AlarmName, new_id
from jobs.core.ports.scheduler import Alarm
from jobs.entrypoints.devhost.dapr import LocalDapr, find_dapr
from tests.contract.scheduler_contract import Harness, SchedulerContract
from tests.contract.sidecars import TOKEN, nowhere, pointed_at, real_sidecar, stand_in
from tests.support import PATIENCE_SECONDS, until

try:
    find_dapr()
    WHY_NOT = ""
except ConfigurationError as error:
    WHY_NOT = str(error)

needs_dapr = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


@pytest.fixture(scope="module")
def real_callbacks(tmp_path_factory):
    with real_sidecar(tmp_path_factory.mktemp("dapr")) as callbacks:
        yield callbacks


@pytest.fixture
def real(real_callbacks):
    yield real_callbacks
    real_callbacks.status = 200


@pytest.fixture
def imitated():
    with stand_in() as sidecar:
        yield sidecar.callbacks


@pytest.fixture(params=[pytest.param("real", marks=needs_dapr), "imitated"])
def callbacks(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def scheduler():
    # More patient than an app, since a busy machine is no fault of the scheduler's.
    scheduler = DaprScheduler(probe_timeout_seconds=PATIENCE_SECONDS, call_timeout_seconds=PATIENCE_SECONDS)
    yield scheduler
    scheduler.close()


@pytest.fixture
def harness(callbacks, scheduler):
    before = len(callbacks.rung)
    surroundings = ExitStack()

    def cut_off():
        scheduler.close()
        surroundings.enter_context(pointed_at(nowhere()))

    with surroundings:
        yield Harness(
            scheduler,
            now=lambda: datetime.now(UTC),
            let_pass=lambda time_: time.sleep(time_.total_seconds()),
            rung=lambda: callbacks.rung[before:],
            cut_off=cut_off,
        )


class TestDapr(SchedulerContract):
    pass


def alarm(seconds: float = 3600) -> Alarm:
    return Alarm(AlarmName(new_id(), 1), datetime.now(UTC) + timedelta(seconds=seconds))


def test_an_alarm_whose_callback_is_not_answered_well_rings_again(callbacks, scheduler):
    callbacks.status = 503
    due = alarm(0)
    scheduler.arm_many([due])
    until(lambda: str(due.name) in callbacks.rung)
    callbacks.status = 200
    until(lambda: callbacks.rung.count(str(due.name)) == 2)


def test_an_alarm_that_is_set_again_while_it_rings_rings_once(callbacks, scheduler):
    due = alarm(1)
    scheduler.arm_many([due])
    scheduler.arm_many([due._replace(due_at=due.due_at + timedelta(hours=1))])
    time.sleep(2.5)
    assert callbacks.rung.count(str(due.name)) == 1


def test_a_sidecar_that_refuses_the_token_is_told_of_with_the_mend(callbacks, scheduler, monkeypatch):
    from dapr.conf import settings

    with monkeypatch.context() as patched:  # undone while the SDK still points at this sidecar
        patched.setattr(settings, "DAPR_API_TOKEN", "another")
        with pytest.raises(SchedulerUnavailable, match="DAPR_API_TOKEN"):
            scheduler.arm_many([alarm()])


def test_a_sidecar_before_1_18_is_spoken_to_in_alpha1():
    with stand_in(stable=False) as sidecar:
        scheduler = DaprScheduler()
        due = alarm(0)
        assert scheduler.arm_many([due]) == {due.name}
        until(lambda: str(due.name) in sidecar.callbacks.rung)
        scheduler.disarm_many([due.name])
        scheduler.close()
    assert sidecar.calls == ["ScheduleJob", "ScheduleJobAlpha1", "DeleteJob", "DeleteJobAlpha1"]


def test_a_sidecar_without_a_jobs_api_is_asked_once():
    with stand_in(jobs=False) as sidecar:
        scheduler = DaprScheduler()
        for _ in range(5):
            with pytest.raises(SchedulerUnavailable, match="no Jobs API"):
                scheduler.arm_many([alarm()])
        assert not scheduler.available
        assert sidecar.calls[:2] == ["ScheduleJob", "ScheduleJobAlpha1"]
        assert sidecar.calls.count("ScheduleJob") == 1
        scheduler.close()


def test_without_a_sidecar_the_first_call_says_so_at_once_and_names_the_settings():
    with pointed_at(nowhere()):
        scheduler = DaprScheduler()
        began = time.monotonic()
        with pytest.raises(SchedulerUnavailable, match="DAPR_HTTP_PORT"):
            scheduler.arm_many([alarm()])
        assert time.monotonic() - began < 30, "Dapr's client would wait for a minute by itself"
        scheduler.close()


def test_of_callers_of_a_scheduler_that_hangs_only_the_first_wait_and_none_for_long(caplog):
    caplog.set_level(logging.INFO, "jobs")
    with stand_in() as sidecar:
        scheduler = DaprScheduler(probe_timeout_seconds=600, call_timeout_seconds=0.2)
        scheduler.arm_many([alarm()])
        sidecar.scheduler_dead = True
        for number in range(100):
            with pytest.raises(SchedulerUnavailable, match="dapr-scheduler"):
                scheduler.arm_many([alarm()])
            assert not scheduler.available, "the first that is not answered is enough"
            assert "dapr-scheduler" in (scheduler.unavailable_reason or "")
            assert number == 0 or scheduler.unavailable_reason
        asked = [call for call in sidecar.calls if call == "ScheduleJob"]
        assert len(asked) == 2, "the others were not let through to wait"
        sidecar.scheduler_dead = False
        until(lambda: scheduler.available)
        assert scheduler.unavailable_reason is None
        again = alarm()
        assert scheduler.arm_many([again]) == {again.name}
        scheduler.close()
    lines = [record.getMessage() for record in caplog.records if record.name == "jobs.circuit_breaker"]
    assert len(lines) == 2, "one line a change"
    assert "answers again" in lines[1]


def test_as_soon_as_the_scheduler_answers_again_whoever_waits_for_it_is_told():
    with stand_in() as sidecar:
        scheduler = DaprScheduler(probe_timeout_seconds=0.5, call_timeout_seconds=0.2)
        armed = []
        missed = alarm()
        scheduler.on_return = lambda: armed.append(scheduler.arm_many([missed]))
        sidecar.scheduler_dead = True
        with pytest.raises(SchedulerUnavailable):
            scheduler.arm_many([missed])
        sidecar.scheduler_dead = False
        until(lambda: armed == [{missed.name}])
        scheduler.close()


def test_one_that_is_slow_and_not_dead_is_given_more_time():
    with stand_in() as sidecar:
        scheduler = DaprScheduler(probe_timeout_seconds=60, call_timeout_seconds=0.05)
        sidecar.slow_seconds = 0.3
        with pytest.raises(SchedulerUnavailable):
            scheduler.arm_many([alarm()])
        until(lambda: scheduler.available)
        due = alarm()
        assert scheduler.arm_many([due]) == {due.name}
        assert scheduler.available
        scheduler.close()


def test_of_many_alarms_those_that_were_accepted_are_given_when_the_scheduler_dies_midway():
    with stand_in() as sidecar:
        scheduler = DaprScheduler(probe_timeout_seconds=5, call_timeout_seconds=1, parallel_calls=1)
        alarms = [alarm() for _ in range(200)]
        schedule = sidecar.schedule

        def die_at_the_hundredth(name, due_time):
            sidecar.scheduler_dead = len(sidecar.calls) >= 100
            return schedule(name, due_time)

        sidecar.schedule = die_at_the_hundredth
        accepted = scheduler.arm_many(alarms)
        assert accepted == {each.name for each in alarms[:100]}
        scheduler.close()


def test_the_limit_on_the_sdks_health_check_is_ours_alone():
    from dapr.conf import settings

    patience = settings.DAPR_HEALTH_TIMEOUT
    with stand_in():
        scheduler = DaprScheduler()
        scheduler.arm_many([alarm()])
        scheduler.close()
    assert patience == settings.DAPR_HEALTH_TIMEOUT


class TestLocalDapr:
    def test_missing_binaries_are_told_of_with_how_to_get_them(self, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr("jobs.entrypoints.devhost.dapr._INSTALL_FOLDER", tmp_path)
        with pytest.raises(ConfigurationError, match="dapr init --slim"):
            LocalDapr(tmp_path, 1)

    def test_one_that_does_not_come_up_is_told_of_with_its_log(self, monkeypatch, tmp_path):
        for name in ("scheduler", "daprd"):
            (tmp_path / name).write_text("#!/bin/sh\necho cannot start\nexit 3\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        with pytest.raises(ConfigurationError, match=r"scheduler\.log"), LocalDapr(tmp_path / "data", 1):
            pass
        assert "cannot start" in (tmp_path / "data" / "scheduler.log").read_text()
        assert TOKEN not in (tmp_path / "data" / "scheduler.log").read_text()
