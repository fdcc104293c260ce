"""A handler or provider as the framework calls it, derived from its signature and its mark."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from jobs.core.commands import MAX_NAME
from jobs.core.errors import InvalidInput
from jobs.core.handlers.arguments.exact_models import read_model
from jobs.core.handlers.arguments.signatures import (
    check_model,
    check_returns,
    constructor_of,
    origin_of,
    parameters_of,
    refuse,
    split_parameters,
)
from jobs.core.handlers.arguments.versions import Upcaster, check_upcasters, upcast
from jobs.core.handlers.handler_options import HandlerOptions
from jobs.core.handlers.limit_checks import check_limits
from jobs.core.handlers.marking.decorators import Scope
from jobs.core.lifecycle.limits import Limits
from jobs.core.lifecycle.retry import RetryPolicy
from jobs.core.pydantic_problems import problems_of
from jobs.core.strict_json import read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PLAUSIBLE_SECONDS = 1_000_000
_RESERVED = "jobs."


@dataclass(frozen=True, slots=True)
class HandlerSpec:
    """A handler as the executor calls it. ``services`` maps the parameters to inject to their types."""

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
    version: int = 1
    upcasters: Mapping[int, Upcaster] = field(default_factory=dict)
    limits: Limits[Any] | None = None

    def key_of(self, arguments: BaseModel) -> str | None:
        """Return the concurrency key of a job with these arguments; None without one.

        Raises ``InvalidInput`` with a pointer to ``/payload``.
        """
        return None if self.limits is None else self.limits.key_of(arguments, self.name)

    def read_arguments(self, payload: str, version: int | None = None) -> BaseModel:
        """Parse a payload, JSON text of ``version`` (default: the current one), into the handler's arguments.

        Raises ``InvalidInput`` with pointers that start at ``/payload``; for a version that only a later release knows,
        its subclass ``NewerPayload``.
        """
        if version is not None and version != self.version:
            payload = upcast(payload, version, self.version, self.upcasters)
        try:
            return read_model(self.arguments, payload)
        except ValidationError as error:
            raise InvalidInput(problems_of(error, _parsed(payload), "/payload")) from None
        except Exception as error:
            name = self.arguments.__qualname__
            raise InvalidInput.at("/payload", f"{name} failed to read it with a {type(error).__name__}") from error


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """A provider as the framework calls it. ``services`` maps the parameters to inject to their types."""

    makes: type
    function: Callable[..., Any]
    services: Mapping[str, type]
    origin: str
    scope: Scope = Scope.ATTEMPT
    ping: Callable[[Any], object] | None = None

    @property
    def is_async(self) -> bool:
        """Whether the function is called on an event loop."""
        return inspect.iscoroutinefunction(self.function) or inspect.isasyncgenfunction(self.function)


def check_options(options: HandlerOptions, origin: str) -> None:
    """Raise ``HandlerRegistrationError`` for options that no handler can have."""
    if not isinstance(options.name, str) or not 0 < len(options.name) <= MAX_NAME:
        refuse(origin, f"a handler's name has 1 to {MAX_NAME} characters")
    if not options.name.isprintable() or options.name != options.name.strip():
        refuse(
            origin, f"the handler's name {options.name!r} has space around it, or what cannot be printed; write it bare"
        )
    if not isinstance(options.retry, RetryPolicy):
        given = options.retry
        example = f"RetryPolicy(max_retries={given})" if type(given) is int and given >= 0 else "RetryPolicy(...)"
        refuse(origin, f"a handler's retry is a RetryPolicy, not {given!r}; write retry={example}")
    if options.timeout is not None and not (isinstance(options.timeout, timedelta) and options.timeout > timedelta()):
        seconds: Any = options.timeout
        example = "timedelta(seconds=30)"
        if type(seconds) in {int, float} and 0 < seconds < _PLAUSIBLE_SECONDS:
            example = f"timedelta(seconds={seconds})"
        refuse(origin, f"a handler's timeout is a timedelta above zero, not {seconds!r}; write timeout={example}")
    check_limits(options.limits, origin)


def refuse_reserved_name(name: str, origin: str) -> None:
    """Raise ``HandlerRegistrationError`` for a name that only a handler of the framework's own may have."""
    if name.startswith(_RESERVED):
        refuse(origin, f"the names of handlers that begin with {_RESERVED!r} are the framework's own; give it another")


def handler_spec(options: HandlerOptions, target: Callable[..., Any]) -> HandlerSpec:
    """Return the spec of a handler; raises ``HandlerRegistrationError`` if its options or signature are unusable."""
    origin = origin_of(target)
    check_options(options, origin)
    check_upcasters(options.version, options.upcasters, origin)
    constructor_services = None
    function = target
    if inspect.isclass(target):
        if inspect.isabstract(target):
            missing = ", ".join(sorted(getattr(target, "__abstractmethods__", ())))
            refuse(origin, f"nobody can make an instance of it, for it is abstract; define {missing}")
        function = getattr(target, "handle", None) or refuse(origin, "a handler class needs a method handle(args, ctx)")
        constructor_services = constructor_of(target, origin)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        refuse(origin, "a handler that yields would never be run to its end; let it return")
    check_returns(function, origin)
    parameters = parameters_of(function, origin, skip_first=function is not target)
    arguments, context, services = split_parameters(parameters, origin)
    check_model(parameters[arguments], origin)
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
        version=options.version,
        upcasters=options.upcasters,
        limits=options.limits,
    )


def _parsed(payload: str) -> Any:
    try:
        return read_json(payload)
    except (ValueError, RecursionError):
        return None
