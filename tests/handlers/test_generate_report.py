"""GenerateReport: an async handler is run with ``asyncio.run``, as the framework does."""

from __future__ import annotations

import asyncio
from datetime import date

import pytest
from pydantic import ValidationError

from jobs import Cancel, JobContext
from jobs.handlers import generate_report
from jobs.handlers.generate_report import GenerateReport, GenerateReportArgs


class FakeStore:
    """Keeps reports in a dict."""

    def __init__(self) -> None:
        self.reports: dict[str, str] = {}

    def save(self, name: str, content: str) -> None:
        self.reports[name] = content


def generate(args: GenerateReportArgs, ctx: JobContext) -> dict[str, str]:
    store = FakeStore()
    asyncio.run(GenerateReport(store).handle(args, ctx))
    return store.reports


def test_it_saves_a_line_for_each_region(ctx: JobContext) -> None:
    args = GenerateReportArgs(report="sales", day=date(2026, 11, 2), regions=("north", "east"))
    assert generate(args, ctx) == {
        "sales-2026-11-02.csv": "day,region,total\r\n2026-11-02,north,10\r\n2026-11-02,east,8\r\n"
    }


def test_without_a_day_it_reports_the_day_before_the_run_was_due(ctx: JobContext) -> None:
    assert list(generate(GenerateReportArgs(), ctx)) == ["sales-2026-11-30.csv"]


def test_a_second_attempt_gives_the_same_report(ctx: JobContext) -> None:
    first = generate(GenerateReportArgs(), ctx)
    ctx.attempt = 2
    assert generate(GenerateReportArgs(), ctx) == first


def test_a_cancelled_job_saves_nothing(ctx: JobContext) -> None:
    store = FakeStore()
    ctx.signal_cancelled()
    with pytest.raises(Cancel):
        asyncio.run(GenerateReport(store).handle(GenerateReportArgs(), ctx))
    assert store.reports == {}


def test_a_job_that_is_cancelled_on_the_way_stops_at_the_next_step(
    ctx: JobContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def cancelled_meanwhile(region: str, day: date) -> int:
        asked.append((region, day))
        ctx.signal_cancelled()
        return 1

    monkeypatch.setattr(generate_report, "total_of", cancelled_meanwhile)
    with pytest.raises(Cancel):
        generate(GenerateReportArgs(regions=("north", "south")), ctx)
    assert [region for region, _ in asked] == ["north"]


@pytest.mark.parametrize(
    "payload",
    [{"report": "../secret"}, {"report": ""}, {"regions": []}, {"regions": ["=1+1"]}, {"day": "soon"}, {"dya": None}],
)
def test_a_report_that_cannot_be_made_is_refused(payload: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GenerateReportArgs.model_validate(payload)
