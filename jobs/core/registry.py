"""Typed handlers: which function runs which jobs, what arguments it takes, and which services it is given."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from jobs.core.commands import MAX_NAME, problems_of
from jobs.core.errors import HandlerRegistrationError, InvalidInput, UnknownHandler
from jobs.core.retry import RetryPolicy
from jobs.core.signatures import constructor_of, made_by, origin_of, parameters_of, refuse, split_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MARK = "__jobs_handler__"
PROVIDER_MARK = "__jobs_provider__"

Target = TypeVar("Target", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class HandlerOptions:
    """What ``@handler`` was given."""

    name: str
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout: timedelta | None = None


def handler(
    name: str, *, retry: RetryPolicy | None = None, timeout: timedelta | None = None
) -> Callable[[Target], Target]:
    """Mark a function, or a class with a ``handle`` method, as the handler of jobs whose ``handler_name`` is ``name``.

    The name is stored with every job: keep it when you rename the function. One parameter is annotated with a pydantic
    model, the job's arguments; one may be annotated ``JobContext``; every other one is a service, found by its type.
    ``timeout`` bounds one attempt. Jobs may set their own ``max_retries`` and ``timeout``.
    """
    options = HandlerOptions(name, retry or RetryPolicy(), timeout)

    def mark(target: Target) -> Target:
        setattr(target, MARK, options)
        return target

    return mark


def provider(function: Target) -> Target:
    """Mark a function as the maker of the service that its return annotation names, once per attempt.

    It may take other services as parameters. One that yields is resumed after the attempt, to clean up.
    """
    setattr(function, PROVIDER_MARK, True)
    return function


@dataclass(frozen=True, slots=True)
class HandlerSpec:
    """A handler as the dispatcher calls it. ``services`` maps the parameters to inject to their types."""

    name: str
    target: Callable[..., Any]
    arguments: type[BaseModel]
    arguments_parameter: str
    context_parameter: str | None
    services: Mapping[str, type]
    constructor_services: Mapping[str, type] | None
    is_async: bool
    retry: RetryPolicy
    timeout: timedelta | None
    origin: str

    def read_arguments(self, payload: str) -> BaseModel:
        """Parse a payload, JSON text, into the handler's arguments.

        Raises ``InvalidInput`` with pointers that start at ``/payload``.
        """
        try:
            return self.arguments.model_validate_json(payload)
        except ValidationError as error:
            raise InvalidInput(problems_of(error, _parsed(payload), "/payload")) from None
        except Exception as error:
            name = self.arguments.__qualname__
            raise InvalidInput.at("/payload", f"{name} failed to read it with a {type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """A provider: what it makes, of which other services."""

    makes: type
    function: Callable[..., Any]
    services: Mapping[str, type]
    origin: str


class HandlerRegistry:
    """All handlers of an app by name. Fill it at the start; it is read by many threads afterwards."""

    def __init__(self) -> None:
        self._handlers: dict[str, HandlerSpec] = {}
        self.providers: dict[type, ProviderSpec] = {}

    def add_handler(
        self,
        name: str,
        target: Callable[..., Any],
        *,
        retry: RetryPolicy | None = None,
        timeout: timedelta | None = None,
    ) -> HandlerSpec:
        """Register ``target``, a function or a class with ``handle``, under ``name``.

        Raises ``HandlerRegistrationError`` for a name that is taken or a signature that cannot be served.
        """
        spec = _handler_spec(HandlerOptions(name, retry or RetryPolicy(), timeout), target)
        known = self._handlers.get(name)
        if known is not None and known.target is not target:
            raise HandlerRegistrationError(
                f"two handlers are called {name!r}: {known.origin} and {spec.origin}; give one of them another name"
            )
        self._handlers[name] = spec
        return spec

    def add_provider(self, function: Callable[..., Any]) -> None:
        """Register a provider.

        Raises ``HandlerRegistrationError`` for a second one of the same type or one without annotations.
        """
        origin = origin_of(function)
        spec = ProviderSpec(made_by(function, origin), function, parameters_of(function, origin), origin)
        known = self.providers.get(spec.makes)
        if known is not None and known.function is not function:
            raise HandlerRegistrationError(
                f"two providers make {spec.makes.__qualname__}: {known.origin} and {spec.origin}; remove one"
            )
        self.providers[spec.makes] = spec

    def check_services(self) -> None:
        """Raise ``HandlerRegistrationError`` if a handler or provider needs a service that nothing provides."""
        needers: list[HandlerSpec | ProviderSpec] = [*self._handlers.values(), *self.providers.values()]
        for needer in needers:
            wanted = dict(needer.services)
            if isinstance(needer, HandlerSpec):
                wanted |= needer.constructor_services or {}
            for parameter, service in wanted.items():
                if service not in self.providers:
                    made = getattr(service, "__qualname__", service)  # a union has no name, only a text
                    raise HandlerRegistrationError(
                        f"{needer.origin}: nothing provides {made}, wanted for the parameter {parameter!r}; "
                        "add a function with @provider that returns it"
                    )

        for service in self.providers:
            self._check_cycles(service, ())

    def _check_cycles(self, service: type, above: tuple[type, ...]) -> None:
        if service in above:
            ring = " -> ".join(each.__qualname__ for each in (*above[above.index(service) :], service))
            refuse(self.providers[service].origin, f"providers want each other in a ring, {ring}; break it")
        for wanted in self.providers[service].services.values():
            self._check_cycles(wanted, (*above, service))

    def get(self, name: str) -> HandlerSpec | None:
        """Find a handler; None if this app has none of that name."""
        return self._handlers.get(name)

    def require(self, name: str) -> HandlerSpec:
        """Find a handler; raises ``UnknownHandler``, which lists the names there are."""
        spec = self._handlers.get(name)
        if spec is None:
            raise UnknownHandler(name, list(self._handlers))
        return spec

    def all(self) -> list[HandlerSpec]:
        """List the handlers by name."""
        return [self._handlers[name] for name in sorted(self._handlers)]


def _handler_spec(options: HandlerOptions, target: Callable[..., Any]) -> HandlerSpec:
    origin = origin_of(target)
    if not 0 < len(options.name) <= MAX_NAME:
        refuse(origin, f"a handler's name has 1 to {MAX_NAME} characters")
    if options.timeout is not None and not (isinstance(options.timeout, timedelta) and options.timeout > timedelta()):
        refuse(origin, f"a handler's timeout is a timedelta above zero, not {options.timeout!r}")
    constructor_services = None
    function = target
    if inspect.isclass(target):
        function = getattr(target, "handle", None) or refuse(origin, "a handler class needs a method handle(args, ctx)")
        constructor_services = constructor_of(target, origin)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        refuse(origin, "a handler that yields would never be run to its end; let it return")
    parameters = parameters_of(function, origin, skip_first=function is not target)
    arguments, context, services = split_parameters(parameters, origin)
    return HandlerSpec(
        name=options.name,
        target=target,
        arguments=parameters[arguments],
        arguments_parameter=arguments,
        context_parameter=context,
        services=services,
        constructor_services=constructor_services,
        is_async=inspect.iscoroutinefunction(function),
        retry=options.retry,
        timeout=options.timeout,
        origin=origin,
    )


def _parsed(payload: str) -> Any:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None
