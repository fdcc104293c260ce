"""The decorators that mark the user's functions and classes; ``load_handlers`` finds the marks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from jobs.core.handlers.arguments.signatures import origin_of, refuse
from jobs.core.handlers.enqueuing.known import note_marked
from jobs.core.handlers.enqueuing.typed import DeclaredHandler, attach_commands
from jobs.core.handlers.handler_options import handler_options
from jobs.core.handlers.marking.marks import mark as keep_mark
from jobs.core.handlers.marking.marks import place_of_caller
from jobs.core.handlers.marking.options import explains_unknown_options

if TYPE_CHECKING:
    from datetime import timedelta

    from pydantic import BaseModel

    from jobs.core.handlers.arguments.versions import Upcaster
    from jobs.core.handlers.context import JobContext
    from jobs.core.handlers.enqueuing.typed import HandlerDecorator
    from jobs.core.handlers.handler_options import HandlerOptions
    from jobs.core.lifecycle.limits import Limits
    from jobs.core.lifecycle.retry import RetryPolicy

MARK = "__jobs_handler__"
PROVIDER_MARK = "__jobs_provider__"
MIDDLEWARE_MARK = "__jobs_middleware__"

Target = TypeVar("Target", bound=Callable[..., Any])

Middleware = Callable[["JobContext", Callable[[], None]], None]
"""Called around every attempt: ``call_next()`` calls the next middleware, the innermost one calls the handler.

``call_next()`` raises what the handler raises, including ``Retry`` and the other outcomes; do not swallow it. An error
that the middleware raises itself counts as the handler's. A middleware that returns without calling ``call_next()``, or
calls it twice, fails the attempt.
"""


@explains_unknown_options
def handler(
    name: str | DeclaredHandler[Any],
    *,
    retry: RetryPolicy | None = None,
    timeout: timedelta | None = None,
    version: int = 1,
    upcasters: Mapping[int, Upcaster] | None = None,
    limits: Limits[BaseModel] | None = None,
) -> HandlerDecorator:
    """Mark a function, or a class with a ``handle`` method, as the handler of jobs whose ``handler_name`` is ``name``.

    A marked function can be called as before. It gains ``command(args, …)``, which returns the command of a job for it,
    and ``enqueue(args, …)``, which enqueues one.

    The name is stored with every job: keep it when you rename the function. One parameter is annotated with a pydantic
    model, the job's arguments; one may be annotated ``JobContext``; every other one is a service, found by its type.
    ``timeout`` bounds one attempt. Jobs may set their own ``max_retries``, ``retry`` and ``timeout``.

    When the arguments change so that old payloads no longer fit, increase ``version`` and add to ``upcasters``, for
    each earlier version, a function that takes a payload of that version and returns it in the form of the next.

    Instead of a name it accepts what ``declare`` returned, and takes the options from there.

    ``limits`` bounds how many jobs run at once or start within a period, over all instances; due jobs beyond that are
    throttled.

    Raises ``HandlerRegistrationError`` if the name is missing, if the target already has a name, or if it is neither a
    function nor a class.
    """
    if isinstance(name, DeclaredHandler):
        if (retry, timeout, version, limits) != (None, None, 1, None):
            refuse(place_of_caller(), f"{name.name!r} is declared elsewhere; give its options there, in declare(...)")
        options = replace(name.options, upcasters=upcasters or {})
        return _marking(options)
    if not isinstance(name, str):
        bare = inspect.isfunction(name) or inspect.isclass(name)
        suggested = "".join(part.title() for part in name.__name__.split("_")) if bare else "SendEmail"
        named = not bare and name is not None
        stands = f"@handler({name!r}) has no text for a name" if named else "@handler stands without a name"
        refuse(
            origin_of(name) if bare else place_of_caller(),
            f'{stands}; write @handler("{suggested}"): the name is stored with every job, and outlives the function\'s',
        )
    return _marking(handler_options(name, retry, timeout, version, upcasters, limits))


def _marking(options: HandlerOptions) -> HandlerDecorator:
    name = options.name

    def mark(target: Any) -> Any:
        known: HandlerOptions | None = getattr(target, "__dict__", {}).get(MARK)
        if known is not None and known.name != name:
            refuse(
                place_of_caller(),
                f"@handler({name!r}) stands on what is @handler({known.name!r}) already, which would be lost; keep one "
                f"and register the other in register_handlers(registry), with registry.add_handler({name!r}, function)",
            )
        keep_mark(target, MARK, options, f"@handler({name!r})")
        note_marked(options, target)
        if not inspect.isclass(target):
            attach_commands(target, name)
        return target

    return mark


class Scope(StrEnum):
    """How long a service lives."""

    ATTEMPT = "attempt"
    APP = "app"


@dataclass(frozen=True, slots=True)
class ProviderOptions:
    """The options of ``@provider``."""

    scope: Scope = Scope.ATTEMPT
    ping: Callable[[Any], object] | None = None


@overload
def provider(function: Target) -> Target: ...


@overload
def provider(
    *, scope: Literal["attempt", "app"] = "attempt", ping: Callable[[Any], object] | None = None
) -> Callable[[Target], Target]: ...


def provider(
    function: Target | None = None,
    *,
    scope: Literal["attempt", "app"] = "attempt",
    ping: Callable[[Any], object] | None = None,
) -> Target | Callable[[Target], Target]:
    """Mark a function as the provider of the service that its return annotation names.

    It is called when the service is first needed: once per attempt, or with ``scope="app"`` once per process. A service
    of the app is used by many threads at once. A provider may take other services as parameters. One that yields is
    resumed for clean-up, after the attempt or when the app ends. An async one is called on the event loop of async
    handlers, which lives as long as the app. ``/api/health/ready`` calls ``ping`` with the service; if that raises,
    also while it is awaited, the app is not ready.
    """

    def mark(target: Target) -> Target:
        if scope not in set(Scope):
            refuse(
                origin_of(target),
                f'@provider has scope={scope!r}; write scope="app" for one that lives as long as the process, as a '
                'singleton does, or scope="attempt", the default, for one made anew for each attempt',
            )
        if ping is not None and not callable(ping):
            refuse(origin_of(target), f"@provider has ping={ping!r}; give a function that takes the service")
        keep_mark(target, PROVIDER_MARK, ProviderOptions(Scope(scope), ping), "@provider")
        return target

    return mark if function is None else mark(function)


@overload
def middleware(function: Target) -> Target: ...


@overload
def middleware(*, order: int = 0) -> Callable[[Target], Target]: ...


def middleware(function: Target | None = None, *, order: int = 0) -> Target | Callable[[Target], Target]:
    """Mark a function ``(ctx: JobContext, call_next)`` as middleware: it is called around every attempt.

    The lowest ``order`` is outermost; of equals, the one whose name comes first. It runs outside the services' scope,
    so it also sees errors of their clean-up. It calls ``call_next()`` once, or raises an outcome instead.
    """

    def mark(target: Target) -> Target:
        if type(order) is not int:
            refuse(origin_of(target), f"@middleware has order={order!r}; give a whole number, the lowest is outermost")
        keep_mark(target, MIDDLEWARE_MARK, order, "@middleware")
        return target

    return mark if function is None else mark(function)
