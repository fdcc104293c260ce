"""GenerateReport: a handler as a class, with an async method, that can be stopped between its steps."""

import asyncio
import csv
import io
from datetime import date, timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from examples.dependencies import ReportStore
from jobs import JobContext, handler

Word = Annotated[str, Field(max_length=50, pattern=r"^[a-z0-9][a-z0-9-]*$")]  # becomes part of a file's name


class GenerateReportArgs(BaseModel):
    """Which report. Every field has a default, so that a recurring job needs no payload."""

    model_config = ConfigDict(extra="forbid")

    report: Word = "sales"
    day: date | None = Field(default=None, description="The day reported on; left out, the one before the run is due.")
    regions: tuple[Word, ...] = Field(default=("north", "south"), min_length=1)


@handler("GenerateReport", timeout=timedelta(minutes=10))
class GenerateReport:
    """Make the report of a day: ``{"handler_name": "GenerateReport", "job_name": "sales", "schedule": "0 6 * * *"}``.

    The constructor is given the services, ``handle`` the arguments and the context; an object serves one attempt.
    """

    def __init__(self, reports: ReportStore) -> None:
        self._reports = reports

    async def handle(self, args: GenerateReportArgs, ctx: JobContext) -> None:
        """Go by when the run was due, not by the clock: a late or repeated run then reports the same day."""
        day = args.day or (ctx.scheduled_for - timedelta(days=1)).date()  # in UTC
        rows = []
        for region in args.regions:
            ctx.raise_if_cancelled()  # the job was deleted, has timed out, or the host is going down: stop here
            rows.append((day, region, await total_of(region, day)))
        ctx.raise_if_cancelled()
        self._reports.save(f"{args.report}-{day}.csv", as_csv(rows))
        ctx.logger.info("report of %s saved, %d regions", day, len(rows))


async def total_of(region: str, day: date) -> int:
    """Stand for your query or your HTTP call. While it waits, the timeout can end the attempt."""
    await asyncio.sleep(0)
    return len(region) * day.day


def as_csv(rows: list[tuple[date, str, int]]) -> str:
    """Write ``rows`` as CSV under a header."""
    text = io.StringIO()
    csv.writer(text).writerows([("day", "region", "total"), *rows])
    return text.getvalue()
