"""What a handler raises to say how its attempt ends, other than by returning or failing."""

from __future__ import annotations

from datetime import timedelta

from jobs.core.status import AttemptOutcome

_LONGEST_WAIT = timedelta(days=36_500)


def _seconds(wait: timedelta | float) -> float:
    seconds = wait.total_seconds() if isinstance(wait, timedelta) else float(wait)
    if not 0 <= seconds <= _LONGEST_WAIT.total_seconds():
        raise ValueError("a wait is a timedelta or a number of seconds, from zero to a hundred years")
    return seconds


class HandlerSignal(Exception):
    """The root of what a handler raises to steer its job; not a failure by itself.

    A ``reason`` is kept as text, so that ``Discard(error)`` with the exception that led to it does as well.
    """


class Retry(HandlerSignal):
    """Fail this attempt and try again ``after`` (timedelta or seconds), or after the policy's wait if not given.

    It counts as a failed attempt: with no retries left the run has failed.
    """

    def __init__(
        self, after: timedelta | float | None = None, *, reason: str = "the handler asked for a retry"
    ) -> None:
        self.after_seconds = None if after is None else _seconds(after)
        self.reason = str(reason)
        super().__init__(reason)


class Snooze(HandlerSignal):
    """Run again after ``wait`` (timedelta or seconds) without counting this attempt."""

    def __init__(self, wait: timedelta | float, *, reason: str = "the handler snoozed") -> None:
        self.after_seconds = _seconds(wait)
        self.reason = str(reason)
        super().__init__(reason)


class Discard(HandlerSignal):
    """Fail the run now, whatever retries are left: trying again could not help."""

    def __init__(self, reason: str) -> None:
        self.reason = str(reason)
        super().__init__(reason)


class Cancel(HandlerSignal):
    """End the job as Cancelled. A recurring job does not run again."""

    def __init__(self, reason: str = "the handler cancelled the job") -> None:
        self.reason = str(reason)
        super().__init__(reason)


class ShutdownRequested(HandlerSignal):
    """The host is going down: the run is given back and taken up again elsewhere, and no attempt is counted."""


class AttemptTimedOut(Exception):
    """An async handler was cancelled at its deadline (raised by the framework)."""


_OUTCOMES: dict[type[BaseException], AttemptOutcome] = {
    Snooze: AttemptOutcome.SNOOZED,
    Discard: AttemptOutcome.DISCARDED,
    Cancel: AttemptOutcome.CANCELLED,
    ShutdownRequested: AttemptOutcome.RELEASED,
    AttemptTimedOut: AttemptOutcome.TIMED_OUT,
}


def outcome_of(error: BaseException) -> AttemptOutcome:
    """Say how an attempt ends whose handler raised ``error``."""
    return next((outcome for kind, outcome in _OUTCOMES.items() if isinstance(error, kind)), AttemptOutcome.FAILED)
