"""The handler of the job that a deployment is tested with: it does nothing, so any release of any app can run it.

An app has it where JOBS_ADDED_HANDLERS names this module, as the infrastructure sets it.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from jobs.core.handlers.context import JobContext
from jobs.core.handlers.marking.decorators import handler

SMOKE_HANDLER = "SmokeTest"


class SmokeTestArgs(BaseModel):
    """What is told in the log."""

    model_config = ConfigDict(extra="forbid")

    release: str = ""


@handler(SMOKE_HANDLER)
def smoke_test(args: SmokeTestArgs, ctx: JobContext) -> None:
    """Log that jobs are run after a deployment."""
    ctx.logger.info("jobs are run after the deployment of %s", args.release or "a release")
