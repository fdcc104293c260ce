"""Every instance looks for lost runs, whoever holds the timers; one that was closed makes no new start."""

from datetime import timedelta

import pytest

from jobs.bootstrap import build_runtime
from jobs.bootstrap.lazy_runtime import LazyRuntime
from jobs.core.errors import StoreUnavailable, Unavailable
from jobs.settings import Settings
from tests.support import job, until


@pytest.fixture
def instance(database_url, registry):
    """An instance of the app that serves the API and polls nothing."""
    settings = Settings(database_url=database_url, lease_seconds=1, shutdown_grace_seconds=0)
    instance = LazyRuntime(lambda: build_runtime(settings, registry))
    yield instance
    instance.close()


def outcomes(runtime, job_id) -> list[str]:
    return [str(attempt.outcome) for attempt in runtime.service.attempts(job_id)]


def lose(runtime) -> None:
    [_] = runtime.runs.claim_due(1, worker="dead/1", lease=timedelta())


def test_an_instance_that_polls_nothing_takes_back_the_runs_of_lost_workers(instance, make_runtime):
    runtime = make_runtime()
    job_id = runtime.service.enqueue(job("lost", "Noop")).id
    instance()
    lose(runtime)
    until(lambda: outcomes(runtime, job_id) == ["Lost"])


def test_an_instance_that_was_closed_makes_no_new_start(instance):
    instance()
    instance.close()
    with pytest.raises(Unavailable):
        instance()


def test_after_an_outage_of_the_database_nothing_is_taken_back_before_heartbeats_had_their_chance(
    make_runtime, monkeypatch
):
    runtime = make_runtime(lease_seconds=2)
    job_id = runtime.service.enqueue(job("lost", "Noop")).id
    lose(runtime)

    def away(*_, **__):
        raise StoreUnavailable("the database cannot be reached")

    with monkeypatch.context() as patch:
        patch.setattr(runtime.housekeeping, "reap", away)
        assert "reap" in runtime.reconciler.run().failures
    assert runtime.reconciler.run().reaped == 0
    assert outcomes(runtime, job_id) == []
    until(lambda: runtime.reconciler.run().reaped)
    assert outcomes(runtime, job_id) == ["Lost"]
