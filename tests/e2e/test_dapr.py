"""The app under a real Dapr, each part of which is killed in its turn: nothing is lost, nothing counts twice.

Skipped where ``scheduler`` and ``daprd`` are not installed; the reason says how to get them. Figures are printed: -s.
With --soak, what is a matter of time goes on for as long as one would wait for it: ten minutes.
"""

import os
import signal
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from jobs.core.errors import ConfigurationError
from jobs.entrypoints.devhost.dapr import find_dapr, free_ports
from tests.e2e.dapr_system import DaprSystem
from tests.e2e.system import LEASE_SECONDS
from tests.e2e.system_app import DEATH, Work
from tests.sizes import sized
from tests.support import PATIENCE_SECONDS, ROOT, job, most_at_once, until

try:
    find_dapr()
    WHY_NOT = ""
except ConfigurationError as error:
    WHY_NOT = str(error)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]


@pytest.fixture
def system(database_url, database, tmp_path):
    with DaprSystem(database_url, database.engine, tmp_path) as system:
        yield system


def assert_no_two_overlapped(system: DaprSystem) -> None:
    overlaps = "select 1 from seen a join seen b on a.job_id = b.job_id and a.id < b.id and b.began_at < a.ended_at"
    assert system.sql(overlaps) == []


def test_a_job_runs_as_soon_as_it_is_enqueued_and_one_for_later_when_it_is_due(system):
    now = system.enqueue("now")
    later = system.enqueue("later", schedule="PT2S")
    until(lambda: system.completed(2))
    assert {str(row[0]) for row in system.sql("select job_id from seen")} == {now, later}
    system.assert_none_began_early()


def test_a_job_enqueued_in_a_callers_transaction_rings_after_its_commit_and_not_after_a_rollback(
    system, database, make_runtime, registry, monkeypatch
):
    from dapr.conf import settings

    for name, value in system.dapr.environment.items():
        monkeypatch.setattr(settings, name, value, raising=False)

    def run_in_the_other_process(args: Work) -> None: ...

    registry.add_handler("Work", run_in_the_other_process)
    service = make_runtime(scheduler="dapr").service

    with database.engine.connect() as connection:
        kept = service.enqueue(job("kept", "Work"), connection=connection)
        time.sleep(0.5)
        assert system.sql("select * from seen") == [], "it does not exist for anybody yet"
        connection.commit()
        service.enqueue(job("dropped", "Work"), connection=connection)
        connection.rollback()
    until(lambda: system.get(str(kept.id))["status"] == "Completed")
    assert system.statuses() == {"Completed": 1}


def test_alarms_beyond_a_handlers_limit_are_not_in_vain(system):
    system.enqueue_many([f"job {n}" for n in range(30)], 0.05, handler_name="TwoAtOnce")
    until(lambda: system.completed(30))
    assert most_at_once(system.sql("select began_at, ended_at from seen")) == 2
    system.assert_each_completed_once()


@pytest.mark.soak
@pytest.mark.parametrize("seconds", [sized(20, 60)])
def test_a_recurring_job_runs_on_the_beat(system, seconds):
    job_id = system.enqueue("beat", schedule="@every 2s")
    until(lambda: system.get(job_id)["run_count"] >= seconds / 2)
    system.client.delete(f"/api/jobs/{job_id}")
    runs, due = zip(*system.sql("select run, due_at from seen order by id"), strict=True)
    [(late, mean)] = system.sql(
        "select max(extract(epoch from began_at - due_at)), avg(extract(epoch from began_at - due_at)) from seen"
    )
    print(
        f"\n{len(runs)} runs in {seconds} s, late by {float(mean) * 1000:.0f} ms, at most {float(late) * 1000:.0f} ms"
    )
    assert list(runs) == list(range(1, len(runs) + 1))
    assert {later - earlier for earlier, later in pairwise(due)} == {timedelta(seconds=2)}, "no drift"
    system.assert_none_began_early()
    assert_no_two_overlapped(system)


@pytest.mark.parametrize("part", ["daprd", "scheduler", "app"])
def test_a_cron_job_survives_a_restart_while_it_is_due(system, part):
    job_id = system.enqueue("cron", schedule="*/2 * * * * *", misfire={"policy": "run_once"})
    until(lambda: system.get(job_id)["run_count"] >= 1)
    time.sleep(1.5)
    system.restart(part)  # an occurrence falls due meanwhile
    before = system.get(job_id)["run_count"]
    until(lambda: system.get(job_id)["run_count"] >= before + 2)
    system.assert_none_began_early()
    assert_no_two_overlapped(system)


