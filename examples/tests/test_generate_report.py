"""GenerateReport as a job that the app runs, on a store in memory, with a fake in place of the report store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from examples import generate_report
from examples.dependencies import ReportStore
from examples.generate_report import GenerateReport, GenerateReportArgs
from jobs import Cancel, JobContext
from jobs.core.lifecycle.status import JobStatus
from jobs.testing import JobsHarness, RanAttempt

SIX_IN_THE_MORNING = datetime(2026, 12, 1, 6, tzinfo=UTC)


class FakeStore:
    """Keeps reports in a dict."""

    def __init__(self) -> None:
        self.reports: dict[str, str] = {}

    def save(self, name: str, content: str) -> None:
        self.reports[name] = content


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def jobs_overrides(store: FakeStore) -> dict[type, object]:
    return {ReportStore: store}


@pytest.fixture
def generate(jobs_harness: JobsHarness) -> Callable[..., RanAttempt]:
    """Run the handler for a run that was due at six in the morning."""

    def generate(args: GenerateReportArgs | None = None, **how: Any) -> RanAttempt:
        return jobs_harness.run_handler("GenerateReport", args, scheduled_for=SIX_IN_THE_MORNING, **how)

    return generate


def test_it_saves_a_line_for_each_region(generate, store: FakeStore) -> None:
    generate(GenerateReportArgs(report="sales", day=date(2026, 11, 2), regions=("north", "east"))).check()
    assert store.reports == {"sales-2026-11-02.csv": "day,region,total\r\n2026-11-02,north,10\r\n2026-11-02,east,8\r\n"}


def test_without_a_day_it_reports_the_day_before_the_run_was_due(generate, store: FakeStore) -> None:
    generate().check()
    assert list(store.reports) == ["sales-2026-11-30.csv"]


def test_a_second_attempt_gives_the_same_report(generate, store: FakeStore) -> None:
    generate().check()
    first = dict(store.reports)
    generate(attempt=2).check()
    assert store.reports == first


def test_a_cancelled_job_saves_nothing(generate, store: FakeStore) -> None:
    assert generate(cancelled=True).job.status is JobStatus.CANCELLED
    assert store.reports == {}


def test_a_job_whose_region_cannot_be_read_saves_nothing(
    generate, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(region: str, day: date) -> int:
        raise ConnectionError(region)

    monkeypatch.setattr(generate_report, "total_of", broken)
    ran = generate()
    assert isinstance(ran.exception, ConnectionError)
    assert (store.reports, ran.job.status) == ({}, JobStatus.SCHEDULED)


def test_a_job_that_is_cancelled_on_the_way_stops_at_the_next_step(
    ctx: JobContext, store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Called as what it is, an async method, where the test itself has a hand in its steps."""
    asked = []

    async def cancelled_meanwhile(region: str, day: date) -> int:
        asked.append(region)
        ctx.signal_cancelled()
        return 1

    monkeypatch.setattr(generate_report, "total_of", cancelled_meanwhile)
    with pytest.raises(Cancel):
        asyncio.run(GenerateReport(store).handle(GenerateReportArgs(regions=("north", "south")), ctx))
    assert (asked, store.reports) == (["north"], {})


@pytest.mark.parametrize(
    "payload",
    [{"report": "../secret"}, {"report": ""}, {"regions": []}, {"regions": ["=1+1"]}, {"day": "soon"}, {"dya": None}],
)
def test_a_report_that_cannot_be_made_is_refused(payload: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GenerateReportArgs.model_validate(payload)
