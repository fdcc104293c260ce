"""Handler outcomes: exceptions that a handler raises to end its attempt in other ways than success or failure."""

from __future__ import annotations

from datetime import timedelta

from jobs.core.lifecycle.status import AttemptOutcome

_LONGEST_WAIT = timedelta(days=36_500)
_LONGEST_REASON = 8_000


def _seconds(wait: timedelta | float) -> float:
    seconds = wait.total_seconds() if isinstance(wait, timedelta) else float(wait)
    if not 0 <= seconds <= _LONGEST_WAIT.total_seconds():
        raise ValueError("a wait is a timedelta or a number of seconds, from zero to a hundred years")
    return seconds


class HandlerOutcome(Exception):
    """The root of all handler outcomes; not a failure by itself.

    ``reason`` is converted to text, so that ``Discard(error)`` works with an exception too. The class attributes are
    defaults for subclasses whose ``__init__`` does not call the parent's.
    """

    reason: str = ""
    after_seconds: float | None = None


class Retry(HandlerOutcome):
    """Fail this attempt and retry ``after`` (timedelta or seconds); the default is the retry policy's wait.

    It counts as a failed attempt: with no retries left the run fails.
    """

    def __init__(
        self, after: timedelta | float | None = None, *, reason: str = "the handler asked for a retry"
    ) -> None:
        self.after_seconds = None if after is None else _seconds(after)
        self.reason = str(reason)
        super().__init__(reason)


class Snooze(HandlerOutcome):
    """Run again after ``wait`` (timedelta or seconds) without counting this attempt."""

    def __init__(self, wait: timedelta | float, *, reason: str = "the handler snoozed") -> None:
        self.after_seconds = _seconds(wait)
        self.reason = str(reason)
        super().__init__(reason)


class Discard(HandlerOutcome):
    """Fail the run now, whatever retries are left, because a retry would not help."""

    def __init__(self, reason: str) -> None:
        self.reason = str(reason)
        super().__init__(reason)


class Cancel(HandlerOutcome):
    """End the job as Cancelled. A recurring job does not run again."""

    def __init__(self, reason: str = "the handler cancelled the job") -> None:
        self.reason = str(reason)
        super().__init__(reason)


class ShutdownRequested(HandlerOutcome):
    """The host is shutting down: the run is released for another instance, and the attempt does not count."""


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
    """Return the outcome of an attempt whose handler raised ``error``."""
    error = deciding_error(error)
    return next((outcome for kind, outcome in _OUTCOMES.items() if isinstance(error, kind)), AttemptOutcome.FAILED)


def wait_of(signal: HandlerOutcome) -> float | None:
    """Return the seconds to wait that an outcome requests; None if it requests none.

    Raises ``ValueError`` for an invalid number, which a subclass may set.
    """
    wait = signal.after_seconds
    try:
        return None if wait is None else _seconds(wait)
    except (TypeError, ValueError) as error:
        name = type(signal).__name__
        raise ValueError(f"{name}.after_seconds is {wait!r}, which is no wait; give a number of seconds") from error


def reason_of(signal: HandlerOutcome) -> str:
    """Return an outcome's reason: its ``reason``, else its text as an exception, else that it was raised."""
    reason = str(signal.reason) or str(signal) or f"the handler raised {type(signal).__name__}"
    return reason[:_LONGEST_REASON]


def leaves_of(error: BaseException) -> list[BaseException]:
    """Return the errors in a group and its nested groups, in order; for any other error a list of itself."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if isinstance(each, BaseExceptionGroup):
            waiting += reversed(each.exceptions)
        else:
            found.append(each)
    return found


def deciding_error(error: BaseException, never: tuple[type[BaseException], ...] = ()) -> BaseException:
    """Return the error of a group that decides how the attempt ends: the first of the kind with the highest precedence.

    Outcomes that end the job precede those that retry, and a failure precedes a snooze, which would hide it:
    ``Cancel``, ``Discard``, an exception of ``never``, ``ShutdownRequested``, ``Retry``, any other error, ``Snooze``.
    """
    if not isinstance(error, BaseExceptionGroup):
        return error

    def rank(each: BaseException) -> int:
        kinds: list[type[BaseException] | tuple[type[BaseException], ...]] = [
            Cancel, Discard, never, ShutdownRequested, Retry,
        ]  # fmt: skip
        known = next((place for place, kind in enumerate(kinds) if isinstance(each, kind)), len(kinds))
        return known + isinstance(each, Snooze)

    return min(leaves_of(error), key=rank)
