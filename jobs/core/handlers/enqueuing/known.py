"""The handlers that are marked or declared in this process, by name; ``connect()`` can enqueue jobs for these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.core.handlers.enqueuing.typed import DeclaredHandler
    from jobs.core.handlers.handler_options import HandlerOptions


class MarkedHandler(NamedTuple):
    """A function or class that is marked with ``@handler``."""

    options: HandlerOptions
    target: Callable[..., Any]


_marked: dict[str, MarkedHandler] = {}
_declared: dict[str, DeclaredHandler[Any]] = {}


def note_marked(options: HandlerOptions, target: Callable[..., Any]) -> None:
    """Remember a target of ``@handler``; the last of a name counts, since a module may be imported again."""
    _marked[options.name] = MarkedHandler(options, target)


def note_declared(handler: DeclaredHandler[Any]) -> None:
    """Remember a declared handler; the last of a name counts."""
    _declared[handler.name] = handler


def known_handler(name: str) -> MarkedHandler | DeclaredHandler[Any] | None:
    """Return the handler of that name, the marked one before the declared one; None if there is none."""
    return _marked.get(name) or _declared.get(name)


def known_names() -> set[str]:
    """Return the names of all marked and declared handlers."""
    return _marked.keys() | _declared.keys()
