"""The timer functions as the app has them: when they tick, and what a tick does and survives."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from contextlib import nullcontext
from datetime import timedelta
from types import SimpleNamespace

import pytest
from azure.functions.timer import TimerRequest

from jobs.adapters.postgres.stores.runs import PostgresRunStore
from jobs.core.errors import ConfigurationError, StoreUnavailable
from jobs.core.handlers.context import JobContext
from jobs.core.lifecycle.ids import AlarmName
from jobs.entrypoints.devhost.host.functions import InvocationContext, TraceContext
from jobs.entrypoints.devhost.host.host import DevHost
from jobs.entrypoints.functions import build_app
from jobs.entrypoints.triggers.setup_faults import SetupFaults
from jobs.settings import Settings
from jobs.settings_checks import function_timeout
from jobs.startup import read_startup
from tests.integration.entrypoints.http.test_http_api import serving
from tests.support import Anything, job, until


def timers(runtime, **settings):
    """Give the timer functions of an app by name: each one's trigger, and the function itself."""
    found = build_app(lambda: runtime, Settings(**settings)).get_functions()
    triggers = {function.get_function_name(): function.get_trigger().get_dict_repr() for function in found}
    return {
        function.get_function_name(): (triggers[function.get_function_name()], function.get_user_function())
        for function in found
        if triggers[function.get_function_name()]["type"] == "timerTrigger"
    }


def invocation(name):
    return InvocationContext(name, ".", TraceContext())


def fake_runtime(drain, **others):
    pool = SimpleNamespace(run_in_scope=lambda scope: None)
    scale_out = SimpleNamespace(while_draining=nullcontext)
    return SimpleNamespace(worker=SimpleNamespace(drain=drain), pool=pool, scale_out=scale_out, **others)


def tick(runtime, name, **settings):
    """Run one tick as the worker does, past due ones included; a timer function must return None."""
    _, function = timers(runtime, **settings)[name]
    assert function(timer=TimerRequest(past_due=True), context=invocation(name)) is None


class TestTriggers:
    def test_the_settings_say_when_the_timers_tick(self):
        found = timers(None, poll_schedule="*/5 * * * * *", reconcile_schedule="30 */2 * * * *")
        assert {name: trigger["schedule"] for name, (trigger, _) in found.items()} == {
            "run_due": "*/5 * * * * *",
            "reconcile": "30 */2 * * * *",
        }

    def test_by_default_due_jobs_are_looked_for_every_second_and_faults_every_minute(self):
        found = timers(None)
        assert found["run_due"][0]["schedule"] == "* * * * * *"
        assert found["reconcile"][0]["schedule"] == "0 * * * * *"

    def test_no_timer_runs_at_start_up_and_only_the_slow_one_is_monitored(self):
        found = timers(None)
        assert not any(trigger.get("runOnStartup") for trigger, _ in found.values())
        assert (found["run_due"][0]["useMonitor"], found["reconcile"][0]["useMonitor"]) == (False, True)

    def test_nothing_is_polled_for_where_a_scheduler_rings(self):
        assert timers(None, scheduler="dapr").keys() == {"reconcile"}


