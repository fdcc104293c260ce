"""The function ``wake``: what a message leads to, and that none is lost to an outage, called as the host calls it."""

from __future__ import annotations

import logging
import threading

import azure.functions as func
import pytest
from azure.functions.queue import QueueMessage

from jobs.core.errors import ConfigurationError, SchedulerUnavailable, StoreUnavailable
from jobs.core.handlers.context import JobContext
from jobs.core.lifecycle.ids import AlarmName, new_id
from jobs.core.lifecycle.status import JobStatus
from jobs.entrypoints.devhost.host.functions import TraceContext, load_functions, running_function
from jobs.entrypoints.triggers.queue import WakeOptions, queue_blueprint
from jobs.testing import MemoryScheduler
from tests.support import Anything, job, until


class Queue(MemoryScheduler):
    """A scheduler that takes down what is put back; ``fails`` is raised in its place."""

    name = "queue"

    def __init__(self) -> None:
        super().__init__()
        self.put: list[tuple[AlarmName, float]] = []
        self.fails: Exception | None = None

    def put_back(self, name: AlarmName, seconds: float) -> None:
        if self.fails:
            raise self.fails
        self.put.append((name, seconds))


@pytest.fixture
def scheduler(monkeypatch) -> Queue:
    scheduler = Queue()
    monkeypatch.setattr("jobs.bootstrap.build_scheduler", lambda *_: scheduler)
    return scheduler


def waking(runtime, longest_seconds: float = 600.0):
    """Return what the host does with the text of a message."""
    app = func.FunctionApp()
    app.register_functions(
        queue_blueprint(runtime, WakeOptions("jobs-wake", "AzureWebJobsStorage", 50.0, longest_seconds))
    )
    [function] = load_functions(app, prefix="", settings={}, log=logging.getLogger("test"))

    def wake(text: object) -> None:
        assert function.invoke(QueueMessage(id="1", body=str(text).encode()), TraceContext()) is None

    return wake


@pytest.fixture
def wake(scheduler, runtime):
    return waking(lambda: runtime)


def enqueued(runtime, name: str = "job", handler_name: str = "Noop", **fields) -> AlarmName:
    return AlarmName(runtime.service.enqueue(job(name, handler_name, **fields)).id, 1)


def status(runtime, name: AlarmName) -> JobStatus:
    return runtime.service.get(name.job_id).status


def test_a_message_runs_its_job_and_what_else_is_due(wake, runtime):
    names = [enqueued(runtime, f"job {number}") for number in range(5)]
    wake(names[3])
    until(lambda: {status(runtime, name) for name in names} == {JobStatus.COMPLETED})


def test_a_message_of_an_ended_or_an_unknown_job_is_done_with(wake, runtime, scheduler):
    name = enqueued(runtime)
    for _ in range(3):
        wake(name)
    wake(AlarmName(new_id(), 1))
    assert runtime.service.get(name.job_id).run_count == 1
    assert scheduler.put == []


def test_a_message_that_is_no_alarm_is_dropped_and_told_of_once(wake, caplog):
    for _ in range(5):
        wake("an order of another app " * 20)
    [warning] = [record.getMessage() for record in caplog.records if "no alarm of this app" in record.getMessage()]
    assert "jobs-wake" in warning
    assert len(warning) < 200


def test_an_alarm_of_no_job_here_is_told_of_once_since_another_app_may_use_the_queue(wake, runtime, caplog):
    wake(enqueued(runtime))
    for _ in range(5):
        wake(AlarmName(new_id(), 1))
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "of no job in this database" in warning
    assert "JOBS_QUEUE" in warning


def test_a_message_that_is_a_little_early_waits(wake, runtime, scheduler):
    name = enqueued(runtime, schedule="PT1S")
    until(lambda: (runtime.runs.due_in(name) or 0) < 0.9)
    wake(name)
    assert status(runtime, name) is JobStatus.COMPLETED
    assert scheduler.put == []


@pytest.mark.parametrize("seconds", [5, 300])
def test_a_message_that_is_early_is_put_back_for_the_rest_of_its_time(wake, runtime, scheduler, seconds):
    name = enqueued(runtime, schedule=f"PT{seconds}S")
    wake(name)
    [(put, rest)] = scheduler.put
    assert put == name
    assert seconds - 4 < rest <= seconds
    assert status(runtime, name) is JobStatus.SCHEDULED