def test_with_each_part_killed_in_turn_under_hundreds_of_jobs_none_is_lost_and_none_completes_twice(system):
    names = [f"job {number}" for number in range(500)]
    began = time.monotonic()
    system.enqueue_many(names[:400], seconds=0.3)
    for part in ("app", "daprd", "scheduler", "app"):
        until(lambda: system.statuses().get("Running"))
        system.restart(part)
    system.enqueue_many(names[400:], seconds=0.1)
    until(lambda: system.completed(500))
    [(executions,)] = system.sql("select count(*) from seen")
    [(lost,)] = system.sql("select count(*) from jobs.job_attempts where outcome = 'Lost'")
    print(f"\n500 completed after {time.monotonic() - began:.1f} s, {executions} executions, {lost} lost with the app")
    assert lost > 0, "the app was killed amid handlers"
    system.assert_each_completed_once()


def test_with_the_scheduler_dead_every_enqueue_is_answered_and_armed_after_its_return(system):
    system.enqueue("first")  # so that the app is connected
    until(lambda: system.completed(1))
    system.dapr.kill("scheduler")

    def enqueue(number: int) -> float:
        began = time.monotonic()
        system.enqueue(f"job {number}", schedule="PT1H")
        return time.monotonic() - began

    with ThreadPoolExecutor(8) as callers:
        list(callers.map(enqueue, range(24)))  # until the breaker is open
        took = sorted(callers.map(enqueue, range(100, 300)))
    print(f"\n200 enqueues without a scheduler: median {took[100] * 1000:.0f} ms, p99 {took[197] * 1000:.0f} ms")
    system.dapr.start("scheduler")
    back = time.monotonic()
    until(lambda: "answers again" in system.log)
    answers = time.monotonic()
    unarmed = "select count(*) from jobs.jobs where status = 'Scheduled' and armed_at is null"
    until(lambda: system.sql(unarmed) == [(0,)])
    print(f"it answered {answers - back:.1f} s after its start; all armed {time.monotonic() - answers:.1f} s later")


def test_what_is_due_while_dapr_is_away_is_run_by_the_reconciler(system):
    system.dapr.kill("daprd")
    ids = [system.enqueue(f"job {number}") for number in range(20)]
    began = time.monotonic()
    until(lambda: system.completed(len(ids)))
    print(f"\n20 jobs run without Dapr after {time.monotonic() - began:.1f} s")


def test_with_the_schedulers_data_wiped_two_hundred_waiting_jobs_run_somewhat_late(system):
    due_at = datetime.now(UTC) + timedelta(seconds=8)
    system.enqueue_many([f"job {number}" for number in range(200)], schedule=due_at.isoformat())
    until(lambda: system.sql("select count(*) from jobs.jobs where armed_at is null") == [(0,)])
    system.dapr.kill("scheduler")
    system.dapr.wipe()
    system.dapr.start("scheduler")
    until(lambda: system.completed(200))
    [(late,)] = system.sql("select max(extract(epoch from began_at - due_at)) from seen")
    print(f"\n200 jobs whose alarms were wiped ran late by at most {late:.1f} s")
    system.assert_each_completed_once()


def test_switching_the_scheduler_on_a_database_full_of_jobs_loses_and_doubles_none(system):
    in_a_moment = (datetime.now(UTC) + timedelta(seconds=6)).isoformat()
    system.enqueue_many([f"a {number}" for number in range(50)], schedule=in_a_moment)
    system.stop_app()
    system.start_app(JOBS_SCHEDULER="timer")
    system.enqueue_many([f"b {number}" for number in range(50)], schedule=in_a_moment)
    system.stop_app()
    system.start_app()
    system.enqueue_many([f"c {number}" for number in range(50)], schedule="PT1S")
    until(lambda: system.completed(150))
    system.assert_each_completed_once()
    assert system.sql("select count(*) from seen") == [(150,)]


