"""What a FunctionApp holds, read through its public API, and how one of its functions is called.

What the Functions worker would refuse when it loads the app is refused here too, so that it shows before deployment.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import typing
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import azure.functions as func

from jobs.core.errors import ConfigurationError
from jobs.entrypoints.devhost.host.queue_settings import QueueTrigger
from jobs.entrypoints.devhost.host.schedules import parse_schedule
from jobs.entrypoints.http.routing.templates import Route, RouteTable, parse_template

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping, Sequence

    from azure.functions.decorators.function_app import Function

    from jobs.entrypoints.devhost.host.schedules import Schedule

_SERVED = ({"httpTrigger", "http"}, {"timerTrigger"}, {"queueTrigger"})
_GIVEN = {"httpTrigger": func.HttpRequest, "timerTrigger": func.TimerRequest, "queueTrigger": func.QueueMessage}
_RESERVED = ("admin", "runtime")
_thread_local = threading.local()
_MOST_REMEMBERED = 10_000
_functions_by_invocation: dict[str, str] = {}


class DevHostError(ConfigurationError):
    """The app cannot be served as it is; the message names the function, file or port, and the mend."""


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The W3C trace context of an invocation, empty where the caller sent none."""

    trace_parent: str = ""
    trace_state: str = ""
    attributes: dict[str, str] = field(default_factory=dict)

    # The worker keeps these older names too.
    Traceparent = property(lambda self: self.trace_parent)
    Tracestate = property(lambda self: self.trace_state)
    Attributes = property(lambda self: self.attributes)


class InvocationContext(func.Context):
    """What a function gets as ``context``; lives as long as the invocation."""

    def __init__(self, name: str, directory: str, trace: TraceContext) -> None:
        self._name, self._directory, self._trace = name, directory, trace
        self._id = str(uuid.uuid4())

    @property
    def invocation_id(self) -> str:
        """A fresh UUID for each invocation."""
        return self._id

    @property
    def function_name(self) -> str:
        """The name under which the function is registered."""
        return self._name

    @property
    def function_directory(self) -> str:
        """The directory of the file that defines the function."""
        return self._directory

    @property
    def trace_context(self) -> Any:
        """The caller's trace context."""
        return self._trace

    @property
    def retry_context(self) -> None:  # type: ignore[override]
        """None: this host retries nothing."""
        return

    @property
    def thread_local_storage(self) -> Any:
        """A ``threading.local`` whose ``invocation_id`` is set on the thread that runs the invocation."""
        return _thread_local


def running_function() -> str | None:
    """Return the name of the function whose invocation this thread works for; None where it works for none.

    Work that outlives its invocation counts as that one's still.
    """
    invocation_id = getattr(_thread_local, "invocation_id", None)
    return None if invocation_id is None else _functions_by_invocation.get(invocation_id)


def _remember(invocation_id: str, name: str) -> None:
    _functions_by_invocation[invocation_id] = name
    while len(_functions_by_invocation) > _MOST_REMEMBERED:
        _functions_by_invocation.pop(next(iter(_functions_by_invocation)), None)


@dataclass(frozen=True, slots=True)
class LoadedFunction:
    """A function that this host serves: over HTTP if it has a ``route``, else by ``schedule`` or by ``queue``."""

    name: str
    call: Callable[..., Any]
    argument: str
    wants_context: bool
    directory: str
    route: Route | None = None
    schedule: Schedule | None = None
    run_on_startup: bool = False
    queue: QueueTrigger | None = None

    def invoke(self, value: object, trace: TraceContext) -> Any:
        """Run the function on this thread, an ``async def`` on an event loop of its own, and return what it returns."""
        context = InvocationContext(self.name, self.directory, trace)
        arguments = {self.argument: value} | ({"context": context} if self.wants_context else {})
        _remember(context.invocation_id, self.name)
        _thread_local.invocation_id = context.invocation_id
        try:
            if inspect.iscoroutinefunction(self.call):
                return asyncio.run(self.call(**arguments))
            return self.call(**arguments)
        finally:
            _thread_local.invocation_id = None


