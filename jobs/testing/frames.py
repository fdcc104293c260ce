"""Leave the framework's frames out of what a failing test shows: the mistake is in the test, or in its handler."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.core.errors import JobsError

if TYPE_CHECKING:
    from types import TracebackType

_FRAMEWORK, _TESTING = "jobs", "jobs.testing"


def hide_frames(error: BaseException) -> None:
    """Take the framework's frames out of the traceback of ``error``, and out of those of its causes.

    Changes nothing where the error came through no harness, as in the framework's own tests of other parts. A traceback
    that ends in the framework with an error that it does not raise on purpose stays whole, since that is a fault of the
    framework's own.
    """
    if not any(_is_within(_TESTING, _module(frame)) for frame in _frames(error.__traceback__)):
        return
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        waiting += [
            each.__cause__,
            each.__context__,
            *(each.exceptions if isinstance(each, BaseExceptionGroup) else ()),
        ]
        if not _is_fault_of_framework(each):
            each.__traceback__ = _without_framework(each.__traceback__)


def _is_fault_of_framework(error: BaseException) -> bool:
    frames = list(_frames(error.__traceback__))
    if not frames or isinstance(error, (JobsError, AssertionError)):
        return False
    last = _module(frames[-1])
    return _is_within(_FRAMEWORK, last) and not _is_within(_TESTING, last)


def _without_framework(traceback: TracebackType | None) -> TracebackType | None:
    kept = [frame for frame in _frames(traceback) if not _is_within(_FRAMEWORK, _module(frame))]
    for frame, after in zip(kept, [*kept[1:], None], strict=True):
        frame.tb_next = after
    return kept[0] if kept else traceback


def _frames(traceback: TracebackType | None) -> list[TracebackType]:
    frames = []
    while traceback is not None:
        frames.append(traceback)
        traceback = traceback.tb_next
    return frames


def _module(frame: TracebackType) -> str:
    return str(frame.tb_frame.f_globals.get("__name__", ""))


def _is_within(package: str, module: str) -> bool:
    return f"{module}.".startswith(f"{package}.")