def test_an_old_alarm_does_nothing_after_an_update_a_delete_or_during_a_run(system):
    def before_it_is_due(name, change):
        """Enqueue a job that is due soon, and change it before; another one if this machine was too slow for that."""
        for number in range(60):
            waiting = system.enqueue(f"{name} {number}", schedule="PT2S")
            change(f"/api/jobs/{waiting}")
            if not system.get(waiting)["attempt"] and system.get(waiting)["status"] != "Completed":
                return waiting
        raise AssertionError(f"none was {name} in time")

    running = system.enqueue("running", seconds=3, schedule="@every 10m")
    system.client.post(f"/api/jobs/{running}/run")
    until(lambda: system.get(running)["status"] == "Running")
    updated = before_it_is_due("updated", lambda url: system.client.patch(url, json={"schedule": "PT1H"}))
    deleted = before_it_is_due("deleted", system.client.delete)
    system.client.patch(f"/api/jobs/{running}", json={"schedule": "@every 1h"})
    until(lambda: system.get(running)["status"] == "Scheduled")
    after = system.enqueue("after", schedule="PT3S")  # the old alarms have rung by then
    until(lambda: system.get(after)["status"] == "Completed")
    seen = [row[0] for row in system.sql("select cast(job_id as text) from seen")]
    assert (seen.count(running), seen.count(updated), seen.count(deleted)) == (1, 0, 0)
    assert [system.get(each)["status"] for each in (updated, deleted, running)] == [
        "Scheduled",
        "Cancelled",
        "Scheduled",
    ]


def test_forged_callbacks_run_nothing_and_reveal_nothing(system):
    due, later = system.enqueue("due", seconds=1), system.enqueue("later", schedule="PT1H")
    name = f"{uuid.UUID(later).hex}-1"
    right = system.callback_headers
    for headers in ({}, {"dapr-api-token": "wrong"}, {"dapr-api-token": "ü"}):
        sent = {key: value.encode() for key, value in headers.items()}
        answer = system.client.post(f"/job/{name}", headers=sent)
        assert answer.status_code == (401 if all(map(str.isascii, headers.values())) else 400)
        assert later not in answer.text
        assert right["dapr-api-token"] not in answer.text
    stale, unknown = f"{uuid.UUID(later).hex}-7", f"{uuid.uuid4().hex}-1"
    for alarm, outcome in ((name, "not-due"), (stale, "stale"), (unknown, "unknown"), ("x", "unknown")):
        answer = system.client.post(f"/job/{alarm}", headers=right)
        assert (answer.status_code, answer.json()) == (200, {"outcome": outcome})
    with ThreadPoolExecutor(50) as callers:
        alarm = f"{uuid.UUID(due).hex}-1"
        answers = list(callers.map(lambda _: system.client.post(f"/job/{alarm}", headers=right).status_code, range(50)))
    assert set(answers) == {200}
    until(lambda: system.get(due)["status"] == "Completed")
    assert system.sql("select cast(job_id as text) from seen") == [(due,)]
    assert system.get(later)["status"] == "Scheduled"


@pytest.mark.soak
@pytest.mark.parametrize("seconds", [sized(4 * LEASE_SECONDS, 600)])
def test_a_handler_far_longer_than_its_lease_is_neither_redelivered_nor_reaped(system, seconds):
    job_id = system.enqueue("long", seconds=seconds)
    until(lambda: system.get(job_id)["status"] == "Running")
    time.sleep(seconds)
    until(lambda: system.get(job_id)["status"] == "Completed")
    assert system.sql("select run, attempt from seen") == [(1, 1)]
    assert system.sql("select outcome from jobs.job_attempts") == [("Succeeded",)]


def test_the_app_answers_while_more_handlers_are_due_than_it_runs_at_once(system):
    system.enqueue_many([f"job {number}" for number in range(60)], seconds=3.0)
    until(lambda: system.statuses().get("Running"))
    assert system.client.get("/api/health/live").status_code == 200
    assert not system.completed(60), "it answered before the handlers had ended"
    until(lambda: system.completed(60))
    system.assert_each_completed_once()


