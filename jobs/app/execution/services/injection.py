"""Inject services into handlers: made by the provider of their type, per attempt or per app, and cleaned up."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from contextlib import ExitStack, contextmanager
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from jobs.app.execution.services.async_services import AsyncService
from jobs.app.execution.services.event_loop import EventLoops
from jobs.core.diagnostics.error_text import describe_error, log_lines, traceback_of
from jobs.core.diagnostics.message_throttle import MessageThrottle
from jobs.core.errors import ProviderFault
from jobs.core.handlers.marking.decorators import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from jobs.app.execution.services.event_loop import EventLoop
    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.handlers.specs import HandlerSpec, ProviderSpec

_logger = logging.getLogger("jobs.services")
_NOTHING: dict[Any, Any] = {}
_PING_SECONDS = 10.0


class Injector:
    """Makes services from an app's providers. Lives as long as the app; safe between threads.

    ``built_in`` are the framework's own services by type; a provider of the app's goes before them.
    """

    def __init__(self, registry: HandlerRegistry, built_in: Mapping[type, Any] = _NOTHING) -> None:
        self._providers = registry.providers
        self._built_in = built_in
        self._overrides: dict[type, Any] = {}
        self.loops = EventLoops()
        self._app = ServiceScope(self, ExitStack())
        self._app_by_loop: dict[EventLoop, ServiceScope] = {}
        self._of_a_loop: dict[type, bool] = {}
        self._lock = threading.RLock()
        self._silent = MessageThrottle()

    def override(self, service: type, value: Any) -> None:
        """Inject ``value`` wherever ``service`` is needed from now on."""
        self._overrides[service] = value

    @contextmanager
    def provide(
        self, spec: HandlerSpec, loop: EventLoop | None = None
    ) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """Make the services of a handler's function and of its class's constructor; clean up when the block ends.

        What the block raises is raised in every provider that yields, at its ``yield``, the last made first; so one
        that yields within a transaction rolls back. None of them can swallow it. What a clean-up raises
        passes through: it may have been the commit. Services of the whole app are not touched.

        Async providers are called on ``loop``, by default on the app's.
        """
        if not spec.services and not spec.constructor_services:
            yield _NOTHING, _NOTHING
            return
        failure: BaseException | None = None
        with ExitStack() as clean_ups:
            scope = ServiceScope(self, clean_ups, loop)
            try:
                yield scope.made(spec.services), scope.made(spec.constructor_services or {})
            except BaseException as error:
                failure = error
                raise
        if failure is not None:
            raise failure

    def make(self, service: type, scope: ServiceScope) -> Any:
        """Make one service, after what its provider needs. One that lives as long as the app is made once."""
        if service in self._overrides:
            return self._overrides[service]
        if service not in self._providers and service in self._built_in:
            return self._built_in[service]
        provider = self._providers[service]
        if provider.scope is Scope.APP and (app := self._app_scope(service, scope)) is not scope:
            if not app.has(service):
                with self._lock:  # so that it is made once, however many threads want it first
                    return app.get(service)
            return app.get(service)
        made = self._called(provider, scope)
        if made is None:
            raise ProviderFault(
                f"the provider {provider.function.__module__}.{provider.function.__qualname__} gave None in place of "
                f"{service.__qualname__}; have it return or yield one in every case, or raise what is wrong"
            )
        return made

    def _app_scope(self, service: type, scope: ServiceScope) -> ServiceScope:
        """Return the app's scope; for services that belong to an event loop, the scope of the attempt's loop."""
        of_a_loop = self._of_a_loop.get(service)
        if of_a_loop is None:
            of_a_loop = self._of_a_loop[service] = self._is_of_a_loop(service)
        if not of_a_loop:
            return self._app
        loop = scope.loop or self.loops.pick()
        with self._lock:
            found = self._app_by_loop.get(loop)
            if found is None:
                found = self._app_by_loop[loop] = ServiceScope(self, ExitStack(), loop)
            return found

    def _is_of_a_loop(self, service: type) -> bool:
        """Return whether an async provider makes a service, or one that it is made of."""
        provider = self._providers.get(service)
        return provider is not None and (
            provider.is_async or any(self._is_of_a_loop(wanted) for wanted in provider.services.values())
        )

    def _called(self, provider: ProviderSpec, scope: ServiceScope) -> Any:
        """Call a provider; that of an app's service in a context of its own, since its tasks outlive the attempt."""
        arguments = scope.made(provider.services)
        context = copy_context() if provider.scope is Scope.ATTEMPT else Context()
        if inspect.iscoroutinefunction(provider.function):
            return context.run((scope.loop or self.loops.pick()).run, provider.function(**arguments))
        service: AbstractContextManager[Any]
        if inspect.isasyncgenfunction(provider.function):
            service = AsyncService(scope.loop or self.loops.pick(), provider.function, arguments, context)
        elif inspect.isgeneratorfunction(provider.function):
            service = contextmanager(provider.function)(**arguments)
        else:
            return provider.function(**arguments)
        if provider.scope is Scope.ATTEMPT:
            return scope.clean_ups.enter_context(service)
        if (made := service.__enter__()) is None:
            _close(service, provider.origin)
            return None
        scope.clean_ups.callback(_close, service, provider.origin)
        return made

    def faults(self) -> dict[str, str]:
        """Make and ping each service that has a ``ping``. Returns those that fail, with the name of the error."""
        found = {}
        for service, provider in self._providers.items():
            if provider.ping is None:
                continue
            try:
                with ExitStack() as clean_ups:
                    answer = provider.ping(ServiceScope(self, clean_ups).get(service))
                    if inspect.isawaitable(answer):
                        self.loops.pick().run(asyncio.wait_for(answer, _PING_SECONDS))
            except Exception as error:  # noqa: BLE001  whatever a ping raises
                found[service.__qualname__] = type(error).__name__
                self._log_silent(service.__qualname__, error)
            else:
                if self._silent.clear(service.__qualname__):
                    _logger.info("the service %s answers again", service.__qualname__)
        return found

    def _log_silent(self, service: str, error: Exception) -> None:
        """Log a service that does not answer, at most once a minute: readiness probes come every few seconds."""
        if self._silent.is_due(service, type(error).__name__):
            first = self._silent.is_first(service, type(error).__name__)
            details = log_lines(traceback_of(error)) if first or _logger.isEnabledFor(logging.DEBUG) else ""
            _logger.warning("the service %s does not answer: %s%s", service, describe_error(error), details)

    def close(self) -> None:
        """Clean up the app's own services, the last made first. What that raises is logged."""
        with self._lock:
            scopes = [*self._app_by_loop.values(), self._app]
            self._app, self._app_by_loop = ServiceScope(self, ExitStack()), {}
        for scope in scopes:
            scope.clean_ups.close()
        self.loops.close()


class ServiceScope:
    """The services of one attempt, or of the app. Lives as long as that."""

    def __init__(self, injector: Injector, clean_ups: ExitStack, loop: EventLoop | None = None) -> None:
        self.clean_ups = clean_ups
        self.loop = loop
        self._injector = injector
        self._services: dict[type, Any] = {}

    def has(self, service: type) -> bool:
        """Whether this service is made already."""
        return service in self._services

    def made(self, wanted: Mapping[str, type]) -> dict[str, Any]:
        """Return the services for these parameters."""
        return {name: self.get(service) for name, service in wanted.items()}

    def get(self, service: type) -> Any:
        """Return a service, the same one at every call."""
        if service not in self._services:
            self._services[service] = self._injector.make(service, self)
        return self._services[service]


def _close(service: AbstractContextManager[Any], origin: str) -> None:
    """Clean up a service of the app. What it raises is logged, so that the others are cleaned up too."""
    try:
        service.__exit__(None, None, None)
    except Exception as error:  # noqa: BLE001  the others are cleaned up too
        _logger.error("a service of the app could not be cleaned up: %s%s", origin, log_lines(traceback_of(error)))  # noqa: TRY400  the traceback is logged without data
