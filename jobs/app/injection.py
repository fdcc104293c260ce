"""Give handlers their services: each made once per attempt, by the provider of its type, and cleaned up after it."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import svcs

    from jobs.core.registry import HandlerRegistry, HandlerSpec, ProviderSpec

_NOTHING: dict[str, Any] = {}


class Injector:
    """Makes services from an app's providers; lives as long as the app."""

    def __init__(self, registry: HandlerRegistry) -> None:
        self._registry = registry

    @cached_property
    def _services(self) -> svcs.Registry:
        # svcs imports every web framework that it finds installed, aiohttp among them, which comes with dapr: a cold
        # start that only enqueues should not wait for that.
        import svcs  # noqa: PLC0415

        services = svcs.Registry()
        for spec in self._registry.providers.values():
            services.register_factory(spec.makes, _factory(spec))
        return services

    def override(self, service: type, value: Any) -> None:
        """Give ``value`` wherever ``service`` is wanted from now on."""
        self._services.register_value(service, value)

    def container(self) -> svcs.Container:
        """Open a container: what is made in it lives until it is closed."""
        import svcs  # noqa: PLC0415  see above

        return svcs.Container(self._services)

    @contextmanager
    def provide(self, spec: HandlerSpec) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """Make what a handler's function and its class's constructor want; clean up when the block ends."""
        if not spec.services and not spec.constructor_services:
            yield _NOTHING, _NOTHING
            return
        with self.container() as container:
            yield _made(container, spec.services), _made(container, spec.constructor_services or {})


def _made(container: svcs.Container, wanted: Mapping[str, type]) -> dict[str, Any]:
    return {name: container.get(service) for name, service in wanted.items()}


def _factory(spec: ProviderSpec) -> Callable[..., Any]:
    """Adapt a provider to svcs, which passes its container to a factory and enters what is a generator."""
    wanted = spec.services
    if inspect.isgeneratorfunction(spec.function):

        def generate(svcs_container: svcs.Container) -> Iterator[Any]:
            yield from spec.function(**_made(svcs_container, wanted))

        return generate

    def make(svcs_container: svcs.Container) -> Any:
        return spec.function(**_made(svcs_container, wanted))

    return make
