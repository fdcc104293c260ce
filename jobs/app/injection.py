"""Give handlers their services: made by the provider of their type, for one attempt or for the app, and cleaned up."""

from __future__ import annotations

import inspect
import logging
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from jobs.core.decorators import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from jobs.core.registry import HandlerRegistry
    from jobs.core.specs import HandlerSpec, ProviderSpec

_logger = logging.getLogger("jobs.services")
_NOTHING: dict[Any, Any] = {}


class Injector:
    """Makes services from an app's providers; lives as long as the app, and is shared by its threads.

    ``built_in`` are the framework's own services by type; a provider of the app's goes before them.
    """

    def __init__(self, registry: HandlerRegistry, built_in: Mapping[type, Any] = _NOTHING) -> None:
        self._providers = registry.providers
        self._built_in = built_in
        self._overrides: dict[type, Any] = {}
        self._app = ServiceScope(self, ExitStack())
        self._lock = threading.RLock()

    def override(self, service: type, value: Any) -> None:
        """Give ``value`` wherever ``service`` is wanted from now on."""
        self._overrides[service] = value

    @contextmanager
    def provide(self, spec: HandlerSpec) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """Make what a handler's function and its class's constructor want; clean up when the block ends.

        What the block raises is raised in every provider that yields, at its ``yield``, the last made first; so one
        that yields within a transaction rolls back. None of them can make a success of it. What a clean-up raises
        passes through: it may have been the commit. Services of the whole app are told nothing and stay.
        """
        if not spec.services and not spec.constructor_services:
            yield _NOTHING, _NOTHING
            return
        failure: BaseException | None = None
        with ExitStack() as clean_ups:
            scope = ServiceScope(self, clean_ups)
            try:
                yield scope.made(spec.services), scope.made(spec.constructor_services or {})
            except BaseException as error:
                failure = error
                raise
        if failure is not None:
            raise failure

    def make(self, service: type, scope: ServiceScope) -> Any:
        """Make one service, and first what its provider wants; give the app's one where it lives as long as the app."""
        if service in self._overrides:
            return self._overrides[service]
        if service not in self._providers and service in self._built_in:
            return self._built_in[service]
        provider = self._providers[service]
        if provider.scope is Scope.APP and scope is not self._app:
            if not self._app.has(service):
                with self._lock:  # so that it is made once, however many threads want it first
                    return self._app.get(service)
            return self._app.get(service)
        return _called(provider, scope)

    def faults(self) -> dict[str, str]:
        """Make each service that has a ``ping`` and ping it; gives those that do not answer, with what was raised."""
        found = {}
        for service, provider in self._providers.items():
            if provider.ping is None:
                continue
            try:
                with ExitStack() as clean_ups:
                    provider.ping(ServiceScope(self, clean_ups).get(service))
            except Exception as error:
                _logger.warning("the service %s does not answer", service.__qualname__, exc_info=True)
                found[service.__qualname__] = type(error).__name__
        return found

    def close(self) -> None:
        """Clean up the app's own services, the last made first. What that raises is logged."""
        with self._lock:
            app, self._app = self._app, ServiceScope(self, ExitStack())
        app.clean_ups.close()


class ServiceScope:
    """What one attempt, or the app, has been given; it is gone when that ends."""

    def __init__(self, injector: Injector, clean_ups: ExitStack) -> None:
        self.clean_ups = clean_ups
        self._injector = injector
        self._services: dict[type, Any] = {}

    def has(self, service: type) -> bool:
        """Whether this service has been made already."""
        return service in self._services

    def made(self, wanted: Mapping[str, type]) -> dict[str, Any]:
        """Give the services for these parameters."""
        return {name: self.get(service) for name, service in wanted.items()}

    def get(self, service: type) -> Any:
        """Give a service, the same one at every call."""
        if service not in self._services:
            self._services[service] = self._injector.make(service, self)
        return self._services[service]


def _called(provider: ProviderSpec, scope: ServiceScope) -> Any:
    arguments = scope.made(provider.services)
    if not inspect.isgeneratorfunction(provider.function):
        return provider.function(**arguments)
    service = contextmanager(provider.function)(**arguments)
    if provider.scope is Scope.ATTEMPT:
        return scope.clean_ups.enter_context(service)
    made = service.__enter__()
    scope.clean_ups.callback(_close, service, provider.origin)
    return made


def _close(service: AbstractContextManager[Any], origin: str) -> None:
    """Clean up a service of the app: whatever it raises is nobody's failure, and keeps no other from its clean-up."""
    try:
        service.__exit__(None, None, None)
    except Exception:
        _logger.exception("a service of the app could not be cleaned up: %s", origin)
