"""The app on a real storage queue, under a host that serves it as the Functions host does: nothing lost, nothing twice.

Skipped where Azurite is not installed; the reason says how to get it. Figures are printed: -s.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from jobs.core.errors import ConfigurationError
from jobs.entrypoints.devhost.azurite import find_azurite
from jobs.entrypoints.devhost.dapr import LocalDapr, find_dapr
from tests.e2e.queue_system import QueueSystem
from tests.sizes import sized
from tests.support import most_at_once, until
from tests.way import Way

try:
    find_azurite()
    WHY_NOT = ""
except ConfigurationError as error:
    WHY_NOT = str(error)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]


@pytest.fixture
def system(database_url, database, tmp_path):
    with QueueSystem(database_url, database.engine, tmp_path) as system:
        yield system


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_a_job_runs_as_soon_as_it_is_enqueued_and_one_for_later_when_it_is_due(system):
    now = system.enqueue("now")
    later = system.enqueue("later", schedule="PT2S")
    until(lambda: system.completed(2))
    assert {str(row[0]) for row in system.sql("select job_id from seen")} == {now, later}
    system.assert_none_began_early()
    until(lambda: system.queue.count() == 0)


def test_a_recurring_job_runs_at_each_of_its_times(system):
    job_id = system.enqueue("beat", schedule="@every 2s")
    until(lambda: system.get(job_id)["run_count"] >= 4)
    system.client.delete(f"/api/jobs/{job_id}")
    assert [row[0] for row in system.sql("select run from seen order by id limit 4")] == [1, 2, 3, 4]
    system.assert_none_began_early()


def test_duplicate_and_reordered_messages_lead_to_one_run_each(system):
    system.stop_app()
    system.start_app(JOBS_SCHEDULER="timer", JOBS_POLL_SCHEDULE="0 0 0 29 2 *")  # polls on leap days only
    system.enqueue_many([f"job {number}" for number in range(30)], seconds=0.05)
    system.queue.create()
    system.put_alarms(times=10)
    system.stop_app()
    system.start_app()
    until(lambda: system.completed(30))
    until(lambda: system.queue.count() == 0)
    assert system.sql("select count(*) from seen") == [(30,)]
    assert system.poisoned() == 0


def test_with_the_queue_wiped_two_hundred_waiting_jobs_run_somewhat_late(system):
    system.enqueue_many([f"job {number}" for number in range(200)], schedule=in_seconds(8))
    until(lambda: system.sql("select count(*) from jobs.jobs where armed_at is null") == [(0,)])
    system.azurite.kill()
    system.azurite.wipe()
    system.azurite.start()
    until(lambda: system.completed(200))
    [(late,)] = system.sql("select max(extract(epoch from began_at - due_at)) from seen")
    print(f"\n200 jobs whose messages were wiped ran late by at most {late:.1f} s")
    system.assert_each_completed_once()


def test_with_app_and_azurite_killed_in_turn_under_hundreds_of_jobs_none_is_lost_and_none_completes_twice(system):
    began = time.monotonic()
    for number, restart in enumerate([system.restart_azurite, system.restart_app, system.restart_azurite]):
        system.enqueue_many([f"{number} {each}" for each in range(166)], seconds=0.3)
        until(lambda: system.statuses().get("Running"))
        restart()
    system.enqueue_many(["a", "b"])
    until(lambda: system.completed(500))
    [(lost,)] = system.sql("select count(*) from jobs.job_attempts where outcome = 'Lost'")
    print(f"\n500 completed after {time.monotonic() - began:.1f} s, {lost} lost with the app")
    assert lost > 0, "the app was killed amid handlers"
    system.assert_each_completed_once()


def test_what_is_due_while_the_queue_is_away_is_run_by_the_reconciler(system):
    system.azurite.kill()
    ids = [system.enqueue(f"job {number}") for number in range(20)]
    until(lambda: system.completed(len(ids)))
    assert not system.client.get("/api/stats").json()["alarms"]["available"]
    system.azurite.start()
    until(lambda: system.client.get("/api/stats").json()["alarms"]["available"])


def test_while_the_database_is_away_no_message_is_given_up_and_each_runs_after_its_return(
    server, database_url, database, tmp_path
):
    way = Way(server, database_url)
    with QueueSystem(way.url, database.engine, tmp_path) as system:
        system.enqueue_many([f"job {number}" for number in range(20)], schedule="PT5S")
        way.close()
        try:
            until(lambda: "the database is away" in system.log)
            time.sleep(9)  # in which the messages appear, and the host would have given them up long since
            assert system.queue.count() >= 20
            assert system.poisoned() == 0
            assert "wake failed" not in system.log
        finally:
            way.open()
            database.engine.dispose()  # the test's own connections were cut as well
        until(lambda: system.completed(20))
        system.assert_each_completed_once()


def test_an_app_that_is_not_configured_leaves_its_messages_to_the_hosts_spaced_tries(system):
    system.stop_app()
    system.queue.create()
    system.sql("alter schema jobs rename to hidden")
    try:
        system.start_app(expected_status=503)
        system.queue.put(f"{'0' * 31}1-1")
        until(lambda: "wake failed, at try 1" in system.log)
        time.sleep(3)  # in which the host would give it up if its tries were not spaced
        assert system.queue.count() == 1
        assert system.poisoned() == 0
    finally:
        system.sql("alter schema hidden rename to jobs")


def test_alarms_beyond_a_handlers_limit_are_not_in_vain(system):
    system.enqueue_many([f"job {number}" for number in range(30)], 0.05, handler_name="TwoAtOnce")
    until(lambda: system.completed(30))
    assert most_at_once(system.sql("select began_at, ended_at from seen")) == 2
    system.assert_each_completed_once()


def test_a_burst_of_tiny_jobs_is_run_by_a_few_messages(system):
    count = sized(2_000, 10_000)
    for first in range(0, count, 500):
        system.enqueue_many([f"job {number}" for number in range(first, first + 500)], schedule=in_seconds(15))
    until(lambda: system.completed(count))
    [(seconds,)] = system.sql("select extract(epoch from max(ended_at) - min(began_at)) from seen")
    print(f"\n{count} jobs due at one second ran within {seconds:.1f} s, {system.queue.count()} messages left")
    system.assert_none_began_early()
    system.assert_each_completed_once()


def test_several_instances_share_the_jobs_and_run_each_once(system):
    system.start_more(2)
    system.enqueue_many([f"job {number}" for number in range(96)], seconds=0.5)
    until(lambda: system.completed(96))
    shares = [count for (count,) in system.sql("select count(*) from seen group by process")]
    print(f"\n96 jobs on three instances: {sorted(shares)}")
    assert len(shares) > 1
    system.assert_each_completed_once()


def test_the_timer_scheduler_shares_the_jobs_with_instances_that_it_asks_for_help(system):
    scale_out = {
        "JOBS_SCHEDULER": "timer",
        "JOBS_SCALE_OUT": "true",
        "JOBS_POLL_BUDGET_SECONDS": "20",
        "AzureFunctionsJobHost__extensions__queues__newBatchThreshold": "0",
    }
    system.stop_app()
    system.start_app(**scale_out)
    system.start_more(2, **scale_out, JOBS_POLL_SCHEDULE="0 0 0 29 2 *")  # the timer runs on one instance at a time
    system.enqueue_many([f"job {number}" for number in range(200)], seconds=0.5)
    until(lambda: system.completed(200))
    shares = [count for (count,) in system.sql("select count(*) from seen group by process")]
    print(f"\n200 jobs on three instances: {sorted(shares)}")
    assert len(shares) > 1
    system.assert_each_completed_once()


def test_an_alarm_far_ahead_is_no_message_until_it_is_near(system):
    system.queue.create()
    system.enqueue_many([f"job {number}" for number in range(300)], schedule="P30D")
    time.sleep(5)  # two reconciliations
    assert system.queue.count() == 0
    assert system.sql("select count(*) from jobs.jobs where armed_at is not null") == [(0,)]
    system.sql("update jobs.jobs set next_run_at = now() + interval '9 minutes 50 seconds'")
    until(lambda: system.sql("select count(*) from jobs.jobs where armed_at is null") == [(0,)])
    assert system.queue.count() == 300


def test_switching_the_scheduler_on_a_database_full_of_jobs_loses_and_doubles_none(system, tmp_path):
    try:
        find_dapr()
        with LocalDapr(tmp_path / "dapr", system.port) as dapr:
            switched(system, {"dapr": dapr.environment})
    except ConfigurationError:
        switched(system, {})


def switched(system: QueueSystem, others: dict[str, dict[str, str]]) -> None:
    schedulers = {"timer": {}, "queue": {}, **others, "timer again": {"JOBS_SCHEDULER": "timer"}}
    in_a_moment = in_seconds(10)
    for name, settings in schedulers.items():
        system.stop_app()
        system.start_app(**({"JOBS_SCHEDULER": name} | settings))
        system.enqueue_many([f"{name} {number}" for number in range(50)], schedule=in_a_moment)
    count = 50 * len(schedulers)
    until(lambda: system.completed(count))
    system.assert_each_completed_once()
    assert system.sql("select count(*) from seen") == [(count,)]


def test_what_a_killed_worker_ran_starts_again_although_its_message_stays_hidden(system):
    job_id = system.enqueue("long", seconds=3)
    until(lambda: system.get(job_id)["status"] == "Running")
    system.restart_app()
    until(lambda: system.completed(1))
    assert [row[0] for row in system.sql("select outcome from jobs.job_attempts order by started_at")] == [
        "Lost",
        "Succeeded",
    ]
