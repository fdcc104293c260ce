"""A job says why it does not run, and what holds where it says nothing itself."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from jobs import HandlerRegistry, Limits, Rate, RetryPolicy, Snooze
from jobs.core.commands import RetryOptions, UpdateJob
from jobs.core.lifecycle.waiting import WaitingFor
from jobs.core.queries import JobQuery
from jobs.testing import JobsHarness, MemoryScheduler
from tests.integration.entrypoints.http.test_http_api import serving_a_new_database
from tests.support import Anything, job, until

HOUR = timedelta(hours=1)


@pytest.fixture
def shown(runtime):
    """Show a job, as the API would."""
    return lambda job_id: runtime.views.show_one(runtime.service.get(job_id))


def waiting(shown):
    return shown.waiting_for, shown.waiting_for_detail


def test_a_job_that_is_not_yet_due_says_when_it_is(runtime, shown):
    found = shown(runtime.service.enqueue(job("job", schedule="2099-12-01T09:00:00Z")).id)
    assert waiting(found) == ("due", "it is due at 2099-12-01T09:00:00Z")


def test_a_job_that_waits_for_its_retry_says_which_attempt_comes(runtime, shown):
    def fail(args: Anything) -> None:
        raise LookupError

    runtime.registry.add_handler("Fail", fail, retry=RetryPolicy(max_retries=3, base=HOUR, cap=HOUR, jitter=False))
    made = runtime.service.enqueue(job("job", "Fail"))
    runtime.worker.drain(60)
    what, detail = waiting(shown(made.id))
    assert what is WaitingFor.DUE
    assert detail.endswith(", for attempt 2 of this run")


@pytest.mark.parametrize("schedule", ["@once", "@every 1h"])
def test_a_job_that_its_handler_snoozed_says_so_and_until_when(runtime, shown, schedule):
    snoozes = [timedelta(hours=9), None]

    def snooze(args: Anything) -> None:
        if (wait := snoozes.pop(0)) is not None:
            raise Snooze(wait)

    runtime.registry.add_handler("Later", snooze)
    made = runtime.service.enqueue(job("job", "Later", schedule=schedule))
    runtime.service.run_now(made.id)
    assert "snoozed" not in waiting(shown(made.id))[1]
    runtime.worker.drain(60)
    found = shown(made.id)
    until_when = found.next_run_at.isoformat().replace("+00:00", "Z")
    assert waiting(found) == ("due", f"it was snoozed by its handler until {until_when}")
    runtime.service.run_now(made.id)
    runtime.worker.drain(60)
    assert "snoozed" not in str(waiting(shown(made.id))[1])


def test_a_paused_job_says_so_though_it_is_due(runtime, shown):
    made = runtime.service.enqueue(job("job"))
    runtime.service.pause(made.id)
    assert waiting(shown(made.id)) == ("paused", "it is paused; resume it to let it run")


def test_a_job_whose_handler_this_release_does_not_have_says_so(runtime, make_runtime):
    runtime.registry.add_handler("Newer", lambda_handler, version=3, upcasters={1: dict, 2: dict})
    made = [runtime.service.enqueue(job(name, name)).id for name in ("Noop", "Newer")]
    older = HandlerRegistry()
    older.add_handler("Newer", lambda_handler, version=2, upcasters={1: dict})
    other = make_runtime(older)
    found = other.views.show([other.service.get(each) for each in made])
    assert [each.waiting_for for each in found] == ["handler-missing", "handler-missing"]
    assert "no handler 'Noop'; deploy one that has it" in found[0].waiting_for_detail
    assert "version 3, and Newer of version 2" in found[1].waiting_for_detail


def lambda_handler(args: Anything) -> None: ...


class TestLimits:
    @pytest.fixture(autouse=True)
    def _limited(self, runtime):
        self.release = threading.Event()

        def work(args: Anything) -> None:
            assert self.release.wait(60)

        def of(name, **limits):
            runtime.registry.add_handler(name, work, limits=Limits(**limits))

        of("Two", concurrency=2)
        of("Keyed", concurrency_key=lambda args: args.k, per_key=1)
        of("Rated", rate=Rate(1, per=HOUR))

    @pytest.fixture
    def drain(self, runtime):
        thread = threading.Thread(target=runtime.worker.drain, args=[60])

        def drain(*running):
            thread.start()
            until(lambda: all(runtime.service.get(each).status == "Running" for each in running))

        yield drain
        self.release.set()
        thread.join(60)

    def test_each_limit_that_is_used_up_is_named(self, runtime, shown, drain):
        def add(name, handler, **payload):
            return runtime.service.enqueue(job(name, handler, payload=payload)).id

        running = [add("two-1", "Two"), add("two-2", "Two"), add("a-1", "Keyed", k="a"), add("rated-1", "Rated")]
        drain(*running)
        assert [shown(each).waiting_for for each in running] == [None] * 4
        held = [add("two-3", "Two"), add("a-2", "Keyed", k="a"), add("rated-2", "Rated")]
        jobs = [runtime.service.get(each) for each in held]
        # The app's idea of the database's time may be a moment behind, and the newest of them not due yet.
        until(lambda: runtime.views.show(jobs)[-1].waiting_for != "due")
        assert [waiting(each) for each in runtime.views.show(jobs)] == [
            ("limit", "2 of Two are running, and its concurrency is 2"),
            ("limit", "1 of Keyed with the key 'a' are running, and its per_key is 1"),
            ("rate", "1 of Rated were started in the last PT1H, and its rate is 1"),
        ]

    def test_a_page_of_jobs_asks_the_database_once_however_many_wait(self, runtime, monkeypatch):
        for number in range(5):
            runtime.service.enqueue(job(f"two-{number}", "Two"))
            runtime.service.enqueue(job(f"keyed-{number}", "Keyed", payload={"k": 1}))
        jobs = [runtime.service.get(each.id) for each in _all(runtime)]
        asked, ask = [], runtime.views._runs.limit_usage
        monkeypatch.setattr(runtime.views._runs, "limit_usage", lambda periods: asked.append(periods) or ask(periods))
        assert {each.waiting_for for each in runtime.views.show(jobs)} == {"due"}
        assert [sorted(periods) for periods in asked] == [["Keyed", "Two"]]
        runtime.views.show(jobs, read_usage=False)
        runtime.service.enqueue(job("plain"))
        runtime.views.show([each for each in _all(runtime) if each.handler_name == "Noop"])
        assert len(asked) == 1, "nor at all where no handler has limits"


def _all(runtime):
    return runtime.service.find(JobQuery(limit=100)).jobs


def test_a_due_job_waits_for_the_next_poll_and_for_the_scheduler_only_once_that_is_late(runtime):
    made = runtime.service.get(runtime.service.enqueue(job("job")).id)
    forgotten = made.model_copy(update={"next_run_at": made.next_run_at - timedelta(minutes=1)})
    suspect = made.model_copy(update={"lost_count": 2})
    shown = runtime.views.show([made, forgotten, suspect])
    assert [each.waiting_for for each in shown] == ["due", "scheduler", "scheduler"]
    for each in shown[:2]:
        assert "the next poll by an instance with a free slot takes it up" in each.waiting_for_detail


def test_a_due_job_says_how_its_alarm_stands(runtime, monkeypatch):
    scheduler = MemoryScheduler()
    monkeypatch.setattr(runtime.views, "_scheduler", scheduler)
    fresh = runtime.service.get(runtime.service.enqueue(job("job")).id)
    shown = runtime.views.show_one(fresh.model_copy(update={"updated_at": runtime.clock.now()}))
    assert (shown.waiting_for, "alarm" in shown.waiting_for_detail) == ("due", False)
    assert "starts in a moment" in shown.waiting_for_detail
    found = fresh.model_copy(update={"updated_at": fresh.updated_at - timedelta(seconds=30)})
    assert "its alarm is still to be set" in runtime.views.show_one(found).waiting_for_detail
    armed = found.model_copy(update={"armed_at": found.created_at})
    assert "its alarm is set" in runtime.views.show_one(armed).waiting_for_detail
    suspect = found.model_copy(update={"lost_count": 2})
    assert "once it can run alone" in runtime.views.show_one(suspect).waiting_for_detail


def test_an_ended_job_waits_for_nothing(runtime, shown):
    made = runtime.service.enqueue(job("job"))
    runtime.service.cancel(made.id)
    assert waiting(shown(made.id)) == (None, None)


def test_timeout_and_retry_are_what_holds_where_the_job_says_nothing(make_runtime):
    runtime = make_runtime(default_timeout_seconds=77)
    policy = RetryPolicy(max_retries=5, base=timedelta(seconds=30), cap=HOUR, jitter=False)
    runtime.registry.add_handler("Own", lambda_handler, retry=policy, timeout=timedelta(seconds=9))
    plain, own, told = (
        runtime.views.show_one(runtime.service.get(runtime.service.enqueue(command).id))
        for command in (
            job("plain"),
            job("own", "Own"),
            job("told", "Own", retry=RetryOptions(factor=3), timeout=timedelta(seconds=4), max_retries=1),
        )
    )
    assert [each.timeout.total_seconds() for each in (plain, own, told)] == [77, 9, 4]
    assert [each.max_retries for each in (plain, own, told)] == [3, 5, 1]
    assert own.model_dump(mode="json")["retry"] == {"base": "PT30S", "factor": 2.0, "cap": "PT1H", "jitter": False}
    assert told.model_dump(mode="json")["retry"] == {"base": "PT30S", "factor": 3.0, "cap": "PT1H", "jitter": False}
    assert None not in plain.model_dump(mode="json")["retry"].values()


def test_every_answer_with_a_job_says_it(server):
    with serving_a_new_database(server) as api:
        made = api.later()
        later = ("due", f"it is due at {made['next_run_at']}")
        answers = [
            made,
            api.get(made),
            api.call("GET", "/api/jobs").json()["jobs"][0],
            api.call("PATCH", f"/api/jobs/{made['id']}", json={"metadata": {"a": 1}}).json(),
        ]
        batch = {"jobs": [{"handler_name": "Noop", "job_name": "of a batch", "schedule": "P1D"}]}
        [item] = api.call("POST", "/api/jobs/batch", json=batch).json()["results"]
        assert [(each["waiting_for"], each["waiting_for_detail"]) for each in answers] == [later] * 4
        assert item["job"]["waiting_for"] == "due"
        assert all(each["timeout"] and each["retry"]["base"] for each in [*answers, item["job"]])
        assert api.command(made, "pause").json()["waiting_for"] == "paused"
        assert api.call("DELETE", f"/api/jobs/{made['id']}").json()["waiting_for"] is None
        assert made["follow_ups"] == f"/api/jobs?parent_id={made['id']}"
        assert api.call("GET", made["follow_ups"]).json()["jobs"] == []
        keyed = api.post_job(headers={"idempotency-key": "k"}, schedule="P1D")
        assert keyed.json()["waiting_for"] == "due"


def test_what_is_shown_is_not_what_an_update_compares_with(runtime):
    """Values that hold now are shown, not written: they go on following the handler and the settings."""
    made = runtime.service.enqueue(job("job", schedule="P1D"))
    runtime.views.show_one(runtime.service.get(made.id))
    changed = runtime.service.update(made.id, UpdateJob(metadata={"a": 1}))
    assert (changed.timeout, changed.retry) == (None, None)


def test_the_harness_shows_it_too():
    registry = HandlerRegistry()
    registry.add_handler("Rated", lambda_handler, limits=Limits(rate=Rate(1, per=HOUR)))
    with JobsHarness(registry) as jobs:
        first, second = jobs.enqueue("Rated"), jobs.enqueue("Rated")
        jobs.drain()
        shown = jobs.runtime.views.show([jobs.job(first), jobs.job(second)])
        assert [each.waiting_for for each in shown] == [None, "rate"]
