"""The result of one attempt that a test ran."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobs.core.lifecycle.status import AttemptOutcome

if TYPE_CHECKING:
    from jobs.core.lifecycle.job import Job


@dataclass(frozen=True, slots=True, repr=False)
class RanAttempt:
    """One attempt, and the job's state right after it.

    ``exception`` is what the handler, its services or its middleware raised, including outcomes such as ``Retry``;
    ``error`` is its text in the history. ``result`` and ``progress`` are those that the handler set in this attempt.
    ``enqueued`` lists the jobs that were enqueued during it, in order.
    """

    job: Job
    run: int
    attempt: int
    outcome: AttemptOutcome
    error: str | None
    exception: BaseException | None
    result: Any
    progress: float | None
    progress_message: str | None
    enqueued: tuple[Job, ...]

    @property
    def handler_name(self) -> str:
        """The name of the handler that ran."""
        return self.job.handler_name

    @property
    def job_name(self) -> str:
        """The name of the job."""
        return self.job.job_name

    def check(self) -> RanAttempt:
        """Return this attempt if it succeeded; otherwise raise what the handler raised, or an ``AssertionError``."""
        if self.outcome is AttemptOutcome.SUCCEEDED:
            return self
        if self.exception is not None:
            raise self.exception
        raise AssertionError(f"the attempt did not succeed: {self!r}")

    def __repr__(self) -> str:
        """Return a line that describes it, for failed assertions."""
        error = f", {self.error}" if self.error else ""
        return (
            f"<{self.handler_name} {self.job_name!r} run {self.run} attempt {self.attempt}: {self.outcome}{error}; "
            f"the job is {self.job.status}>"
        )