def test_with_a_wrong_callback_token_jobs_run_late_the_app_says_why_and_no_alarm_rings_for_ever(system):
    system.stop_app()
    system.start_app(JOBS_CALLBACK_TOKENS="another")
    ids = system.enqueue_many([f"job {number}" for number in range(20)])
    until(lambda: system.completed(len(ids)))
    ready = system.client.get("/api/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert "APP_API_TOKEN" in str(ready.json()["reasons"])

    def refused() -> int:
        return int(system.client.get("/api/stats").json()["alarms"]["callbacks_refused"])

    def none_rings_any_more() -> bool:
        before = refused()
        time.sleep(11)  # two of the pauses after which Dapr repeats a callback
        return refused() == before

    assert refused() >= len(ids)
    until(none_rings_any_more)
    assert system.log.count("callbacks refused") <= 3, "not each of them is told"


def test_the_api_answers_while_two_hundred_callbacks_wait_for_their_handlers(system):
    system.enqueue_many([f"job {number}" for number in range(200)], seconds=1.0)
    until(lambda: system.statuses().get("Completed", 0) > 5)
    took = []
    for number in range(10):
        began = time.monotonic()
        system.enqueue(f"between {number}", schedule="PT1H")
        assert system.client.get("/api/health/live").status_code == 200
        took.append(time.monotonic() - began)
    assert system.statuses().get("Completed", 0) < 200, "it did not wait until the callbacks had been answered"
    print(f"\n10 enqueues and probes beside 200 jobs of a second: at most {max(took) * 1000:.0f} ms")
    system.sql("delete from jobs.jobs where schedule = 'PT1H'")
    until(lambda: system.completed(200))


@pytest.mark.soak
@pytest.mark.parametrize("count", [sized(700, 10_000)])
def test_after_the_scheduler_has_lost_its_data_every_overdue_job_runs_soon_however_many_they_are(system, count):
    """With one page a sweep, those beyond the first 500 had to wait for another reconciliation, and so on."""
    system.dapr.kill("daprd")
    for first in range(0, count, 400):
        system.enqueue_many([f"job {number}" for number in range(first, min(first + 400, count))], schedule="PT30S")
    system.sql("update jobs.jobs set armed_at = now()")  # as if the scheduler had taken them, and lost them since
    system.dapr.start("daprd")
    until(lambda: "answers again" in system.log)
    system.sql("update jobs.jobs set next_run_at = now() - interval '1 minute', armed_at = now()")
    began = time.monotonic()
    while (before := system.statuses().get("Completed", 0)) < count:
        until(lambda before=before: system.statuses().get("Completed", 0) > before)
    print(f"\n{count} overdue jobs ran within {time.monotonic() - began:.1f} s")
    system.assert_each_completed_once()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP], ids=["kill -9", "a closed terminal"])
def test_make_run_with_dapr_starts_again_after(number, database_url, tmp_path):
    def started() -> subprocess.Popen[bytes]:
        [port] = free_ports(1)
        command = [sys.executable, "-m", "jobs", "dev", "--scheduler", "dapr", "--host", "builtin"]
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                [*command, "--port", str(port), "--data", str(tmp_path / "data")],
                cwd=ROOT, env=os.environ | {"JOBS_DATABASE_URL": database_url, "JOBS_DATABASE_TLS": "false"},
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        until(lambda: process.poll() is not None or "Jobs are served at" in (tmp_path / "log").read_text())
        assert process.poll() is None, (tmp_path / "log").read_text()
        return process

    def beside() -> list[str]:
        listed = subprocess.run(["ps", "-ww", "-eo", "command="], capture_output=True, text=True, check=True)
        return [line for line in listed.stdout.splitlines() if str(tmp_path / "data" / "dapr") in line]

    first = started()
    try:
        assert beside()
    finally:
        first.send_signal(number)
        first.wait(PATIENCE_SECONDS)
    again = started()
    again.terminate()
    again.wait(PATIENCE_SECONDS)
    until(lambda: beside() == [])


def test_a_poison_job_is_failed_at_its_third_loss_and_its_neighbours_complete(system):
    """Its alarm rings for a run alone; each death counts, since the Functions host gives up after three."""
    deaths: list[int] = []

    def failed() -> bool:
        status = system.revive_app()
        if status is not None:
            deaths.append(status)
        return system.statuses().get("Failed") == 1

    innocent = system.enqueue_many([f"innocent {n}" for n in range(20)], 0.3)
    poison = system.enqueue("poison", 1.0, handler_name="Poison", max_retries=0)
    until(failed)
    assert deaths == [DEATH] * 3
    until(lambda: system.statuses() == {"Completed": len(innocent), "Failed": 1})
    after = system.get(poison)
    assert (after["status"], after["lost_count"], after["run_count"]) == ("Failed", 3, 1)
    assert "at last while nothing else started beside it" in after["last_error"]
