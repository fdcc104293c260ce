"""Handlers declared by name and arguments only, for a program that enqueues jobs for another program to run."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from pydantic import BaseModel

from jobs.core.errors import UnknownHandler
from jobs.core.handlers.arguments.signatures import check_model, refuse
from jobs.core.handlers.enqueuing.known import MarkedHandler, known_handler, known_names, note_declared
from jobs.core.handlers.enqueuing.typed import DeclaredHandler
from jobs.core.handlers.handler_options import handler_options
from jobs.core.handlers.marking.marks import place_of_caller
from jobs.core.handlers.marking.options import explains_unknown_options
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.handlers.specs import HandlerSpec, check_options, handler_spec, refuse_reserved_name

if TYPE_CHECKING:
    from datetime import timedelta

    from jobs.core.lifecycle.limits import Limits
    from jobs.core.lifecycle.retry import RetryPolicy

Arguments = TypeVar("Arguments", bound=BaseModel)


@explains_unknown_options
def declare(
    name: str,
    arguments: type[Arguments],
    *,
    retry: RetryPolicy | None = None,
    timeout: timedelta | None = None,
    version: int = 1,
    limits: Limits[Arguments] | None = None,
) -> DeclaredHandler[Arguments]:
    """Declare a handler without its code, to enqueue jobs for it; the app runs them by the ``@handler`` of that name.

    If the app imports the same declaration, ``@handler(declared)`` takes name and options from it. If not, repeat the
    handler's options here: retries, timeout and limits are written into each job when it is enqueued.
    Raises ``HandlerRegistrationError`` for options or arguments that no handler can have.
    """
    place = place_of_caller()
    if not (inspect.isclass(arguments) and issubclass(arguments, BaseModel)):
        refuse(place, f"declare({name!r}, ...) takes the model of the handler's arguments, not {arguments!r}")
    check_model(arguments, place)
    options = handler_options(name, retry, timeout, version, limits=limits)
    check_options(options, place)
    refuse_reserved_name(name, place)
    if type(version) is not int or version < 1:
        refuse(place, f"a handler's version is a whole number from 1, not {version!r}")
    declared = DeclaredHandler(arguments, options)
    note_declared(declared)
    return declared


class KnownHandlers(HandlerRegistry):
    """The handlers marked or declared in this process at the time of a call; for enqueuing, not for running."""

    def __init__(self) -> None:
        super().__init__()
        self._specs: dict[str, tuple[MarkedHandler | DeclaredHandler[Any], HandlerSpec]] = {}

    def get(self, name: str) -> HandlerSpec | None:
        """Return a handler; None if no handler of that name is marked or declared in this process."""
        known = known_handler(name)
        if known is None:
            return None
        cached = self._specs.get(name)
        if cached is None or cached[0] is not known:
            cached = self._specs[name] = (known, _spec_of(known))
        return cached[1]

    def require(self, name: str, *, own: bool = False) -> HandlerSpec:  # noqa: ARG002  of an app alone
        """Return a handler; raises ``UnknownHandler``, whose message says how to declare it."""
        spec = self.get(name)
        if spec is None:
            raise UnknownHandler(
                name,
                sorted(known_names()),
                suggestion=f"import its module, or declare it: declare({name!r}, ItsArguments)",
            )
        return spec

    def all(self) -> list[HandlerSpec]:
        """Return the handlers, sorted by name."""
        return [self.require(name) for name in sorted(known_names())]


def _spec_of(known: MarkedHandler | DeclaredHandler[Any]) -> HandlerSpec:
    if isinstance(known, MarkedHandler):
        return handler_spec(known.options, known.target)
    options = known.options
    return HandlerSpec(
        name=known.name,
        target=_not_here,
        arguments=known.arguments,
        arguments_parameter="args",
        context_parameter=None,
        services={},
        constructor_services=None,
        is_async=False,
        retry=options.retry,
        timeout=options.timeout,
        origin=f"declare({known.name!r}, {known.arguments.__qualname__})",
        version=options.version,
        limits=options.limits,
    )


def _not_here(*_: object) -> NoReturn:
    raise RuntimeError("this handler is declared only; the app that has its code runs it")
