"""Read what a handler or a provider wants off its signature, and refuse what could not be served."""

from __future__ import annotations

import inspect
import types
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any, NoReturn, Protocol, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.errors import PydanticUndefinedAnnotation

from jobs.core.context import JobContext
from jobs.core.errors import HandlerRegistrationError


def origin_of(target: Callable[..., Any]) -> str:
    """Say where ``target`` is defined: file, line and name."""
    try:
        file = inspect.getsourcefile(target) or "?"
        line = inspect.getsourcelines(target)[1]
    except (OSError, TypeError):
        return getattr(target, "__qualname__", repr(target))
    return f"{file}:{line} ({target.__qualname__})"


def made_by(function: Callable[..., Any], origin: str) -> type:
    """Give the class that a provider makes; raises ``HandlerRegistrationError`` where its annotations do not say."""
    made = hints_of(function, origin).get("return")
    if get_origin(made) in (Iterator, Generator, AsyncIterator, AsyncGenerator):
        made = get_args(made)[0]
    if not inspect.isclass(made) or isinstance(made, types.GenericAlias) or made is types.NoneType:
        refuse(origin, "a provider needs a return annotation that names the class it makes")
    return made


def constructor_of(target: type, origin: str) -> dict[str, type]:
    """Give what a handler class's constructor wants; nothing where it has none of its own."""
    initialiser = target.__init__  # type: ignore[misc]
    if initialiser in (object.__init__, _OfProtocol.__init__):
        return {}
    return parameters_of(initialiser, origin, skip_first=True)


class _Bare(Protocol):
    """A protocol gives its classes an __init__ that wants nothing; this one shows which."""


class _OfProtocol(_Bare):
    pass


def check_middleware(function: Callable[..., Any], origin: str) -> None:
    """Raise ``HandlerRegistrationError`` unless ``function`` can be called with a context and the next call."""
    if inspect.iscoroutinefunction(function):
        refuse(origin, "a middleware is a plain function, also around an async handler; make it without async")
    if inspect.isgeneratorfunction(function):
        refuse(origin, "a middleware that yields is never run; have it call call_next() where the yield stands")
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        refuse(origin, "a middleware is called as function(ctx, call_next); let it take these two")


def split_parameters(parameters: dict[str, type], origin: str) -> tuple[str, str | None, dict[str, type]]:
    """Tell a handler's arguments, context and services apart; raises ``HandlerRegistrationError`` if it cannot be."""
    models = [n for n, t in parameters.items() if inspect.isclass(t) and issubclass(t, BaseModel)]
    contexts = [n for n, t in parameters.items() if t is JobContext]
    if len(models) != 1 or len(contexts) > 1:
        refuse(
            origin,
            "a handler takes exactly one parameter annotated with a pydantic model, its arguments, and at most one "
            f"annotated JobContext; found {len(models)} and {len(contexts)}",
        )
    rest = {name: kind for name, kind in parameters.items() if name not in (*models, *contexts)}
    return models[0], contexts[0] if contexts else None, rest


def check_model(model: type[BaseModel], origin: str) -> None:
    """Raise ``HandlerRegistrationError`` for arguments that keep nothing, or that name what is not there."""
    if model is BaseModel:
        refuse(origin, "its arguments are BaseModel itself, which keeps nothing of a payload; define a class of it")
    try:
        model.model_rebuild()
    except PydanticUndefinedAnnotation as error:
        refuse(
            origin,
            f"a field of its arguments {model.__qualname__} names {error.name!r}, unknown in {model.__module__}; "
            "import it there outside TYPE_CHECKING",
        )
    except Exception as error:  # noqa: BLE001  an annotation is code of the user's, and may fail in any way
        refuse(origin, f"its arguments {model.__qualname__} cannot be read: {type(error).__name__}: {error}; mend them")


def parameters_of(function: Callable[..., Any], origin: str, *, skip_first: bool = False) -> dict[str, type]:
    """Give the parameters that must be passed, with their types; one with a default keeps it.

    Raises ``HandlerRegistrationError`` for one that cannot be passed by name or says no type.
    """
    hints = hints_of(function, origin)
    found = {}
    for name, parameter in list(inspect.signature(function).parameters.items())[int(skip_first) :]:
        if parameter.default is not parameter.empty:
            if JobContext in (hints.get(name), *get_args(hints.get(name))):
                refuse(origin, f"the parameter {name!r} has a default, so it would never be passed; remove the default")
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            refuse(
                origin,
                f"*{name} cannot be injected; name each parameter, and where a decorator made this function, "
                "have it use functools.wraps",
            )
        if parameter.kind is parameter.POSITIONAL_ONLY:
            refuse(origin, f"the parameter {name!r} stands before a /, but it is passed by name; remove the /")
        if name not in hints:
            refuse(origin, f"the parameter {name!r} has no annotation, so nobody knows what to pass; annotate it")
        found[name] = hints[name]
    return found


def hints_of(function: Callable[..., Any], origin: str) -> dict[str, Any]:
    """Resolve a function's annotations; raises ``HandlerRegistrationError`` for one that cannot be."""
    try:
        return get_type_hints(function)
    except NameError as error:
        refuse(
            origin,
            f"an annotation names {error.name!r}, unknown when the handler runs; import it outside TYPE_CHECKING",
        )
    except Exception as error:  # noqa: BLE001  an annotation is code of the user's, and may fail in any way
        refuse(origin, f"an annotation cannot be read: {type(error).__name__}: {error}; mend it")


def refuse(origin: str, why: str) -> NoReturn:
    """Raise ``HandlerRegistrationError`` with the place and the mend."""
    raise HandlerRegistrationError(f"{origin}: {why}")