class TestTicks:
    @pytest.mark.parametrize(
        ("function_timeout", "longest"),
        [
            (timedelta(minutes=30), 1740),
            (timedelta(minutes=5), 240),
            (timedelta(seconds=60), 30),
            (None, 3600),
            (timedelta(days=1), 3600),
        ],
        ids=str,
    )
    def test_the_poll_has_the_budget_of_the_settings_and_stays_open_until_short_of_function_timeout(
        self, function_timeout, longest
    ):
        asked = []
        runtime = fake_runtime(lambda *seconds: asked.append(seconds))
        app = build_app(lambda: runtime, Settings(poll_budget_seconds=7), function_timeout)
        [run_due] = [found for found in app.get_functions() if found.get_function_name() == "run_due"]
        run_due.get_user_function()(timer=TimerRequest(), context=invocation("run_due"))
        assert asked == [(7, longest)]

    def test_what_is_left_open_for_a_poll_is_read_from_host_json(self):
        assert read_startup().function_timeout == function_timeout({})

    def test_the_poll_stays_open_while_a_handler_of_its_runs_and_runs_what_falls_due_meanwhile(
        self, make_runtime, registry
    ):
        """So the host that goes down waits for it, and what it logs has an invocation; and nothing waits behind it."""
        may_end, heard = threading.Event(), []

        def slow(args: Anything) -> None:
            may_end.wait(60)

        def quick(args: Anything) -> None:
            heard.append(1)

        registry.add_handler("Slow", slow)
        registry.add_handler("Quick", quick)
        runtime = make_runtime()
        runtime.service.enqueue(job("slow", "Slow"))
        poll = threading.Thread(target=tick, args=[runtime, "run_due"], kwargs={"poll_budget_seconds": 0.2})
        poll.start()
        for number in range(3):
            runtime.service.enqueue(job(f"quick {number}", "Quick", schedule="PT1S"))
            until(lambda number=number: len(heard) > number)
        assert poll.is_alive()
        tick(runtime, "run_due")  # a second one, by hand, does not wait
        may_end.set()
        poll.join(60)
        assert not poll.is_alive()
        assert runtime.housekeeping.stats()["jobs"] == {"Completed": 4}

    def test_a_poll_that_is_open_ends_when_the_host_goes_down(self, make_runtime, registry):
        def until_it_is_told(args: Anything, ctx: JobContext) -> None:
            while True:
                ctx.raise_if_cancelled()
                time.sleep(0.02)

        registry.add_handler("Slow", until_it_is_told)
        runtime = make_runtime()
        runtime.service.enqueue(job("slow", "Slow"))
        poll = threading.Thread(target=tick, args=[runtime, "run_due"], kwargs={"poll_budget_seconds": 0.2})
        poll.start()
        until(lambda: runtime.housekeeping.stats()["jobs"] == {"Running": 1})
        runtime.pool.stop(30)
        poll.join(60)
        assert not poll.is_alive()

    @pytest.mark.parametrize("name", ["run_due", "reconcile"])
    def test_one_that_finds_the_database_away_ends_quietly_with_a_warning(self, make_runtime, caplog, name):
        runtime = make_runtime(database_url="postgresql://nobody@127.0.0.1:1/nothing")
        tick(runtime, name)
        assert any(record.levelno == logging.WARNING for record in caplog.records)

    def test_a_poll_of_a_database_that_is_away_leaves_no_traceback_every_second(self, make_runtime, caplog):
        tick(make_runtime(database_url="postgresql://nobody@127.0.0.1:1/nothing"), "run_due")
        [record] = caplog.records
        assert (record.name, record.levelno, record.exc_info) == ("jobs.store", logging.WARNING, None)

    def test_a_database_that_goes_away_in_the_middle_of_a_poll_is_no_crash_either(self, caplog):
        def drain(*seconds):
            raise StoreUnavailable("the database cannot be reached: ConnectionResetError")

        caplog.set_level(logging.DEBUG, "jobs")
        tick(fake_runtime(drain), "run_due")
        [record] = caplog.records
        assert (record.levelno, record.exc_info) == (logging.DEBUG, None), "the statement that failed has told of it"
        assert "ConnectionResetError" in caplog.text

    @pytest.mark.parametrize("name", ["run_due", "reconcile"])
    def test_one_of_an_app_that_is_not_configured_says_which_setting_is_missing(self, caplog, name):
        def unconfigured():
            raise ConfigurationError("JOBS_DATABASE_URL is not set; set it")

        found = {
            function.get_function_name(): function.get_user_function()
            for function in build_app(unconfigured, Settings()).get_functions()
        }
        assert found[name](timer=TimerRequest(), context=invocation(name)) is None
        [record] = caplog.records
        assert (record.levelno, record.exc_info) == (logging.ERROR, None)
        assert "JOBS_DATABASE_URL is not set" in record.getMessage()

    def test_an_app_that_is_set_up_wrong_says_so_at_once_and_once_a_minute_though_it_polls_every_second(self, caplog):
        faults = iter([ConfigurationError("A is missing")] * 130 + [ConfigurationError("B is missing")])
        seconds = iter(range(1000))
        said = SetupFaults(logging.getLogger("jobs.timers"), lambda: float(next(seconds)))
        for fault in faults:
            said.log(fault)
        told = [record.getMessage()[-12:] for record in caplog.records]
        assert told == ["A is missing"] * 3 + ["B is missing"]
        assert {record.levelno for record in caplog.records} == {logging.ERROR}


class TestOnAHost:
    @pytest.fixture
    def api(self, database_url):
        with serving(database_url) as api:
            yield api

    def test_the_poll_runs_what_is_due_and_nothing_else(self, api):
        due, later, paused = api.enqueue(), api.later(), api.enqueue()
        api.command(paused, "pause")
        assert api.call("POST", "/admin/functions/run_due").status_code == 202
        until(lambda: api.get(due)["status"] == "Completed")
        assert (api.get(later)["run_count"], api.get(paused)["run_count"]) == (0, 0)

    def test_the_reconciliation_takes_back_a_run_whose_worker_is_lost(self, api, database):
        job = api.enqueue()
        alarm = AlarmName(uuid.UUID(job["id"]), 1)
        PostgresRunStore(database, "jobs").claim(alarm, worker="lost", lease=timedelta(milliseconds=1))
        assert api.get(job)["status"] == "Running"
        time.sleep(0.01)
        assert api.call("POST", "/admin/functions/reconcile").status_code == 202
        until(lambda: api.get(job)["status"] == "Scheduled")
        [attempt] = api.call("GET", f"/api/jobs/{job['id']}/attempts").json()["attempts"]
        assert (attempt["outcome"], attempt["worker"]) == ("Lost", "lost")

    def test_both_tick_by_themselves_as_their_schedules_say(self):
        ticks = []
        spy = fake_runtime(
            lambda *seconds: ticks.append("run_due"),
            reconciler=SimpleNamespace(run=lambda: ticks.append("reconcile")),
        )
        every_second = Settings(poll_schedule="* * * * * *", reconcile_schedule="* * * * * *")
        with DevHost(build_app(lambda: spy, every_second), port=0, route_prefix=""):
            until(lambda: {"run_due", "reconcile"} <= set(ticks))
