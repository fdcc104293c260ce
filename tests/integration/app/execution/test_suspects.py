"""A run that lost its worker twice in a row runs while nothing else starts beside it, and holds nobody up for ever."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from jobs.app.execution.alarm_result import AlarmOutcome, AlarmResult
from jobs.app.runtime import Runtime
from jobs.core.errors import Unavailable
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.limits import Limits
from jobs.core.lifecycle.status import JobStatus
from tests.support import Anything, job, until


class Play:
    """What began and ended, in order; jobs named ``slow`` wait for ``let_go``."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.let_go = threading.Event()

    def began(self, name: str) -> bool:
        return ("began", name) in self.events


class Named(Anything):
    name: str


@pytest.fixture
def play(registry) -> Play:
    play = Play()

    def handle(args: Named) -> None:
        play.events.append(("began", args.name))
        if args.name.startswith("slow"):
            play.let_go.wait(60)
        play.events.append(("ended", args.name))

    registry.add_handler("Work", handle)
    registry.add_handler("Limited", handle, limits=Limits(concurrency=1))
    yield play
    play.let_go.set()


def enqueue(runtime: Runtime, *names: str, handler_name: str = "Work", schedule: str = "@once") -> list:
    commands = [job(name, handler_name, payload={"name": name}, schedule=schedule) for name in names]
    return [enqueued.id for enqueued in runtime.service.enqueue_many(commands)]


@pytest.fixture
def suspect(sql) -> Callable[..., object]:
    """Enqueue a job that lost its worker twice."""

    def suspect(runtime: Runtime, name: str, handler_name: str = "Work") -> object:
        [job_id] = enqueue(runtime, name, handler_name=handler_name, schedule="PT1H")
        sql("update jobs.jobs set lost_count = 2, next_run_at = now() where id = :id", id=job_id)
        return job_id

    return suspect


def alone_for(runtime: Runtime, *, others: float = 60, alone: float = 60) -> None:
    runtime.pool._suspects._others_seconds = others
    runtime.pool._suspects._alone_seconds = alone


def drain_aside(runtime: Runtime) -> threading.Thread:
    def drain() -> None:
        with suppress(Unavailable):  # the runtime may be closed in the middle of it, as the test ends
            runtime.worker.drain(120)

    thread = threading.Thread(target=drain, daemon=True)
    thread.start()
    return thread


def alarm(runtime: Runtime, job_id) -> AlarmName:
    return AlarmName(job_id, runtime.service.get(job_id).generation)


def test_a_poll_runs_a_suspect_and_starts_nothing_beside_it(make_runtime, play, suspect, sql):
    runtime = make_runtime()
    job_id = suspect(runtime, "slow suspect")
    drain = drain_aside(runtime)
    until(lambda: play.began("slow suspect"))
    enqueue(runtime, *(f"other {n}" for n in range(20)))
    assert sql("select alone from jobs.jobs where id = :id", id=job_id) == [(True,)]
    assert sql("select count(*) from jobs.jobs where status = 'Running'") == [(1,)]
    play.let_go.set()
    until(lambda: len(play.events) == 42)
    drain.join(30)
    assert play.events[:2] == [("began", "slow suspect"), ("ended", "slow suspect")]
    assert runtime.service.get(job_id).lost_count == 0


def test_handlers_that_run_already_are_waited_for(make_runtime, play, suspect):
    runtime = make_runtime()
    alone_for(runtime)
    enqueue(runtime, "slow neighbour")
    drain = drain_aside(runtime)
    until(lambda: play.began("slow neighbour"))
    suspect(runtime, "suspect")
    until(lambda: runtime.pool.alone.on)
    enqueue(runtime, "other")
    assert play.events == [("began", "slow neighbour")]
    play.let_go.set()
    drain.join(60)
    until(lambda: len(play.events) == 6)
    assert play.events[1:4] == [("ended", "slow neighbour"), ("began", "suspect"), ("ended", "suspect")]


