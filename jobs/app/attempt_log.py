"""One line in the log for every attempt that has ended."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jobs.core.status import AttemptOutcome

if TYPE_CHECKING:
    from jobs.core.job import ClaimedRun, RunResult

_logger = logging.getLogger("jobs.dispatcher")


def log_end(run: ClaimedRun, result: RunResult) -> None:
    """Say how an attempt ended: a success for whoever wants to know, anything else as a warning."""
    level = logging.INFO if result.outcome is AttemptOutcome.SUCCEEDED else logging.WARNING
    if _logger.isEnabledFor(level):
        _logger.log(
            level,
            "job %s (%s, %s) run %d attempt %d: %s%s",
            run.job_id, run.handler_name, run.job_name, run.run, run.attempt, result.outcome,
            f", {result.error}" if result.error else "",
            extra={"job_id": str(run.job_id), "handler_name": run.handler_name, "outcome": str(result.outcome)},
        )  # fmt: skip


def log_too_late(run: ClaimedRun, error: BaseException) -> None:
    """Tell of what a handler raised after it had completed its job: it changes nothing."""
    _logger.warning(
        "job %s (%s, %s) run %d attempt %d was completed by its handler, which then raised %s; the success stands",
        run.job_id, run.handler_name, run.job_name, run.run, run.attempt, type(error).__name__,
        exc_info=error,
        extra={"job_id": str(run.job_id), "handler_name": run.handler_name},
    )  # fmt: skip
