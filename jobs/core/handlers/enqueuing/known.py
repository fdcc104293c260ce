"""The handlers that this process has marked or declared, by name: whom ``connect()`` can enqueue for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.core.handlers.enqueuing.typed import DeclaredHandler
    from jobs.core.handlers.handler_options import HandlerOptions


class MarkedHandler(NamedTuple):
    """A function or class that bears ``@handler``."""

    options: HandlerOptions
    target: Callable[..., Any]


_marked: dict[str, MarkedHandler] = {}
_declared: dict[str, DeclaredHandler[Any]] = {}


def note_marked(options: HandlerOptions, target: Callable[..., Any]) -> None:
    """Note what ``@handler`` was put on; the last of a name counts, as where a module is imported anew."""
    _marked[options.name] = MarkedHandler(options, target)


def note_declared(handler: DeclaredHandler[Any]) -> None:
    """Note what was declared; the last of a name counts."""
    _declared[handler.name] = handler


def known_handler(name: str) -> MarkedHandler | DeclaredHandler[Any] | None:
    """Return the handler of that name, rather with its code than declared; None if there is none."""
    return _marked.get(name) or _declared.get(name)


def known_names() -> set[str]:
    """Return the names of all."""
    return _marked.keys() | _declared.keys()