def test_a_neighbour_that_runs_long_is_not_waited_for_for_ever(make_runtime, play, suspect):
    runtime = make_runtime()
    alone_for(runtime, others=0.1)
    enqueue(runtime, "slow neighbour")
    drain_aside(runtime)
    until(lambda: play.began("slow neighbour"))
    suspect(runtime, "suspect")
    enqueue(runtime, "other")
    until(lambda: len(play.events) == 5)
    assert ("ended", "slow neighbour") not in play.events


def test_a_suspect_that_began_beside_a_neighbour_is_not_convicted_by_its_loss(make_runtime, play, suspect, sql):
    """The neighbour may have been the cause as well."""
    runtime = make_runtime()
    alone_for(runtime, others=0.1)
    enqueue(runtime, "slow neighbour")
    drain_aside(runtime)
    until(lambda: play.began("slow neighbour"))
    job_id = suspect(runtime, "slow suspect")
    until(lambda: play.began("slow suspect"))
    sql("update jobs.jobs set lease_expires_at = now() - interval '1 hour' where id = :id", id=job_id)
    runtime.reconciler.run()
    after = runtime.service.get(job_id)
    assert (after.status, after.lost_count) == (JobStatus.SCHEDULED, 3)


def test_a_suspect_that_runs_long_lets_others_start_and_its_loss_convicts_it_no_more(make_runtime, play, suspect, sql):
    runtime = make_runtime()
    alone_for(runtime, alone=0.1)
    job_id = suspect(runtime, "slow suspect")
    drain_aside(runtime)
    until(lambda: play.began("slow suspect"))
    enqueue(runtime, "other")
    until(lambda: ("ended", "other") in play.events)
    assert ("ended", "slow suspect") not in play.events
    sql("update jobs.jobs set lease_expires_at = now() - interval '1 hour' where id = :id", id=job_id)
    runtime.reconciler.run()
    after = runtime.service.get(job_id)
    assert (after.status, after.lost_count) == (JobStatus.SCHEDULED, 3)


def test_a_second_suspect_waits_for_the_first_and_the_others_run_between_them(make_runtime, play, suspect):
    runtime = make_runtime()
    suspect(runtime, "suspect 1"), suspect(runtime, "suspect 2")
    enqueue(runtime, *(f"other {n}" for n in range(5)))
    until(lambda: runtime.worker.drain(60).seconds and len(play.events) == 14)
    for number in (1, 2):
        at = play.events.index(("began", f"suspect {number}"))
        assert play.events[at + 1] == ("ended", f"suspect {number}")


def test_an_alarm_of_a_suspect_is_answered_once_it_has_run_alone(make_runtime, play, suspect):
    runtime = make_runtime()
    alone_for(runtime)
    [neighbour] = enqueue(runtime, "slow neighbour")
    neighbours_answer = runtime.pool.handle_alarm(alarm(runtime, neighbour))
    until(lambda: play.began("slow neighbour"))
    job_id = suspect(runtime, "suspect")
    answer = runtime.pool.handle_alarm(alarm(runtime, job_id))
    assert runtime.pool.handle_alarm(alarm(runtime, job_id)) is answer
    until(lambda: runtime.pool.alone.on)
    [other] = enqueue(runtime, "other")
    others_answer = runtime.pool.handle_alarm(alarm(runtime, other))
    assert not answer.done()
    play.let_go.set()
    assert [each.result(30) for each in (neighbours_answer, answer, others_answer)] == [
        AlarmResult(AlarmOutcome.RAN)
    ] * 3
    assert play.events[1:4] == [("ended", "slow neighbour"), ("began", "suspect"), ("ended", "suspect")]


def test_a_suspect_of_a_handler_with_limits_keeps_within_them(make_runtime, play, suspect):
    runtime = make_runtime()
    alone_for(runtime, others=0.1)
    enqueue(runtime, "slow neighbour", handler_name="Limited")
    drain = drain_aside(runtime)
    until(lambda: play.began("slow neighbour"))
    job_id = suspect(runtime, "suspect", "Limited")
    answer = runtime.pool.handle_alarm(alarm(runtime, job_id))
    until(lambda: answer.done() and not runtime.pool.alone.on)
    assert not play.began("suspect")
    play.let_go.set()
    drain.join(60)
    until(lambda: runtime.worker.drain(60).seconds and runtime.service.get(job_id).status is JobStatus.COMPLETED)


