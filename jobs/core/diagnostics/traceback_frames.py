"""Leave out the frames of a traceback that say nothing to the author of a handler."""

from __future__ import annotations

from traceback import StackSummary
from typing import TYPE_CHECKING

from jobs.core.diagnostics.user_code import Origin, origin_of_file, own_frames

if TYPE_CHECKING:
    from traceback import TracebackException


def driver_error_of(error: BaseException) -> BaseException | None:
    """Return the driver's error if ``error`` is SQLAlchemy's wrapper of one; None otherwise."""
    cause = getattr(error, "orig", None)
    return cause if isinstance(cause, BaseException) and hasattr(error, "statement") else None


def leave_out_frames(trace: TracebackException, error: BaseException) -> None:
    """Leave out frames of ``trace``, made from ``error``, and of its causes."""
    _leave_out(trace, error, set(), within_library=False)


def relevant_frames(stack: StackSummary) -> StackSummary:
    """Return the frames from the user's first on, without the framework's."""
    own = own_frames([each.filename for each in stack])
    first = own.index(True) if True in own else 0
    kept = [each for each in stack[first:] if origin_of_file(each.filename) is not Origin.FRAMEWORK]
    return StackSummary.from_list(kept or stack)


def _leave_out(trace: TracebackException, error: BaseException, seen: set[int], *, within_library: bool) -> None:
    """Leave out frames of ``trace`` and its causes. ``within_library``: the error it caused names the user's line."""
    if id(trace) in seen:
        return
    seen.add(id(trace))
    users = _has_users_frames(trace.stack)
    if users and driver_error_of(error) is not None and not _is_caused_by_user(trace):
        trace.stack = _up_to_users_last(trace.stack)
        trace.__cause__ = trace.__context__ = None
        return
    trace.stack = _innermost(trace.stack) if within_library and not users else relevant_frames(trace.stack)
    for inner, cause in ((trace.__cause__, error.__cause__), (trace.__context__, error.__context__)):
        if inner is not None and cause is not None:
            _leave_out(inner, cause, seen, within_library=within_library or users)
    members = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for inner, member in zip(trace.exceptions or (), members, strict=False):
        _leave_out(inner, member, seen, within_library=False)


def _has_users_frames(stack: StackSummary) -> bool:
    return any(origin_of_file(each.filename) is Origin.USER for each in stack)


def _is_caused_by_user(trace: TracebackException) -> bool:
    """Whether one of the causes of an error passed through the user's code."""
    waiting, seen = [trace.__cause__, trace.__context__], set[int]()
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        if _has_users_frames(each.stack):
            return True
        seen.add(id(each))
        waiting += [each.__cause__, each.__context__]
    return False


def _innermost(stack: StackSummary) -> StackSummary:
    """Return the last frame that is not the framework's, for an error that a library raised and caught itself."""
    kept = [each for each in stack if origin_of_file(each.filename) is not Origin.FRAMEWORK]
    return StackSummary.from_list((kept or stack)[-1:])


def _up_to_users_last(stack: StackSummary) -> StackSummary:
    """Return the frames from the user's first to the user's last, without the framework's."""
    last = max(place for place, each in enumerate(stack) if origin_of_file(each.filename) is Origin.USER)
    return relevant_frames(StackSummary.from_list(stack[: last + 1]))
