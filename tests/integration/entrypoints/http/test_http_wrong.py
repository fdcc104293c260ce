"""What is wrong now: each kind of trouble is in the statistics with the next call after it is caused."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta

import pytest
import sqlalchemy as sa

from jobs.adapters.postgres.connection.database import Database
from jobs.core.ports.scheduler import Backlog
from jobs.core.ports.workers import WorkerState
from tests.integration.entrypoints.http.test_http_api import serving_a_new_database
from tests.support import options_for


@pytest.fixture(scope="module")
def api(server):
    with serving_a_new_database(server, callback_tokens="right") as api:
        api.runtime.inspection._reconcile_gap = lambda: timedelta(minutes=1)  # that of a test is years
        yield api


@pytest.fixture(scope="module")
def sql(api):
    database = Database(options_for(api.url))

    def run(text):
        with database.engine.begin() as connection:
            connection.execute(sa.text(text))

    yield run
    database.close()


@pytest.fixture(autouse=True)
def _nothing_is_wrong(sql):
    sql("truncate jobs.jobs, jobs.job_attempts, jobs.job_series, jobs.job_workers, jobs.app_versions")


def wrong(api):
    return {each["kind"]: (each["count"], each["detail"]) for each in api.call("GET", "/api/stats").json()["wrong"]}


@contextmanager
def caused(api, kind):
    """The kind of trouble is there once the block has caused it, and was not before."""
    assert kind not in wrong(api)
    yield
    assert kind in wrong(api)


def worker(api, **fields):
    identity = api.runtime.presence._identity
    known = {
        "name": "other/1", "app_version": "1", "lease": identity.lease, "concurrency": 4, "running": 0, "abandoned": 0,
        "draining": False, "scheduler": "timer", "scheduler_fault": None,
    }  # fmt: skip
    api.runtime.workers.report(WorkerState(**known | fields))


def test_where_nothing_is_wrong_nothing_is_said(api):
    api.run(api.enqueue())
    api.later()
    api.runtime.reconciler.run()
    worker(api)
    stats = api.call("GET", "/api/stats").json()
    assert stats["wrong"] == []
    assert stats["workers"] == {"live": 1, "draining": 0, "lost": 0, "abandoned_threads": 0}
    assert stats["reconciled_at"] is not None


def test_a_late_job(api, sql):
    with caused(api, "late"):
        api.enqueue()
        assert "late" not in wrong(api)
        sql("update jobs.jobs set next_run_at = now() - interval '90 seconds'")
    assert "0:01:3" in wrong(api)["late"][1]


def test_a_throttled_job_is_not_late(api, sql):
    api.enqueue()
    sql("update jobs.jobs set next_run_at = now() - interval '90 seconds', limited = true")
    assert "late" not in wrong(api)


def test_a_failing_handler(api):
    with caused(api, "failing"):
        api.run(api.enqueue(handler_name="Fail"))
        api.run(api.enqueue())
    assert wrong(api)["failing"] == (1, "1 of 2 attempts failed within the last five minutes; see the failures")


def test_a_lost_worker(api, sql):
    with caused(api, "lost-workers"):
        worker(api, name="gone/7")
        sql("update jobs.job_workers set seen_at = now() - interval '5 minutes'")
    count, detail = wrong(api)["lost-workers"]
    assert count == 1
    assert detail.endswith(": gone/7")
    api.runtime.workers.leave("gone/7")
    assert "lost-workers" not in wrong(api)


def test_abandoned_threads_of_any_worker(api):
    with caused(api, "abandoned-threads"):
        worker(api, abandoned=2)
    assert wrong(api)["abandoned-threads"][0] == 2


def test_a_scheduler_that_takes_no_alarms_of_any_worker(api):
    with caused(api, "scheduler-away"):
        worker(api, scheduler="dapr", scheduler_fault="the sidecar is away")
    assert wrong(api)["scheduler-away"][1].endswith("the sidecar is away")


def test_poison_messages(api, monkeypatch):
    with caused(api, "poison-messages"):
        monkeypatch.setattr(type(api.runtime.alarms), "recent_backlog", lambda _: Backlog(0, 3, None))
    assert wrong(api)["poison-messages"][0] == 3


def test_a_reconciliation_that_does_not_tick(api, sql):
    api.runtime.reconciler.run()
    with caused(api, "reconcile-silent"):
        sql("delete from jobs.job_series where at > now() - interval '20 minutes'")
    assert "last at" in wrong(api)["reconcile-silent"][1]


def test_a_reconciliation_that_never_ticked(api, sql):
    with caused(api, "reconcile-silent"):
        worker(api)
        sql("update jobs.job_workers set started_at = now() - interval '20 minutes'")
    assert "never" in wrong(api)["reconcile-silent"][1]


def test_a_handler_that_this_release_lacks(api, sql):
    with caused(api, "handler-missing"):
        api.later()
        sql("update jobs.jobs set handler_name = 'Renamed'")
    assert wrong(api)["handler-missing"][1].endswith("lacks: Renamed")


def test_callbacks_that_are_refused(api):
    with caused(api, "callbacks-refused"):
        api.call("POST", f"/job/{'0' * 32}-1", headers={"dapr-api-token": "wrong"})
    assert wrong(api)["callbacks-refused"][0] == 1


def test_the_most_urgent_comes_first(api, sql):
    api.run(api.enqueue(handler_name="Fail"))
    worker(api, abandoned=1)
    sql("update jobs.job_workers set started_at = now() - interval '20 minutes'")
    assert list(wrong(api))[:3] == ["reconcile-silent", "abandoned-threads", "failing"]
