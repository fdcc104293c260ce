"""Give handlers their services: each made once per attempt, by the provider of its type, and cleaned up after it."""

from __future__ import annotations

import inspect
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobs.core.registry import HandlerRegistry, HandlerSpec

_NOTHING: dict[str, Any] = {}


class Injector:
    """Makes services from an app's providers; lives as long as the app."""

    def __init__(self, registry: HandlerRegistry) -> None:
        self._providers = registry.providers
        self._overrides: dict[type, Any] = {}

    def override(self, service: type, value: Any) -> None:
        """Give ``value`` wherever ``service`` is wanted from now on."""
        self._overrides[service] = value

    @contextmanager
    def provide(self, spec: HandlerSpec) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """Make what a handler's function and its class's constructor want; clean up when the block ends.

        What the block raises is raised in every provider that yields, at its ``yield``, the last made first; so one
        that yields within a transaction rolls back. None of them can make a success of it. What a clean-up raises
        passes through: it may have been the commit.
        """
        if not spec.services and not spec.constructor_services:
            yield _NOTHING, _NOTHING
            return
        failure: BaseException | None = None
        with ExitStack() as clean_ups:
            scope = _Scope(self, clean_ups)
            try:
                yield scope.made(spec.services), scope.made(spec.constructor_services or {})
            except BaseException as error:
                failure = error
                raise
        if failure is not None:
            raise failure

    def make(self, service: type, scope: _Scope) -> Any:
        """Make one service within ``scope``, and first what its provider wants."""
        if service in self._overrides:
            return self._overrides[service]
        provider = self._providers[service]
        arguments = scope.made(provider.services)
        if inspect.isgeneratorfunction(provider.function):
            return scope.clean_ups.enter_context(contextmanager(provider.function)(**arguments))
        return provider.function(**arguments)


class _Scope:
    """What one attempt has been given; it is gone with the attempt."""

    def __init__(self, injector: Injector, clean_ups: ExitStack) -> None:
        self.clean_ups = clean_ups
        self._injector = injector
        self._services: dict[type, Any] = {}

    def made(self, wanted: Mapping[str, type]) -> dict[str, Any]:
        return {name: self._get(service) for name, service in wanted.items()}

    def _get(self, service: type) -> Any:
        if service not in self._services:
            self._services[service] = self._injector.make(service, self)
        return self._services[service]
