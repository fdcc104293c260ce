"""Typed handlers: which function runs which jobs, what arguments it takes, and which services it is given."""

from __future__ import annotations

import inspect
import types
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ValidationError

from jobs.core.commands import problems_of
from jobs.core.context import JobContext
from jobs.core.errors import HandlerRegistrationError, InvalidInput, UnknownHandler
from jobs.core.retry import RetryPolicy

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
            raise InvalidInput(problems_of(error, "/payload")) from None


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
        spec = _provider_spec(function)
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
                    raise HandlerRegistrationError(
                        f"{needer.origin}: nothing provides {service.__qualname__}, wanted for the parameter "
                        f"{parameter!r}; add a function with @provider that returns it"
                    )

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


def origin_of(target: Callable[..., Any]) -> str:
    """Say where ``target`` is defined: file, line and name."""
    try:
        file = inspect.getsourcefile(target) or "?"
        line = inspect.getsourcelines(target)[1]
    except (OSError, TypeError):
        return getattr(target, "__qualname__", repr(target))
    return f"{file}:{line} ({target.__qualname__})"


def _handler_spec(options: HandlerOptions, target: Callable[..., Any]) -> HandlerSpec:
    origin = origin_of(target)
    if not options.name or len(options.name) > 200:  # noqa: PLR2004  as the API bounds every name
        raise HandlerRegistrationError(f"{origin}: a handler's name has 1 to 200 characters")
    constructor_services = None
    function = target
    if inspect.isclass(target):
        function = getattr(target, "handle", None) or _refuse(
            origin, "a handler class needs a method handle(args, ctx)"
        )
        initialiser = target.__init__ if target.__init__ is not object.__init__ else None
        constructor_services = _parameters(initialiser, origin, skip_first=True) if initialiser else {}
    parameters = _parameters(function, origin, skip_first=function is not target)
    models = [n for n, t in parameters.items() if inspect.isclass(t) and issubclass(t, BaseModel)]
    contexts = [n for n, t in parameters.items() if t is JobContext]
    if len(models) != 1 or len(contexts) > 1:
        _refuse(
            origin,
            "a handler takes exactly one parameter annotated with a pydantic model, its arguments, and at most one "
            f"annotated JobContext; found {len(models)} and {len(contexts)}",
        )
    rest = {name: kind for name, kind in parameters.items() if name not in (*models, *contexts)}
    return HandlerSpec(
        name=options.name,
        target=target,
        arguments=parameters[models[0]],
        arguments_parameter=models[0],
        context_parameter=contexts[0] if contexts else None,
        services=rest,
        constructor_services=constructor_services,
        is_async=inspect.iscoroutinefunction(function),
        retry=options.retry,
        timeout=options.timeout,
        origin=origin,
    )


def _provider_spec(function: Callable[..., Any]) -> ProviderSpec:
    origin = origin_of(function)
    made = _hints(function, origin).get("return")
    if get_origin(made) in (Iterator, Generator):
        made = get_args(made)[0]
    if not inspect.isclass(made) or isinstance(made, types.GenericAlias):
        _refuse(origin, "a provider needs a return annotation that names the class it makes")
    made_type: type = made
    return ProviderSpec(made_type, function, _parameters(function, origin), origin)


def _parameters(function: Callable[..., Any], origin: str, *, skip_first: bool = False) -> dict[str, type]:
    hints = _hints(function, origin)
    found = {}
    for name, parameter in list(inspect.signature(function).parameters.items())[int(skip_first) :]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            _refuse(origin, f"*{name} cannot be injected; name each parameter")
        if name not in hints:
            _refuse(origin, f"the parameter {name!r} has no annotation, so nobody knows what to pass; annotate it")
        found[name] = hints[name]
    return found


def _hints(function: Callable[..., Any], origin: str) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except NameError as error:
        _refuse(
            origin,
            f"an annotation names {error.name!r}, unknown when the handler runs; import it outside TYPE_CHECKING",
        )


def _refuse(origin: str, why: str) -> NoReturn:
    raise HandlerRegistrationError(f"{origin}: {why}")
