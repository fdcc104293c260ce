"""The marks set by ``@handler``, ``@provider`` and ``@middleware`` in this process, so that none is lost silently.

Loading finds a marked function or class by its name in its module. A target whose name is gone or refers to something
else would be missed; this record reveals it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobs.core.handlers.arguments.signatures import refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import FrameType

NOTES = "__jobs_marks__"
"""The attribute that holds a target's marks; ``functools.wraps`` copies it to the target's wrapper."""


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """One application of one of our decorators: its text, its target's module and name, and the file and line."""

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
    "jobs.core.handlers.marking.decorators",
    "jobs.core.handlers.marking.options",
    "jobs.core.handlers.registry",
}


def mark(target: Callable[..., Any], attribute: str, options: object, text: str) -> None:
    """Set ``options`` as ``attribute`` of ``target``, and record the mark; ``text`` is the decorator as written.

    Raises ``HandlerRegistrationError`` if ``target`` is neither a function nor a class.
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
    """Return file and line of the decorator: the first frame outside the framework."""
    while frame is not None and frame.f_globals.get("__name__") in _OURS:
        frame = frame.f_back
    return "?" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def place_of_caller() -> str:
    """Return the file and line from which one of our decorators was called."""
    return _place(inspect.currentframe())


def marks_of(target: object) -> tuple[Mark, ...]:
    """Return the marks of a function or class, including those of the function it wraps."""
    notes: tuple[Mark, ...] = attributes_of(target).get(NOTES, ())
    return notes


def attributes_of(value: object) -> Mapping[str, Any]:
    """Return what was set on a value itself; empty if that cannot be asked, as of a proxy that is bound to nothing yet.

    A module may have such a proxy among its names: Flask's ``current_app`` raises whatever it is asked for.
    """
    try:
        found = value.__dict__
    except Exception:  # noqa: BLE001  whatever the user's object raises
        return {}
    return found if isinstance(found, Mapping) else {}


def is_defined_in(value: object, module: str) -> bool:
    """Whether a function or class is defined in a module, and not imported there."""
    try:
        return bool(value.__module__ == module)
    except Exception:  # noqa: BLE001  as above
        return False


def marks_in(modules: Collection[str]) -> list[Mark]:
    """Return every mark whose target is defined in these modules, in the order in which they were set."""
    return [each for each in _marks.values() if each.module in modules]


def forget_marks(module: str) -> None:
    """Forget the marks of a module that is about to be executed again."""
    for key in [key for key in _marks if key[0] == module]:
        del _marks[key]
