"""One record in the log for every attempt that has ended, with the traceback of one that failed."""

from __future__ import annotations

import logging
from datetime import UTC
from typing import TYPE_CHECKING

from jobs.core.diagnostics.error_text import describe_error, log_lines, printable, traceback_of
from jobs.core.lifecycle.status import FAULTS, AttemptOutcome, JobStatus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from jobs.core.lifecycle.job import ClaimedRun, RecordedOutcome, RunResult

_logger = logging.getLogger("jobs.dispatcher")
_MOST_NAMED = 3
_ORDINARY = frozenset({AttemptOutcome.SUCCEEDED, AttemptOutcome.SNOOZED})
_SOON_SECONDS = 100
"""A shorter wait is logged in seconds, a longer one as the instant at which it ends."""


def log_end(run: ClaimedRun, result: RunResult, outcome: RecordedOutcome | None) -> None:
    """Log how an attempt ended and what follows: a success or a snooze at INFO, anything else as a warning.

    ``outcome`` is what was decided for the job, None if nothing could be.
    """
    level = logging.INFO if result.outcome in _ORDINARY else logging.WARNING
    if _logger.isEnabledFor(level):
        _logger.log(
            level,
            "job %s (%s, %s) run %d attempt %d: %s%s%s%s",
            *_named(run), result.outcome,
            f", {printable(result.error)}" if result.error else "",
            "".join(f"; {part}" for part in (_retry(outcome), _next_run(outcome)) if part) if outcome else "",
            log_lines(result.traceback),
            extra={**_bound(run), "outcome": str(result.outcome)},
        )  # fmt: skip


def _retry(outcome: RecordedOutcome) -> str:
    """Return when the run goes on, or why it does not; empty after a success or a cancellation."""
    run, result = outcome.run, outcome.result
    if outcome.due_at is not None and not outcome.run_ended:
        return f"again {_when(outcome.due_at, outcome.finished_at)}"
    if result.outcome not in FAULTS:
        return ""
    if not result.retry or outcome.status is JobStatus.CANCELLED:
        return "not retried"
    return "no retries left" if run.attempt > run.max_retries else "not retried, as the next run comes first"


def _next_run(outcome: RecordedOutcome) -> str:
    """Return when the next run is due; empty while this run goes on, and for a one-time job."""
    if outcome.due_at is not None:
        return f"next run {_when(outcome.due_at, outcome.finished_at)}" if outcome.run_ended else ""
    return "no run follows" if outcome.run.recurring else ""


def _when(due_at: datetime, now: datetime) -> str:
    seconds = (due_at - now).total_seconds()
    if seconds <= 0:
        return "at once"
    if seconds < _SOON_SECONDS:
        return f"in {seconds:.3g} s"
    return f"at {due_at.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}"


def log_too_late(run: ClaimedRun, error: BaseException) -> None:
    """Log what a handler raised after it had completed its job, which changes nothing."""
    _logger.warning(
        "job %s (%s, %s) run %d attempt %d was completed by its handler, which then raised %s; the success stands%s",
        *_named(run), printable(describe_error(error)), log_lines(traceback_of(error)), extra=_bound(run),
    )  # fmt: skip


def log_given_back(runs: Sequence[ClaimedRun], why: str) -> None:
    """Log that the runs were returned, which are then due again; names the first few. Without runs it logs nothing."""
    if not runs:
        return
    names = [f"{printable(run.handler_name)}/{printable(run.job_name)} ({run.job_id})" for run in runs[:_MOST_NAMED]]
    more = f" and {len(runs) - _MOST_NAMED} more" if len(runs) > _MOST_NAMED else ""
    _logger.info("given back, to be run again at once, since %s: %s%s", why, ", ".join(names), more)


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
