"""What ``@handler``, ``@provider`` and ``@middleware`` have marked in this process, so that no mark is lost in silence.

A mark is found through the name that its function or class has in its module. One whose name leads elsewhere, or that
has none there, would be passed over; what is noted here shows it.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobs.core.handlers.signatures import refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import FrameType

NOTES = "__jobs_marks__"
"""The attribute that keeps a target's marks; ``functools.wraps`` copies it to what wraps the target."""


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """One decorator of ours, applied once: what it says, to what, and where."""

    text: str
    module: str
    name: str
    place: str

    @property
    def nested(self) -> bool:
        """Whether the target was defined within a function."""
        return "<locals>" in self.name

    @property
    def within_a_class(self) -> bool:
        """Whether the target was defined in the body of a class."""
        return not self.nested and "." in self.name


_marks: dict[tuple[str, str, str], Mark] = {}


_OURS = {
    __name__,
    "jobs.core.handlers.declared",
    "jobs.core.handlers.decorators",
    "jobs.core.handlers.options",
    "jobs.core.handlers.registry",
}


def mark(target: Callable[..., Any], attribute: str, options: object, text: str) -> None:
    """Keep ``options`` as ``attribute`` of ``target``, and note that ``text``, the decorator, was put on it, and where.

    Raises ``HandlerRegistrationError`` for what is neither function nor class.
    """
    place = _place(inspect.currentframe())
    if not (inspect.isfunction(target) or inspect.isclass(target)):
        refuse(
            place,
            f"{text} stands on a {type(target).__name__}; put it on a function, or on a class with a method handle, "
            "above every other decorator",
        )
    note = Mark(text, target.__module__, target.__qualname__, place)
    _marks[note.module, note.place, note.text] = note
    setattr(target, attribute, options)
    setattr(target, NOTES, (*vars(target).get(NOTES, ()), note))


def _place(frame: FrameType | None) -> str:
    """Say where the decorator stands: the first frame below ours."""
    while frame is not None and frame.f_globals.get("__name__") in _OURS:
        frame = frame.f_back
    return "?" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def place_of_caller() -> str:
    """Say from where one of our decorators was called: file and line."""
    return _place(inspect.currentframe())


def marks_of(target: object) -> tuple[Mark, ...]:
    """Return the marks that a function or class bears, those of what it wraps included."""
    notes: tuple[Mark, ...] = getattr(target, "__dict__", {}).get(NOTES, ())
    return notes


def marks_in(modules: Collection[str]) -> list[Mark]:
    """Return every mark set on what is defined in these modules, in the order in which they were set."""
    return [each for each in _marks.values() if each.module in modules]


def forget_marks(module: str) -> None:
    """Forget the marks of a module that is about to be executed again."""
    for key in [key for key in _marks if key[0] == module]:
        del _marks[key]
