"""Rows written by hand: refused where it could never be read, else shown, or failed, in words."""

from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
import sqlalchemy as sa
from alembic import command

from jobs.adapters.postgres.connection.database import Database
from jobs.adapters.postgres.schema import migrate
from jobs.bootstrap.database import database_options
from jobs.settings import Settings
from tests.integration.adapters.postgres.test_migrations import empty, empty_url  # noqa: F401  fixtures
from tests.integration.entrypoints.http.test_http_api import serving_a_new_database

INSTANTS = [
    "next_run_at", "scheduled_for", "anchor", "armed_at", "started_at", "last_run_at", "cancel_requested_at",
    "created_at", "updated_at",
]  # fmt: skip
UNREADABLE = [
    *(f"{column} = 'infinity'" for column in INSTANTS),
    "next_run_at = '-infinity'",
    "next_run_at = '10000-01-01 00:00:00+00'",
    "anchor = '0001-01-01 00:00:00+00 BC'",
    "timeout = '-5 seconds'",
    "timeout = '0'",
    "timeout = '367 days'",
    "progress = 'NaN'",
    "progress = 7",
    "options = '[]'",
    "options = '5'",
    "options = 'null'",
]
UNKNOWN_TEXTS = [
    ("schedule", "'every other day'"),
    ("schedule", "''"),
    ("timezone", "'Mars/Phobos'"),
    ("options", """'{"misfire": {"policy": "hope"}}'"""),
    ("options", """'{"dst": 7, "jitter": "long"}'"""),
    ("options", """'{"start_at": "infinity"}'"""),
    ("options", """'{"id": 1, "status": "Odd"}'"""),
    ("retry", "'7'"),
    ("retry", """'{"base": "soon"}'"""),
]


@pytest.fixture(scope="module")
def api(server):
    with serving_a_new_database(server) as api:
        yield api


@pytest.fixture(scope="module")
def by_hand(api) -> Iterator[Callable[[str, str], None]]:
    """Run SQL as somebody with psql would."""
    database = Database(database_options(Settings(database_url=api.url, database_tls=False)))

    def run(text: str, job_id: str) -> None:
        with database.engine.begin() as connection:
            connection.exec_driver_sql("set local time zone 'Asia/Tokyo'")
            connection.exec_driver_sql(text, (job_id,))

    yield run
    database.close()


@pytest.mark.parametrize("change", UNREADABLE)
def test_what_could_never_be_read_is_refused_by_the_table(api, by_hand, change):
    job = api.later()
    with pytest.raises(sa.exc.DBAPIError, match="can_be_read"):
        by_hand(f"update jobs.jobs set {change} where id = %s", job["id"])
    assert api.get(job) == job


def test_a_refusal_says_the_rule_in_words_and_names_the_job(api, by_hand):
    job = api.later()
    with pytest.raises(sa.exc.DBAPIError) as refused:
        by_hand("update jobs.jobs set timeout = '-5 seconds' where id = %s", job["id"])
    [reported] = refused.value.orig.args
    assert reported["D"].startswith(f"Job {job['id']}: timeout must be positive and at most 366 days")
    assert {name: reported[name] for name in "Cstn"} == {
        "C": "23514",
        "s": "jobs",
        "t": "jobs",
        "n": "jobs_values_can_be_read",
    }


@pytest.mark.parametrize(
    "change",
    ["finished_at = 'infinity'", "scheduled_for = '-infinity'", "started_at = '20000-01-01'", "outcome = 'Odd'"],
)
def test_so_is_an_attempt_that_could_never_be_read(api, by_hand, change):
    job = api.run(api.enqueue())
    with pytest.raises(sa.exc.DBAPIError, match=r"can_be_read|outcome_is_known"):
        by_hand(f"update jobs.job_attempts set {change} where job_id = %s", job["id"])


@pytest.mark.parametrize("recurring", [True, False])
@pytest.mark.parametrize(("column", "value"), UNKNOWN_TEXTS)
def test_what_the_table_cannot_refuse_is_shown_all_the_same(api, by_hand, column, value, recurring):
    job = api.enqueue(schedule="@daily" if recurring else "P1D")
    by_hand(f"update jobs.jobs set {column} = {value} where id = %s", job["id"])
    shown = api.get(job)
    assert (shown["id"], shown["status"]) == (job["id"], "Scheduled")
    listed = api.call("GET", "/api/jobs", params={"job_name": job["job_name"]})
    assert [each["id"] for each in listed.json()["jobs"]] == [job["id"]]
    for verb in ("pause", "resume", "run-now"):
        answer = api.command(job, verb)
        assert answer.status_code < 500, (verb, answer.text)
    assert api.call("PATCH", f"/api/jobs/{job['id']}", json={"metadata": {"a": "b"}}).status_code < 500
    assert not api.runtime.reconciler.run().failures


@pytest.mark.parametrize(("column", "value"), UNKNOWN_TEXTS[:6])
def test_a_recurring_job_whose_schedule_cannot_be_read_is_failed_with_a_sentence(api, by_hand, column, value):
    job = api.enqueue(schedule="@daily")
    by_hand(f"update jobs.jobs set {column} = {value}, next_run_at = now() where id = %s", job["id"])
    neighbour = api.enqueue()
    api.runtime.worker.drain(30)
    failed = api.get(job)
    assert failed["status"] == "Failed"
    assert failed["last_error"].startswith("the job's row cannot be used: ")
    assert api.get(neighbour)["status"] == "Completed"
    assert api.runtime.service.attempts(UUID(job["id"]))[0].outcome == "Failed"


def test_the_migration_brings_rows_of_before_into_what_can_be_read(empty: Database):  # noqa: F811
    with empty.engine.begin() as connection:
        migrate.upgrade(empty.engine, "jobs")
        command.downgrade(migrate._config(connection, "jobs"), "0002")
        connection.exec_driver_sql(
            "insert into jobs.jobs (id, handler_name, job_name, schedule, timezone, recurring, payload, anchor, "
            "max_retries, status, next_run_at, timeout, options) values (gen_random_uuid(), 'Noop', 'odd', '@once', "
            "'UTC', false, '{}', '-infinity', 0, 'Scheduled', 'infinity', '-5 seconds', '[]')"
        )
        connection.exec_driver_sql(
            "insert into jobs.job_attempts (job_id, token, run, attempt, started_at, finished_at, outcome) "
            "select id, gen_random_uuid(), 1, 1, now(), 'infinity', 'Odd' from jobs.jobs"
        )
    migrate.upgrade(empty.engine, "jobs")
    with empty.engine.begin() as connection:
        job = connection.exec_driver_sql(
            "select next_run_at::text, anchor::text, timeout, options, scheduled_for from jobs.jobs"
        ).one()
        attempt = connection.exec_driver_sql("select outcome, error from jobs.job_attempts").one()
    assert tuple(job) == ("9999-12-31 23:59:59+00", "0001-01-01 00:00:00+00", None, None, None)
    assert tuple(attempt) == ("Failed", "its outcome was written by hand as 'Odd'")
