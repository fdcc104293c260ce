"""What is wrong now is what the overview says first."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from jobs.adapters.postgres.connection.database import Database
from jobs.bootstrap.database import database_options
from jobs.entrypoints.http.dashboard import troubles as module
from jobs.settings import Settings
from tests.integration.entrypoints.http.dashboard.elements import elements
from tests.integration.entrypoints.http.dashboard.test_views import view
from tests.integration.entrypoints.http.test_http_api import serving_a_new_database

TWICE_A_YEAR = "0,30 59 23 31 12 *"
"""A timer that ticks in no test, and whose ticks are half a minute apart."""


@pytest.fixture
def api(server):
    with serving_a_new_database(server, callback_tokens="t", reconcile_schedule=TWICE_A_YEAR) as api:
        yield api


@pytest.fixture
def sql(api):
    database = Database(database_options(Settings(database_url=api.url)))

    def run(text, **values):
        with database.engine.begin() as connection:
            connection.execute(sa.text(text), values)

    yield run
    database.close()


def told(api):
    """The troubles that the overview shows, by title, with their links."""
    html = view(api)
    items = [each for each in elements(html, "li") if "trouble" in each.attributes.get("class", "").split()]
    return {elements_in(item) for item in items} if items else set()


def elements_in(item):
    return item.text


def one(api, start):
    everything = told(api)
    [found] = [each for each in everything if each.startswith(start)] or [everything]
    return found


def test_a_new_app_has_no_trouble(api):
    assert told(api) == set()
    assert "Nothing is wrong now." in view(api)


def test_jobs_that_are_late(api, sql):
    job = api.later()
    sql("update jobs.jobs set next_run_at = now() - interval '2 hours' where id = :id", id=job["id"])
    assert "1 are due and do not run yet" in one(api, "Jobs are late, by up to 2 h")
    assert any(each.attributes["href"] == "jobs?q=overdue:true" for each in elements(view(api), "a"))


def test_attempts_that_fail_and_workers_that_are_lost(api, sql):
    job = api.enqueue(handler_name="Fail")
    api.run(job)
    assert "100 % of those that ended" in one(api, "1 failed attempt in the last 5 minutes")
    sql("update jobs.job_attempts set outcome = 'Lost' where job_id = :id", id=job["id"])
    assert one(api, "1 lost worker in the last 5 minutes")


def test_jobs_of_a_handler_that_this_release_lacks(api, sql):
    job = api.later()
    sql("update jobs.jobs set handler_name = 'Re named/1' where id = :id", id=job["id"])
    assert "1 job of it cannot run" in one(api, "No handler Re named/1")


def test_a_scheduler_that_takes_no_alarms(api, monkeypatch):
    monkeypatch.setattr(type(api.runtime.alarms), "unavailable_reason", "it has fallen over")
    assert "it has fallen over" in one(api, "The scheduler timer takes no alarms")


def test_callbacks_with_a_wrong_token(api):
    api.call("POST", "/job/" + "0" * 32 + "-1", headers={"dapr-api-token": "wrong"}, json={})
    assert "APP_API_TOKEN" in one(api, "The scheduler's callbacks are refused")


def test_a_reconciliation_that_has_stopped_ticking(api, sql, monkeypatch):
    monkeypatch.setattr(module, "_BEGAN", float("-inf"))
    assert one(api, "The reconciliation has not run yet")
    sql(
        "insert into jobs.job_series (step, at, handler_name, started, succeeded, failed, late) "
        "values ('minute', date_trunc('minute', now()) - interval '20 minutes', '', 0, 0, 0, 0)"
    )
    assert one(api, "No reconciliation for 20 min")
    api.runtime.reconciler.run()
    assert told(api) == set()


def test_threads_that_handlers_keep(api, monkeypatch):
    monkeypatch.setattr(type(api.runtime.pool.abandoned), "__len__", lambda _: 2)
    assert one(api, "2 threads abandoned in this instance")