def test_while_the_database_is_away_the_alarm_is_put_back_and_the_call_ends_well(wake, runtime, scheduler, monkeypatch):
    name = enqueued(runtime)

    def away(*_, **__):
        raise StoreUnavailable("it is away")

    monkeypatch.setattr(runtime.runs, "claim", away)
    for _ in range(20):
        wake(name)
    assert {put for put, _ in scheduler.put} == {name}
    delays = [seconds for _, seconds in scheduler.put]
    assert len(delays) == 20
    assert min(delays) >= 10
    assert max(delays) <= 30
    assert len(set(delays)) > 1, "they do not all come back at once"


def test_with_the_queue_away_as_well_the_call_fails_so_that_the_host_tries_again(wake, runtime, scheduler, monkeypatch):
    name = enqueued(runtime)

    def away(*_, **__):
        raise StoreUnavailable("it is away")

    monkeypatch.setattr(runtime.runs, "claim", away)
    scheduler.fails = SchedulerUnavailable("it is away, too")
    with pytest.raises(SchedulerUnavailable):
        wake(name)


def test_when_the_host_goes_down_the_alarm_is_put_back_for_another(wake, runtime, scheduler):
    name = enqueued(runtime)
    runtime.pool.start_nothing_more()
    wake(name)
    assert [put for put, _ in scheduler.put] == [name]


def test_an_app_that_is_not_configured_fails_the_call_and_says_why_once(caplog):
    def runtime():
        raise ConfigurationError("JOBS_DATABASE_URL is not set")

    wake = waking(runtime)
    for _ in range(3):
        with pytest.raises(ConfigurationError):
            wake(AlarmName(new_id(), 1))
    assert sum("JOBS_DATABASE_URL is not set" in record.getMessage() for record in caplog.records) == 1


def test_a_run_that_goes_on_is_left_to_the_pool_before_the_host_would_end_the_worker(scheduler, runtime, registry):
    opened = threading.Event()

    def slow(args: Anything) -> None:
        opened.wait(60)

    registry.add_handler("Slow", slow)
    name = enqueued(runtime, handler_name="Slow")
    waking(lambda: runtime, longest_seconds=0.3)(name)
    assert status(runtime, name) is JobStatus.RUNNING
    opened.set()
    until(lambda: status(runtime, name) is JobStatus.COMPLETED)


def test_what_a_handler_logs_belongs_to_the_messages_invocation(wake, runtime, registry):
    seen = []

    def look(args: Anything, ctx: JobContext) -> None:
        seen.append(running_function())

    registry.add_handler("Look", look)
    names = [enqueued(runtime, f"look {number}", "Look") for number in range(4)]
    wake(names[0])
    until(lambda: len(seen) == 4)
    assert set(seen) == {"wake"}


# --- messages that name no alarm, with which one instance asks others for help


def test_a_look_runs_what_is_due_with_all_slots(wake, runtime):
    names = [enqueued(runtime, f"job {number}") for number in range(20)]
    wake("look")
    until(lambda: {status(runtime, name) for name in names} == {JobStatus.COMPLETED})


def test_a_look_on_an_instance_that_drains_already_keeps_its_message(wake, runtime, registry):
    opened, began = threading.Event(), threading.Event()

    def slow(args: Anything) -> None:
        began.set()
        opened.wait(60)

    registry.add_handler("Slow", slow)
    enqueued(runtime, handler_name="Slow")
    drain = threading.Thread(target=runtime.worker.drain, args=[60, 60])
    drain.start()
    began.wait(60)
    look = threading.Thread(target=wake, args=["look"])
    look.start()
    look.join(1)
    assert look.is_alive(), "the next message would be taken at once, and no other instance would be started for it"
    opened.set()
    look.join(60)
    drain.join(60)
    assert not look.is_alive()


def test_a_look_while_the_database_is_away_ends_well_and_is_not_put_back(wake, runtime, scheduler, monkeypatch):
    def away(*_, **__):
        raise StoreUnavailable("it is away")

    monkeypatch.setattr(runtime.runs, "claim_due", away)
    wake("look")
    assert scheduler.put == []
