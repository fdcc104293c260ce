"""Suspects: lost runs that may be the cause of their workers' deaths.

A worker that dies loses all of its runs, and most of them are innocent. So a loss alone proves nothing: a run that was
lost ``SUSPECT_AFTER`` times in a row becomes a suspect, and from then on runs alone in its process. If the worker dies
even so, and the run has been lost ``max_lost`` times, it is convicted: the run is the cause, and fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.core.lifecycle.status import AttemptOutcome

if TYPE_CHECKING:
    from jobs.core.lifecycle.job import ClaimedRun, RunResult

SUSPECT_AFTER = 2
"""The losses in a row that make a run a suspect."""

SPREAD_MILLISECONDS = 10_000
"""Runs that were lost together restart spread over this period, so that they are less likely to be lost together."""

LONGEST_WAIT_SECONDS = 600
"""The longest wait of a suspect that keeps losing its workers without being convicted."""

# The handler was not called, or the host's shutdown interrupted it: that is no evidence. After a conviction (Lost) the
# suspicion stays, so that the next occurrence of a recurring job costs one worker at most.
_NO_EVIDENCE = frozenset(
    {
        AttemptOutcome.RELEASED,
        AttemptOutcome.UNKNOWN_HANDLER,
        AttemptOutcome.INVALID_PAYLOAD,
        AttemptOutcome.SKIPPED,
        AttemptOutcome.LOST,
    }
)


def losses_after(run: ClaimedRun, result: RunResult) -> int:
    """Return the count of losses in a row after an attempt: zero after a success, one less after any other outcome.

    It stays the same after an outcome that is no evidence.
    """
    if run.lost_count == 0 or result.outcome is AttemptOutcome.SUCCEEDED:
        return 0
    return run.lost_count if result.outcome in _NO_EVIDENCE else run.lost_count - 1


def convicted(lost_count: int, max_lost: int, *, alone: bool) -> bool:
    """Return whether one more loss convicts a run: it reaches ``max_lost``, and the run was alone.

    A ``max_lost`` up to ``SUSPECT_AFTER`` convicts without having run alone.
    """
    return lost_count + 1 >= max_lost and (alone or lost_count < SUSPECT_AFTER)


def wait_milliseconds(lost_count: int, place: int, lost_together: int) -> int:
    """Return the wait of a lost run with ``lost_count`` earlier losses, at ``place`` among those lost together."""
    if lost_count < SUSPECT_AFTER:
        return SPREAD_MILLISECONDS * place // lost_together
    doublings = min(lost_count - SUSPECT_AFTER, 20)
    return min(10 << doublings, LONGEST_WAIT_SECONDS) * 1000
