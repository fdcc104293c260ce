"""The registry of handlers, providers and middleware of an app."""

from __future__ import annotations

from datetime import timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from jobs.core.errors import HandlerRegistrationError, UnknownHandler
from jobs.core.handlers.arguments.signatures import check_middleware, made_by, origin_of, parameters_of, refuse
from jobs.core.handlers.handler_options import HandlerOptions, handler_options
from jobs.core.handlers.marking.decorators import (
    MARK,
    MIDDLEWARE_MARK,
    PROVIDER_MARK,
    Middleware,
    ProviderOptions,
    Scope,
)
from jobs.core.handlers.marking.marks import Mark, attributes_of, marks_of
from jobs.core.handlers.marking.options import explains_unknown_options
from jobs.core.handlers.specs import HandlerSpec, ProviderSpec, handler_spec, refuse_reserved_name
from jobs.core.lifecycle.limits import Limits
from jobs.core.lifecycle.retry import RetryPolicy
from jobs.core.transactions.lock import DistributedLock
from jobs.core.transactions.unit_of_work import UnitsOfWork

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

    from jobs.core.handlers.arguments.versions import Upcaster

BUILT_IN_SERVICES: frozenset[type] = frozenset({DistributedLock, UnitsOfWork})
"""Services that handlers and providers can take without a provider. A provider of the app for the same type wins."""


