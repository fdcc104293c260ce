"""One record in the log for every attempt that has ended, with the traceback of one that failed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jobs.core.diagnostics.error_text import describe_error, log_lines, printable, traceback_of
from jobs.core.lifecycle.status import AttemptOutcome

if TYPE_CHECKING:
    from jobs.core.lifecycle.job import ClaimedRun, RunResult

_logger = logging.getLogger("jobs.dispatcher")
_ORDINARY = frozenset({AttemptOutcome.SUCCEEDED, AttemptOutcome.SNOOZED})


def log_end(run: ClaimedRun, result: RunResult) -> None:
    """Log how an attempt ended: a success or a snooze at INFO, anything else as a warning."""
    level = logging.INFO if result.outcome in _ORDINARY else logging.WARNING
    if _logger.isEnabledFor(level):
        _logger.log(
            level,
            "job %s (%s, %s) run %d attempt %d: %s%s%s",
            *_named(run), result.outcome,
            f", {printable(result.error)}" if result.error else "",
            log_lines(result.traceback),
            extra={**_bound(run), "outcome": str(result.outcome)},
        )  # fmt: skip


def log_too_late(run: ClaimedRun, error: BaseException) -> None:
    """Log what a handler raised after it had completed its job, which changes nothing."""
    _logger.warning(
        "job %s (%s, %s) run %d attempt %d was completed by its handler, which then raised %s; the success stands%s",
        *_named(run), printable(describe_error(error)), log_lines(traceback_of(error)), extra=_bound(run),
    )  # fmt: skip


def _named(run: ClaimedRun) -> tuple[object, ...]:
    return run.job_id, printable(run.handler_name), printable(run.job_name), run.run, run.attempt


def _bound(run: ClaimedRun) -> dict[str, object]:
    return {
        "job_id": str(run.job_id),
        "job_name": printable(run.job_name),
        "handler_name": printable(run.handler_name),
        "run": run.run,
        "attempt": run.attempt,
    }
