"""What is wrong now is what the overview says first; failures are grouped, and workers and deployments are known."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from jobs.adapters.postgres.connection.database import Database
from jobs.app.upkeep.condition import TroubleKind
from jobs.bootstrap.database import database_options
from jobs.core.ports.workers import WorkerState
from jobs.entrypoints.http.dashboard import troubles
from jobs.settings import Settings
from tests.integration.entrypoints.http.dashboard.elements import elements, text_of
from tests.integration.entrypoints.http.dashboard.test_views import view
from tests.integration.entrypoints.http.test_http_api import serving_a_new_database
from tests.support import until


@pytest.fixture
def api(server):
    with serving_a_new_database(server, callback_tokens="t") as api:
        api.runtime.inspection._reconcile_gap = lambda: timedelta(minutes=1)  # that of a test is years
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
    """The troubles that the overview shows, in its order."""
    items = elements(view(api), "li")
    return [each.text for each in items if "trouble" in each.attributes.get("class", "").split()]


def worker(api, **fields):
    """Report a worker, this one or another."""
    known = WorkerState("there/1", "1.2.3", timedelta(seconds=15), 4, 0, 0, False, "timer", None)
    api.runtime.workers.report(known._replace(**fields), {"Noop": 1})


def test_a_new_app_has_no_trouble(api):
    assert told(api) == []
    assert "Nothing is wrong now." in view(api)


def test_every_kind_of_trouble_has_words_of_its_own():
    assert {*troubles._WORDS} == {*TroubleKind}


def test_jobs_that_are_late_with_the_search_that_finds_them(api, sql):
    job = api.later()
    sql("update jobs.jobs set next_run_at = now() - interval '2 hours' where id = :id", id=job["id"])
    [found] = told(api)
    assert found.startswith("Jobs are late a job is due for 2:00")
    assert any(each.attributes["href"] == "jobs?q=overdue:true" for each in elements(view(api), "a"))


def test_attempts_that_fail(api):
    api.run(api.enqueue(handler_name="Fail"))
    [found] = told(api)
    assert found.startswith("Attempts fail 1 of 1 attempt failed")
    assert any(each.attributes["href"] == "failures" for each in elements(view(api), "a"))


def test_the_severe_come_first(api, sql):
    for _ in range(2):
        api.run(api.enqueue())
    api.run(api.enqueue(handler_name="Fail"))
    job = api.later()
    sql("update jobs.jobs set handler_name = 'Re named/1' where id = :id", id=job["id"])
    first, second = told(api)
    assert first.startswith("A handler is missing 1 job waits for a handler that this release lacks: Re named/1")
    assert second.startswith("Attempts fail")


def test_a_worker_that_is_lost(api, sql):
    worker(api)
    sql("update jobs.job_workers set seen_at = now() - interval '5 minutes' where name = 'there/1'")
    assert any(each.startswith("Workers are lost 1 worker went silent") for each in told(api))
    assert "Lost" in [each.text for each in elements(view(api, "workers"), "span")]


def test_callbacks_with_a_wrong_token(api):
    api.call("POST", "/job/" + "0" * 32 + "-1", headers={"dapr-api-token": "wrong"}, json={})
    assert any("APP_API_TOKEN" in each for each in told(api))


def test_deployments_are_marked_on_the_charts(api):
    worker(api)
    until(lambda: api.runtime.reconciler.run() and api.runtime.series.last_counted())
    assert any("deployment of 1.2.3" in each.text for each in elements(view(api), "title"))


def test_workers_show_what_they_hold(api):
    worker(api, name="<b>/1", abandoned=2, scheduler_fault="<i>away")
    html = text_of(view(api, "workers"))
    for each in ("<b>/1", "1.2.3", "2 threads kept past their timeout", "<i>away", "0/4"):
        assert each in html


def test_many_failures_of_few_causes_are_few_rows_each_with_its_jobs(api):
    for number in range(5):
        api.run(api.enqueue(handler_name="Fail", job_name=f"fails {number}"))
    html = view(api, "failures")
    [heading] = [each.text for each in elements(html, "h2")]
    assert heading == "LookupError"
    assert "5 times" in text_of(html)
    assert "the address is unknown" in text_of(html)
    [link] = [each.attributes["href"] for each in elements(html, "a") if "failure:" in each.attributes["href"]]
    assert text_of(view(api, link)).count("fails ") == 5
    [button] = [each.attributes for each in elements(html, "button")]
    assert button["data-every"] == "retry"
    assert '"failure":["' in button["data-filter"]


def test_handlers_show_how_they_fared(api):
    api.run(api.enqueue())
    api.run(api.enqueue(handler_name="Fail"))
    until(lambda: api.runtime.reconciler.run() and api.runtime.series.last_counted())
    html = text_of(view(api, "handlers"))
    assert "Succeeded100.0 %" in html
    assert "Succeeded0.0 %" in html