def test_another_instance_goes_on_while_a_suspect_runs_alone(make_runtime, play, suspect):
    one, another = make_runtime(), make_runtime()
    suspect(one, "slow suspect")
    drain_aside(one)
    until(lambda: play.began("slow suspect"))
    enqueue(another, "other")
    assert another.worker.drain(60).executed == 1


def test_when_the_host_goes_down_an_alarm_of_a_suspect_that_waits_is_to_ring_again(make_runtime, play, suspect):
    runtime = make_runtime()
    alone_for(runtime)
    enqueue(runtime, "slow neighbour")
    drain_aside(runtime)
    until(lambda: play.began("slow neighbour"))
    job_id = suspect(runtime, "suspect")
    answer = runtime.pool.handle_alarm(alarm(runtime, job_id))
    until(lambda: runtime.pool.alone.on)
    runtime.pool.stopping.set()
    with pytest.raises(Unavailable):
        answer.result(30)
    assert runtime.service.get(job_id).lost_count == 2


def test_what_was_claimed_ahead_when_a_suspect_comes_is_given_back_unharmed(make_runtime, play, suspect, sql):
    runtime = make_runtime(concurrency=1)
    suspect(runtime, "slow suspect")
    drain_aside(runtime)
    until(lambda: play.began("slow suspect"))
    [other] = enqueue(runtime, "other")
    run = runtime.pipeline.claims.by_alarm(alarm(runtime, other))
    outcome = runtime.pipeline.execute(run)
    assert outcome.result.outcome == "Released"
    runtime.pipeline.record([outcome])
    after = runtime.service.get(other)
    assert (after.status, after.attempt, after.lost_count) == (JobStatus.SCHEDULED, 0, 0)
    play.let_go.set()
    until(lambda: runtime.service.get(other).status is JobStatus.COMPLETED)


def test_runs_that_were_lost_before_are_not_held_before_they_begin(make_runtime, play, sql):
    runtime = make_runtime(concurrency=2)
    runtime.worker._per_second = 10_000.0
    assert runtime.worker._ahead() > 2
    enqueue(runtime, *(f"other {n}" for n in range(5)))
    sql("update jobs.jobs set lost_count = 1")
    runtime.worker.drain(60)
    runtime.worker._per_second = 10_000.0
    assert runtime.worker._ahead() == 2


def test_a_lost_run_is_taken_back_by_the_poll_itself(make_runtime, play, sql):
    runtime = make_runtime(lease_seconds=1)
    [job_id] = enqueue(runtime, "other")
    assert runtime.runs.claim_due(1, worker="dead/1", lease=timedelta())
    until(lambda: runtime.worker.drain(60).executed)
    assert [str(attempt.outcome) for attempt in runtime.service.attempts(job_id)] == ["Succeeded", "Lost"]


def test_suspects_whose_limit_is_used_up_rest_and_neither_hide_others_nor_hold_the_instance_up(
    make_runtime, play, suspect, monkeypatch
):
    runtime = make_runtime()
    alone_for(runtime, others=0.1)
    [holder] = enqueue(runtime, "slow holder", handler_name="Limited")
    drain_aside(runtime)
    until(lambda: play.began("slow holder"))
    phases = []
    begin = runtime.pool.alone.begin
    monkeypatch.setattr(runtime.pool.alone, "begin", lambda: phases.append(None) or begin())
    waiting = [suspect(runtime, f"waiting {number}", "Limited") for number in range(20)]
    other = suspect(runtime, "behind them")
    until(lambda: runtime.service.get(other).status is JobStatus.COMPLETED)
    assert len(phases) <= 6, "one was tried in vain for all of its handler, now and then"

    play.let_go.set()
    runtime.pool._suspects._backoffs._until.clear()
    all_have_run = {JobStatus.COMPLETED}
    until(
        lambda: (
            runtime.worker.drain(1)
            and {runtime.service.get(each).status for each in [holder, *waiting]} == all_have_run
        )
    )
