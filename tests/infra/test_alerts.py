"""Alerts ask for what the app really logs: their queries are run over the lines of a real reconciliation."""

from __future__ import annotations

import json
import logging
import operator
from datetime import timedelta
from pathlib import Path

import pytest

from jobs.app.runtime import Runtime
from jobs.core.errors import StoreUnavailable
from jobs.core.lifecycle.retry import RetryPolicy
from tests.infra.kusto import ask
from tests.support import Anything, job

ALERTS = {
    alert["name"]: alert for alert in json.loads((Path(__file__).parents[2] / "infra" / "alerts.json").read_text())
}
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


def test_every_alert_says_what_it_means_and_looks_at_least_as_far_back_as_it_is_asked() -> None:
    minutes = {"PT5M": 5, "PT10M": 10, "PT15M": 15}
    for alert in ALERTS.values():
        assert alert["description"].endswith(".")
        assert minutes[alert["window"]] >= minutes[alert["frequency"]]
        assert 0 <= alert["severity"] <= 4
