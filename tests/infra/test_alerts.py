"""Alerts ask for what the app really logs: their queries are run over the lines of a real reconciliation."""

from __future__ import annotations

import json
import logging
import operator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs.app.runtime import Runtime
from jobs.core.errors import StoreUnavailable
from jobs.core.lifecycle.retry import RetryPolicy
from jobs.entrypoints.devhost.host.host import DevHost
from jobs.entrypoints.functions import build_app
from jobs.settings import Settings
from tests.infra.kusto import ask, table
from tests.support import Anything, job

INFRA = Path(__file__).parents[2] / "infra"
WORKBOOK = json.loads((INFRA / "workbook.json").read_text())
QUERIES = {item["content"]["title"]: item["content"]["query"] for item in WORKBOOK["items"] if item["type"] == 3}

EVERY_ALERT = {alert["name"]: alert for alert in json.loads((INFRA / "alerts.json").read_text())}
ALERTS = {name: alert for name, alert in EVERY_ALERT.items() if alert["query"].startswith("AppTraces")}
COMPARE = {"GreaterThan": operator.gt, "LessThan": operator.lt}


@pytest.fixture
def lines(runtime: Runtime, caplog) -> list[str]:
    """What the app logs from now on, in a list that grows."""
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Kept()
    logger = logging.getLogger("jobs")
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)


def firing(lines: list[str]) -> set[str]:
    """Name the alerts that these lines, as those of one window, would set off. None compares as false, as in Azure."""
    found = set()
    for name, alert in ALERTS.items():
        value = ask(alert["query"], lines)[alert["column"]]
        if value is not None and COMPARE[alert["operator"]](value, alert["threshold"]):
            found.add(name)
    return found


def test_nothing_is_told_of_an_app_that_is_well(runtime, lines) -> None:
    runtime.service.enqueue(job("fine"))
    runtime.worker.drain(60)
    for _ in range(10):
        runtime.reconciler.run()
    assert firing(lines) == set()


def test_an_app_that_logs_nothing_does_not_tick(lines) -> None:
    assert firing(lines) == {"reconcile-not-ticking"}


def test_a_job_that_waits_too_long_is_told_of(runtime, lines, sql) -> None:
    runtime.service.enqueue(job("late"))
    sql("update jobs.jobs set next_run_at = now() - interval '4 minutes'")
    runtime.reconciler.run()
    assert firing(lines) == set()
    sql("update jobs.jobs set next_run_at = now() - interval '6 minutes'")
    runtime.reconciler.run()
    assert firing(lines) == {"jobs-overdue"}


def test_many_failing_attempts_are_told_of(runtime, registry, lines) -> None:
    def handle(args: Anything) -> None:
        raise ValueError

    registry.add_handler("Broken", handle, retry=RetryPolicy(max_retries=0))
    runtime.service.enqueue_many([job(f"broken {number}", "Broken") for number in range(21)])
    runtime.worker.drain(60)
    runtime.reconciler.run()
    assert firing(lines) == {"attempts-failing"}


def test_many_lost_workers_are_told_of(runtime, lines) -> None:
    runtime.service.enqueue_many([job(f"lost {number}") for number in range(6)])
    runtime.runs.claim_due(6, worker="dead", lease=timedelta())
    runtime.reconciler.run()
    runtime.reconciler.run()
    assert firing(lines) == {"workers-lost"}


def test_a_database_that_stays_away_is_told_of(runtime, lines, monkeypatch) -> None:
    def away(*_):
        raise StoreUnavailable("the database cannot be reached")

    monkeypatch.setattr(runtime.housekeeping, "_run", away)
    runtime.reconciler.run()
    runtime.reconciler.run()
    assert firing(lines) == set(), "one or two are a hiccup"
    runtime.reconciler.run()
    assert firing(lines) == {"reconcile-failing"}


def calls_failing(statuses: list[tuple[int, str]]) -> bool:
    alert = EVERY_ALERT["api-failing"]
    rows = [
        {"ResultCode": str(status), "Url": f"https://func-jobs.azurewebsites.net{path}"} for status, path in statuses
    ]
    [row] = table(alert["query"], rows)
    return bool(COMPARE[alert["operator"]](row[alert["column"]], alert["threshold"]))


def test_an_api_that_answers_5xx_is_told_of_and_what_callers_get_wrong_or_a_probe_finds_is_not(runtime) -> None:
    def broken() -> Runtime:
        raise StoreUnavailable("the database cannot be reached")

    app = build_app(broken, Settings(key_role="manage"))
    with DevHost(app, port=0, route_prefix="") as host, httpx.Client(base_url=host.url) as client:
        answers = [(client.get(path).status_code, path) for path in ("/api/stats", "/api/health/ready", "/api/nothing")]
    assert [status for status, _ in answers] == [503, 503, 404]
    failing, probe, wrong = ([answer] * 11 for answer in answers)
    assert calls_failing(failing)
    assert not calls_failing(failing[:10])
    assert not calls_failing([*probe, *wrong, (0, ""), (200, "/api/jobs")])


# --- the workbook


def figures(lines: list[str], level: int = 1) -> dict[str, list[dict[str, Any]]]:
    """What each part of the workbook that asks for log lines shows of these."""
    rows = [{"Message": line, "SeverityLevel": level} for line in lines]
    return {title: table(query, rows) for title, query in QUERIES.items() if query.startswith("AppTraces")}


def test_the_workbook_shows_what_the_app_logs(runtime, registry, lines, sql) -> None:
    def handle(args: Anything) -> None:
        raise ValueError("paper jam: 3, (7)")

    registry.add_handler("Broken", handle, retry=RetryPolicy(max_retries=0))
    runtime.service.enqueue_many([job("a, b"), job("fine (2)"), job("broken", "Broken")])
    runtime.worker.drain(60)
    runtime.service.enqueue(job("late"))
    sql("update jobs.jobs set next_run_at = now() - interval '6 minutes' where status = 'Scheduled'")
    runtime.reconciler.run()
    shown = figures(lines)
    ended = {(row["Handler"], row["Outcome"]): row["Attempts"] for row in shown["How attempts ended, by handler"]}
    assert ended == {("Noop", "Succeeded"): 2, ("Broken", "Failed"): 1}
    [backlog] = shown["Jobs that are due and do not run yet, and how late the latest is"]
    assert backlog["Due"] == 1
    assert backlog["LateSeconds"] >= 360
    [failures] = shown["Attempts that failed and runs that lost their worker, within five minutes"]
    assert (failures["Failed"], failures["Lost"]) == (1, 0)
    [ticks] = shown["Reconciliations"]
    assert ticks["Ticks"] == 1
    assert shown["Warnings and errors, by what they begin with"] == []
    warned = figures(lines, level=2)["Warnings and errors, by what they begin with"]
    assert {"measured", "reconciled"} <= {row["Line"] for row in warned}


def test_the_workbook_shows_calls_by_their_answers() -> None:
    rows = [{"ResultCode": "201", "Url": "https://a/api/jobs"}] * 2 + [{"ResultCode": "0"}]
    [row] = table(QUERIES["Calls of the API, by their answers"], rows)
    assert (row["ResultCode"], row["Calls"]) == ("201", 2)


def test_every_alert_says_what_it_means_and_looks_at_least_as_far_back_as_it_is_asked() -> None:
    minutes = {"PT5M": 5, "PT10M": 10, "PT15M": 15}
    for alert in EVERY_ALERT.values():
        assert alert["description"].endswith(".")
        assert minutes[alert["window"]] >= minutes[alert["frequency"]]
        assert 0 <= alert["severity"] <= 4
