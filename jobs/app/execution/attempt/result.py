"""The result of an attempt: from what its handler raised, or from what it returned and should not have."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from jobs.core.diagnostics.error_text import describe_error, traceback_of
from jobs.core.errors import HandlerMistake, MiddlewareFault, UnknownHandler
from jobs.core.lifecycle.handler_outcomes import (
    AttemptTimedOut,
    Cancel,
    Discard,
    HandlerOutcome,
    Retry,
    ShutdownRequested,
    Snooze,
    deciding_error,
    leaves_of,
    outcome_of,
    reason_of,
    wait_of,
)
from jobs.core.lifecycle.job import RunResult
from jobs.core.lifecycle.status import FAULTS, AttemptOutcome

if TYPE_CHECKING:
    from jobs.core.handlers.specs import HandlerSpec

_MISTAKES = (HandlerMistake, UnknownHandler)
"""Errors that no other attempt avoids, since the same code does the same again."""
SUCCEEDED = RunResult(AttemptOutcome.SUCCEEDED)


class ReturnedValue(HandlerMistake, TypeError):
    """A handler returned a value, which would be lost. The message says what to do instead."""


def refuse_returned(value: object, spec: HandlerSpec) -> None:
    """Raise ``ReturnedValue`` for anything but None: data that would be lost, work that was never begun."""
    kind = type(value).__name__
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise ReturnedValue(
            f"{spec.name} is a plain function and returned a {kind}, which nobody awaits, so its work was not done; "
            "declare the handler with async def and await it there"
        )
    if isinstance(value, BaseException) or (isinstance(value, type) and issubclass(value, BaseException)):
        name = value.__name__ if isinstance(value, type) else kind
        raise ReturnedValue(f"{spec.name} returned {name}, which changes nothing; raise it instead")
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise ReturnedValue(f"{spec.name} returned a {kind}, which nobody runs; run it to its end in the handler")
    raise ReturnedValue(
        f"{spec.name} returned a value of type {kind}, which would be lost; keep data with ctx.result = ..., "
        "and let the handler return nothing"
    )


def result_of(error: BaseException, spec: HandlerSpec) -> RunResult:
    """Return the result of an attempt whose handler raised ``error``, which may be an exception group."""
    try:
        result = _result_of(error, spec)
    except Exception as fault:  # noqa: BLE001  an error that cannot be judged is a failure like any other
        return RunResult(AttemptOutcome.FAILED, f"{describe_error(error)}; {fault}", retry=True)
    if result.outcome in FAULTS:
        return result._replace(traceback=traceback_of(error))
    return result


def _result_of(error: BaseException, spec: HandlerSpec) -> RunResult:
    deciding = deciding_error(error, (*spec.retry.never, *_MISTAKES))
    match deciding:
        case Retry():
            reason, wait = _reason(deciding, error), wait_of(deciding)
            return RunResult(AttemptOutcome.FAILED, reason, retry=spec.retry.retries(error), after_seconds=wait)
        case Snooze():
            wait = wait_of(deciding)
            if wait is None:
                raise ValueError(
                    f"{type(deciding).__name__} says no wait; have its __init__ call super().__init__(wait), or set "
                    "after_seconds"
                )
            return RunResult(AttemptOutcome.SNOOZED, _reason(deciding, error), after_seconds=wait)
        case Discard() | Cancel() | ShutdownRequested():
            return RunResult(outcome_of(deciding), _reason(deciding, error))
        case AttemptTimedOut():
            return RunResult(AttemptOutcome.TIMED_OUT, "timed out", retry=True)
        case ReturnedValue() | MiddlewareFault():  # they name who is at fault; the innermost frame is of one around it
            retry = isinstance(deciding, MiddlewareFault) and spec.retry.retries(error)
            return RunResult(AttemptOutcome.FAILED, f"{type(error).__name__}: {deciding}", retry=retry)
    retry = spec.retry.retries(error) and not isinstance(deciding, _MISTAKES)
    return RunResult(AttemptOutcome.FAILED, describe_error(error), retry=retry)


def _reason(signal: HandlerOutcome, error: BaseException) -> str:
    """Return the signal's reason, with what else was raised beside it in a group."""
    reason = reason_of(signal)
    others = [each for each in leaves_of(error) if each is not signal and not isinstance(each, HandlerOutcome)]
    if not others:
        return reason
    return f"{reason}; beside it: {'; '.join(map(describe_error, others[:10]))}"