class HandlerRegistry:
    """All handlers of an app by name. It is filled at the start; many threads read it afterwards."""

    def __init__(self) -> None:
        self._handlers: dict[str, HandlerSpec] = {}
        self._own: dict[str, HandlerSpec] = {}
        self.limited: Mapping[str, Limits[Any]] = {}
        """The handlers that have limits."""
        self.providers: dict[type, ProviderSpec] = {}
        self.middleware: list[Middleware] = []
        """The middleware that is called around every attempt, the outermost first."""
        self._middleware: list[tuple[int, str, Middleware]] = []
        self.registered_marks: set[Mark] = set()
        """The marks whose function or class was registered, found when loading or by an explicit call."""
        self.warnings: list[str] = []
        """Possible mistakes found when the handlers were loaded, to be logged at the start."""

    @explains_unknown_options
    def add_handler(
        self,
        name: str,
        target: Callable[..., Any],
        *,
        retry: RetryPolicy | None = None,
        timeout: timedelta | None = None,
        version: int = 1,
        upcasters: Mapping[int, Upcaster] | None = None,
        limits: Limits[BaseModel] | None = None,
    ) -> HandlerSpec:
        """Register ``target``, a function or a class with ``handle``, under ``name``; the options are ``handler``'s.

        Raises ``HandlerRegistrationError`` for a name that is taken or a signature that cannot be called.
        """
        return self._add(handler_options(name, retry, timeout, version, upcasters, limits), target)

    def add_marked(self, value: Any) -> None:
        """Register a target of ``@handler``, ``@provider`` or ``@middleware``; ignore anything else."""
        marks = attributes_of(value)
        if MARK in marks:
            self._add(marks[MARK], value)
        if PROVIDER_MARK in marks:
            self.add_provider(value, marks[PROVIDER_MARK])
        if MIDDLEWARE_MARK in marks:
            self.add_middleware(value, order=marks[MIDDLEWARE_MARK])

    def _add(self, options: HandlerOptions, target: Callable[..., Any]) -> HandlerSpec:
        spec = handler_spec(options, target)
        refuse_reserved_name(spec.name, spec.origin)
        known = self._handlers.get(options.name)
        if known is not None and known.target is not target:
            raise HandlerRegistrationError(
                f"two handlers are called {options.name!r}: {known.origin} and {spec.origin}; "
                "give one of them another name"
            )
        self._handlers[options.name] = spec
        self.registered_marks.update(marks_of(target))
        if spec.limits is not None:
            self.limited = {**self.limited, spec.name: spec.limits}
        return spec

    def add_provider(self, function: Callable[..., Any], options: ProviderOptions | None = None) -> None:
        """Register a provider; ``options`` default to those of its ``@provider`` mark, if it has one.

        Raises ``HandlerRegistrationError`` for a second provider of the same type or one without annotations.
        """
        if options is None:
            options = getattr(function, PROVIDER_MARK, None) or ProviderOptions()
        origin = origin_of(function)
        makes, services = made_by(function, origin), parameters_of(function, origin)
        spec = ProviderSpec(makes, function, services, origin, options.scope, options.ping)
        known = self.providers.get(spec.makes)
        if known is not None and known.function is not function:
            raise HandlerRegistrationError(
                f"two providers make {spec.makes.__qualname__}: {known.origin} and {spec.origin}; remove one"
            )
        self.providers[spec.makes] = spec
        self.registered_marks.update(marks_of(function))

    def add_middleware(self, function: Middleware, *, order: int = 0) -> None:
        """Register a middleware; the lowest ``order`` is outermost.

        Raises ``HandlerRegistrationError`` if it cannot be called with a context and the next call.
        """
        origin = origin_of(function)
        check_middleware(function, origin)
        self.registered_marks.update(marks_of(function))
        name = f"{function.__module__}.{getattr(function, '__qualname__', '')}"
        self._middleware = sorted({*self._middleware, (order, name, function)}, key=itemgetter(0, 1))
        self.middleware = [function for _, _, function in self._middleware]

    def check_services(self) -> None:
        """Raise ``HandlerRegistrationError`` if a handler or provider needs a service that no provider makes."""
        needers: list[HandlerSpec | ProviderSpec] = [*self._handlers.values(), *self.providers.values()]
        for needer in needers:
            wanted = dict(needer.services)
            if isinstance(needer, HandlerSpec):
                wanted |= needer.constructor_services or {}
            for parameter, service in wanted.items():
                if service not in self.providers and service not in BUILT_IN_SERVICES:
                    made = getattr(service, "__qualname__", service)  # a union has no name, only a text
                    raise HandlerRegistrationError(
                        f"{needer.origin}: nothing provides {made}, wanted for the parameter {parameter!r}; "
                        "add a function with @provider that returns it"
                    )

        for service in self.providers:
            self._check_cycles(service, ())

    def _check_cycles(self, service: type, above: tuple[type, ...]) -> None:
        if service in above:
            cycle = " -> ".join(each.__qualname__ for each in (*above[above.index(service) :], service))
            refuse(self.providers[service].origin, f"providers need each other in a cycle, {cycle}; break it")
        provider = self.providers[service]
        for wanted in provider.services.values():
            if wanted not in self.providers:
                continue  # built in, so it lives as long as the app
            self._check_cycles(wanted, (*above, service))
            if provider.scope is Scope.APP and self.providers[wanted].scope is Scope.ATTEMPT:
                refuse(
                    provider.origin,
                    f"it makes {service.__qualname__} for the whole app out of {wanted.__qualname__}, which is gone "
                    'after one attempt; give that one scope="app" as well',
                )

    def add_own(self, name: str, target: Callable[..., Any], *, retry: RetryPolicy, timeout: timedelta) -> None:
        """Add a handler of the framework's own, which is not listed, and which callers cannot enqueue for."""
        self._own[name] = handler_spec(handler_options(name, retry, timeout), target)

    def get(self, name: str) -> HandlerSpec | None:
        """Return a handler; None if this app has none of that name."""
        return self._handlers.get(name) or self._own.get(name)

    def require(self, name: str, *, own: bool = False) -> HandlerSpec:
        """Return a handler, with ``own`` one of the framework's too.

        Raises ``UnknownHandler``, which lists the registered names.
        """
        spec = self._handlers.get(name) or (self._own.get(name) if own else None)
        if spec is None:
            raise UnknownHandler(name, list(self._handlers))
        return spec

    def all(self) -> list[HandlerSpec]:
        """Return the handlers, sorted by name."""
        return [self._handlers[name] for name in sorted(self._handlers)]
