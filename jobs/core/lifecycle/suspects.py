"""Which lost runs are suspected of ending their workers, and what becomes of that suspicion.

A worker that dies takes along every run in its hands, and most of them are innocent. So a loss alone convicts nobody:
a run that was lost ``SUSPECT_AFTER`` times in a row is a suspect, and is from then on started only while nothing else
starts beside it in its process. If the worker dies even so, and the run has been lost ``max_lost`` times, it is the
cause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.core.lifecycle.status import AttemptOutcome

if TYPE_CHECKING:
    from jobs.core.lifecycle.job import ClaimedRun, RunResult

SUSPECT_AFTER = 2
"""Losses in a row that make a run a suspect."""

SPREAD_MILLISECONDS = 10_000
"""Runs that were lost together start again spread over this long, so that they are less likely to be lost together."""

LONGEST_WAIT_SECONDS = 600
"""The longest wait of a suspect that goes on losing its workers without being convicted."""

# The handler was not called, or was interrupted by the host's end: that acquits nobody. After a conviction (Lost) the
# suspicion stays, so that the next occurrence of a recurring job costs one worker at most.
_ACQUITS_NOBODY = frozenset(
    {
        AttemptOutcome.RELEASED,
        AttemptOutcome.UNKNOWN_HANDLER,
        AttemptOutcome.INVALID_PAYLOAD,
        AttemptOutcome.SKIPPED,
        AttemptOutcome.LOST,
    }
)


def losses_after(run: ClaimedRun, result: RunResult) -> int:
    """Return how many losses in a row count after an attempt: none after a success, one less after another end."""
    if run.lost_count == 0 or result.outcome is AttemptOutcome.SUCCEEDED:
        return 0
    return run.lost_count if result.outcome in _ACQUITS_NOBODY else run.lost_count - 1


def convicted(lost_count: int, max_lost: int, *, alone: bool) -> bool:
    """Return whether a run that is lost once more is the cause: it was alone, or nobody asks for so many losses."""
    return lost_count + 1 >= max_lost and (alone or lost_count < SUSPECT_AFTER)


def wait_milliseconds(lost_count: int, place: int, company: int) -> int:
    """Return how long a run waits that was lost ``lost_count`` times before, as one of ``company`` of one worker's."""
    if lost_count < SUSPECT_AFTER:
        return SPREAD_MILLISECONDS * place // company
    doublings = min(lost_count - SUSPECT_AFTER, 20)
    return min(10 << doublings, LONGEST_WAIT_SECONDS) * 1000
