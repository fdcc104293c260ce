"""Read the parameters and services of a handler or provider from its signature, and refuse unusable signatures."""

from __future__ import annotations

import inspect
import types
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from dataclasses import is_dataclass
from typing import Any, Never, NoReturn, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints, is_typeddict

from pydantic import BaseModel
from pydantic.errors import PydanticUndefinedAnnotation

from jobs.core.errors import HandlerRegistrationError
from jobs.core.handlers.context import JobContext

_PLAIN = (dict, list, tuple, set, str, int, float, bool, bytes, Mapping, MutableMapping, Sequence, Any)
"""Types that are never services; a parameter of such a type was probably intended as the handler's arguments."""


def origin_of(target: Callable[..., Any]) -> str:
    """Return where ``target`` is defined: file, line and name."""
    try:
        file = inspect.getsourcefile(target) or "?"
        line = inspect.getsourcelines(target)[1]
    except (OSError, TypeError):
        return getattr(target, "__qualname__", repr(target))
    return f"{file}:{line} ({target.__qualname__})"


def made_by(function: Callable[..., Any], origin: str) -> type:
    """Return the class that a provider makes; raises ``HandlerRegistrationError`` if no annotation names one."""
    made = hints_of(function, origin).get("return")
    if get_origin(made) in (Iterator, Generator, AsyncIterator, AsyncGenerator):
        made = get_args(made)[0]
    if not inspect.isclass(made) or isinstance(made, types.GenericAlias) or made is types.NoneType:
        refuse(origin, "a provider needs a return annotation that names the class it makes")
    return made


def constructor_of(target: type, origin: str) -> dict[str, type]:
    """Return the parameters of a handler class's constructor; empty if it has no constructor of its own."""
    initialiser = target.__init__  # type: ignore[misc]
    if initialiser in (object.__init__, _OfProtocol.__init__):
        return {}
    return parameters_of(initialiser, origin, skip_first=True)


class _Bare(Protocol):
    """A protocol gives its subclasses an ``__init__`` without parameters; this pair identifies that function."""


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
    """Split a handler's parameters into arguments, context and services.

    Raises ``HandlerRegistrationError`` unless exactly one is a pydantic model and at most one the context.
    """
    models = [n for n, t in parameters.items() if _is_model(t)]
    contexts = [n for n, t in parameters.items() if t is JobContext]
    if len(models) != 1 or len(contexts) > 1:
        refuse(origin, _no_arguments(parameters) if not models else _too_many(models, contexts))
    rest = {name: kind for name, kind in parameters.items() if name not in (*models, *contexts)}
    return models[0], contexts[0] if contexts else None, rest


def _is_model(annotation: object) -> bool:
    return inspect.isclass(annotation) and issubclass(annotation, BaseModel)


def _no_arguments(parameters: dict[str, Any]) -> str:
    """Return the message for a handler without a pydantic model, naming the parameter that was probably intended."""
    likely = next((n for n, t in parameters.items() if _is_plain(t)), None)
    if likely is None:
        likely = next((n for n, t in parameters.items() if any(map(_is_model_or_plain, get_args(t)))), None)
    found = "" if likely is None else f" ({likely!r} is {_named(parameters[likely])})"
    return (
        f"it has no parameter annotated with a pydantic model{found}; a handler's arguments are one: write "
        f"class Args(BaseModel) with a field for each, and the parameter {likely or 'args'}: Args. A handler without "
        "arguments takes an empty model: class Args(BaseModel): pass"
    )


def _is_plain(annotation: object) -> bool:
    """Whether a type is data rather than a service: a built-in type, a dataclass, a TypedDict or a NamedTuple."""
    origin = get_origin(annotation) or annotation
    if origin in _PLAIN or is_typeddict(annotation):
        return True
    if not inspect.isclass(origin) or origin is JobContext:
        return False
    return is_dataclass(origin) or issubclass(origin, dict | tuple)


def _is_model_or_plain(annotation: object) -> bool:
    return _is_model(annotation) or _is_plain(annotation)


def _too_many(models: list[str], contexts: list[str]) -> str:
    if len(models) > 1:
        return f"{' and '.join(models)} are pydantic models, and a handler's arguments are one; make one model of them"
    return f"{' and '.join(contexts)} are annotated JobContext, and there is one; keep one of them"


def check_returns(function: Callable[..., Any], origin: str) -> None:
    """Raise ``HandlerRegistrationError`` for a handler annotated to return a value: each of its attempts would fail.

    Optional values and functions that never return are accepted.
    """
    if hasattr(function, "__wrapped__"):
        return  # its decorator may drop the returned value
    returned = hints_of(function, origin).get("return", Any)
    if returned in (Any, object, types.NoneType, NoReturn, Never) or isinstance(returned, TypeVar):
        return
    kind = get_origin(returned)
    if kind in (Union, types.UnionType) and types.NoneType in get_args(returned):
        return
    if kind in (Awaitable, Coroutine):
        refuse(origin, f"it returns {_named(returned)}, which nobody awaits; declare the handler with async def")
    refuse(
        origin,
        f"a handler returns nothing, and this one says that it returns {_named(returned)}, which would fail every "
        "attempt; keep data with ctx.result = ..., and annotate it -> None",
    )


def _named(annotation: Any) -> str:
    return annotation.__qualname__ if type(annotation) is type or is_typeddict(annotation) else str(annotation)


def check_model(model: type[BaseModel], origin: str) -> None:
    """Raise ``HandlerRegistrationError`` for ``BaseModel`` itself, and for a model whose annotations do not resolve."""
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
    except Exception as error:  # noqa: BLE001  an annotation is the user's code and may raise anything
        refuse(origin, f"its arguments {model.__qualname__} cannot be read: {type(error).__name__}: {error}; mend them")


def parameters_of(function: Callable[..., Any], origin: str, *, skip_first: bool = False) -> dict[str, type]:
    """Return the parameters without a default, with their types.

    Raises ``HandlerRegistrationError`` for one that cannot be passed by name or has no annotation.
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
    """Return a function's resolved annotations; raises ``HandlerRegistrationError`` for one that does not resolve."""
    try:
        return get_type_hints(function)
    except NameError as error:
        refuse(
            origin,
            f"an annotation names {error.name!r}, unknown when the handler runs; import it outside TYPE_CHECKING",
        )
    except Exception as error:  # noqa: BLE001  an annotation is the user's code and may raise anything
        refuse(origin, f"an annotation cannot be read: {type(error).__name__}: {error}; mend it")


def refuse(origin: str, why: str) -> NoReturn:
    """Raise ``HandlerRegistrationError`` with the place and the reason."""
    raise HandlerRegistrationError(f"{origin}: {why}")
