"""CleanupData: a recurring job that may run twice, late, or beside itself without harm."""

import contextlib
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from examples.dependencies import ReportsFolder
from jobs import JobContext, handler


class CleanupDataArgs(BaseModel):
    """What is old."""

    model_config = ConfigDict(extra="forbid")

    older_than_days: int = Field(default=30, ge=1, le=36_500)


@handler("CleanupData", timeout=timedelta(minutes=5))
def cleanup_data(args: CleanupDataArgs, ctx: JobContext, folder: ReportsFolder) -> None:
    """Delete sample reports that were written more than ``older_than_days`` before the run was due.

    Enqueue it once; ``run_once``, the default, makes up for any number of missed nights with one run::

        {"handler_name": "CleanupData", "job_name": "nightly-cleanup", "schedule": "@daily",
         "timezone": "Europe/Berlin", "payload": {"older_than_days": 30}}

    What is gone already is no error, so a retry goes on where the last attempt stopped.
    """
    oldest_kept = (ctx.scheduled_for - timedelta(days=args.older_than_days)).timestamp()
    deleted = 0
    for file in folder.path.glob("*.csv*"):  # reports, and the unfinished ones of attempts that died
        ctx.raise_if_cancelled()
        with contextlib.suppress(FileNotFoundError):
            if file.is_file() and file.stat().st_mtime < oldest_kept:
                file.unlink()
                deleted += 1
    ctx.logger.info("%d reports deleted", deleted)