def load_functions(
    app: func.FunctionApp, *, prefix: str, settings: Mapping[str, str], log: logging.Logger
) -> tuple[LoadedFunction, ...]:
    """Return the functions of ``app`` for HTTP, timers and queues; others are left out with a warning.

    Raises ``DevHostError`` for what would make the Functions host or its worker refuse the app or a function.
    """
    # get_functions keeps the names it saw, and at the next call takes every function for a duplicate of itself.
    seen, app.functions_bindings = app.functions_bindings, {}
    try:
        found = app.get_functions()
    except ValueError as error:
        raise DevHostError(f"the app cannot be indexed: {error}") from error
    finally:
        app.functions_bindings = seen
    loaded: dict[str, LoadedFunction] = {}
    for function in found:
        bindings = {str(binding.type) for binding in function.get_bindings()}
        name = str(function.get_function_name())
        if not any(bindings <= served for served in _SERVED):
            log.warning(
                "function %s is not served: this host knows HTTP, timers and queues, not %s", name, sorted(bindings)
            )
            continue
        if (twin := loaded.get(name.casefold())) is not None:
            raise DevHostError(f"functions {twin.name} and {name} differ in case only; rename one")
        try:
            loaded[name.casefold()] = _load(name, function, prefix, settings)
        except ValueError as error:
            raise DevHostError(f"function {name}: {error}") from error
    return tuple(loaded.values())


def route_table(functions: Sequence[LoadedFunction]) -> RouteTable:
    """Make the table of the HTTP functions.

    Raises ``DevHostError`` if two answer the same requests.
    """
    try:
        return RouteTable([function.route for function in functions if function.route])
    except ValueError as error:
        raise DevHostError(str(error)) from error


def _load(name: str, function: Function, prefix: str, settings: Mapping[str, str]) -> LoadedFunction:
    call = function.get_user_function()
    trigger: dict[str, Any] = next(
        binding.get_dict_repr() for binding in function.get_bindings() if str(binding.type).endswith("Trigger")
    )
    kind = trigger["type"]
    _check_signature(call, trigger["name"], kind)
    return LoadedFunction(
        name=name,
        call=call,
        argument=trigger["name"],
        wants_context="context" in inspect.signature(call).parameters,
        directory=str(Path(inspect.getfile(inspect.unwrap(call))).parent),
        route=_route(name, trigger, prefix) if kind == "httpTrigger" else None,
        schedule=parse_schedule(trigger["schedule"], settings) if kind == "timerTrigger" else None,
        run_on_startup=bool(trigger.get("runOnStartup")),
        queue=QueueTrigger.of(trigger, settings) if kind == "queueTrigger" else None,
    )


def _route(name: str, trigger: Mapping[str, Any], prefix: str) -> Route:
    text = str(trigger.get("route") or name).strip("/")
    if text.casefold().startswith(_RESERVED):
        raise ValueError(f"route {text!r} begins with one of {', '.join(_RESERVED)}, which the Functions host reserves")
    methods = frozenset(str(method).upper() for method in trigger.get("methods") or ())
    return Route(name, parse_template(f"{prefix}/{text}" if prefix else text), methods or None)


def _check_signature(call: Callable[..., Any], argument: str, kind: str) -> None:
    declared = inspect.signature(call).parameters.keys() - {"context"}
    if declared != {argument}:
        raise ValueError(
            f"takes {sorted(declared)}, but its trigger passes {argument!r} (and 'context', where it is taken)"
        )
    try:
        hints = typing.get_type_hints(call)
    except NameError as error:
        raise ValueError(
            f"an annotation cannot be resolved: {error}; import that name at run time too, for the worker evaluates it"
        ) from error
    expected: dict[str, tuple[type, ...]] = {
        argument: (_GIVEN[kind],),
        "context": (func.Context,),
    }
    if kind == "httpTrigger":
        expected["return"] = (func.HttpResponse, str)
    for name in expected.keys() & hints.keys():
        if not (isinstance(hints[name], type) and issubclass(hints[name], expected[name])):
            wanted = " or ".join(each.__name__ for each in expected[name])
            raise ValueError(f"{name!r} is annotated with {hints[name]}; the worker accepts {wanted} only")  # noqa: TRY004 - the app is wrong, not this call
