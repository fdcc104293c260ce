"""The framework's parts, joined for a test: all real but the store, and a clock in place of the database's."""

from __future__ import annotations

import os
from copy import copy
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from jobs.adapters.schedulers.timer import TimerScheduler
from jobs.app.execution.identity import WorkerIdentity
from jobs.app.execution.worker.limits import WorkerLimits
from jobs.app.parts import Ports, RuntimeOptions
from jobs.app.runtime import Runtime, build
from jobs.core.errors import ConfigurationError
from jobs.core.handlers.loading.package import load_handlers
from jobs.core.handlers.loading.which_packages import NO_HANDLERS, app_folder, packages_of, which_packages
from jobs.core.handlers.marking.decorators import MARK, MIDDLEWARE_MARK, PROVIDER_MARK
from jobs.core.handlers.registry import BUILT_IN_SERVICES, HandlerRegistry
from jobs.core.transactions.lock import DistributedLock
from jobs.core.transactions.unit_of_work import UnitsOfWork
from jobs.local_settings import take_over_local_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from jobs.app.execution.slots import SlotOffers
    from jobs.testing.backing import Backing

    Handlers = str | HandlerRegistry | Iterable[object]

LEASE = timedelta(seconds=60)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MARKS = (MARK, PROVIDER_MARK, MIDDLEWARE_MARK)


def registry_of(handlers: Handlers | None) -> HandlerRegistry:
    """Make a registry of a package's name, another registry, or functions and classes that bear marks; None: the app's.

    Nothing that is done to it changes a registry that was given. Raises ``ConfigurationError``.
    """
    if handlers is None:
        return load_handlers(_packages_of_the_app())
    if isinstance(handlers, str):
        return load_handlers(handlers)
    if isinstance(handlers, HandlerRegistry):
        return copy(handlers)
    registry = HandlerRegistry()
    for marked in handlers:
        if not any(mark in getattr(marked, "__dict__", {}) for mark in _MARKS):
            raise ConfigurationError(
                f"{marked!r} is not marked with @handler, @provider or @middleware; mark it, or give the package that "
                'it is in by name, such as "handlers"'
            )
        registry.add_marked(marked)
    return registry


def _packages_of_the_app() -> tuple[str, ...]:
    folder = app_folder()
    packages = which_packages(_named_packages(folder), folder)
    if not packages:
        raise ConfigurationError(f"{NO_HANDLERS}; or give this test its own, as a list of functions")
    return packages


def _named_packages(folder: Path | None) -> tuple[str, ...]:
    """Return what JOBS_HANDLERS names, in the environment or else in local.settings.json, as for ``make run``."""
    environment = dict(os.environ)
    if folder is not None and "JOBS_HANDLERS" not in environment:
        take_over_local_settings(folder / "local.settings.json", environment)
    return packages_of(environment)


def check_overrides(registry: HandlerRegistry, overrides: Mapping[type, Any]) -> None:
    """Raise ``ConfigurationError`` for an override that nobody would be given, and for a service that nothing makes."""
    for service, value in overrides.items():
        check_override(registry, service, value)
    wanted = _wanted(registry)
    missing = wanted - registry.providers.keys() - BUILT_IN_SERVICES - overrides.keys()
    if missing:
        raise ConfigurationError(
            f"nothing provides {_names(missing)}; give overrides={{{_name(min(missing, key=_name))}: ...}}, or the "
            "provider along with the handlers"
        )
    if not wanted - registry.providers.keys() - BUILT_IN_SERVICES:
        registry.check_services()


def check_override(registry: HandlerRegistry, service: type, value: object) -> None:
    """Raise ``ConfigurationError`` for what nobody would be given, and for a class in place of an instance."""
    takers = _wanted(registry) | registry.providers.keys()
    if service not in takers | BUILT_IN_SERVICES:
        raise ConfigurationError(
            f"overrides[{_name(service)}] would be given to nobody; key it by the type that a handler's parameter "
            f"is annotated with, one of: {_names(takers)}"
        )
    if isinstance(value, type):
        raise ConfigurationError(
            f"overrides[{_name(service)}] is the class {_name(value)}, which handlers would be given as it is; "
            f"give an instance: {_name(value)}(...)"
        )


def _wanted(registry: HandlerRegistry) -> set[type]:
    needs = [spec.services for spec in registry.all()]
    needs += [spec.constructor_services or {} for spec in registry.all()]
    needs += [provider.services for provider in registry.providers.values()]
    return {service for need in needs for service in need.values()}


def join_parts(registry: HandlerRegistry, backing: Backing, random: Random, offers: SlotOffers) -> Runtime:
    """Join the parts for ``registry`` on ``backing``. Due jobs are polled for, as under the timer; no alarm is set."""
    store, runs, housekeeping, setbacks, locks, transactions, audit, series, operations, failures, workers = (
        backing.stores
    )
    clock = backing.clock

    def seconds_passed() -> float:
        return (clock.now() - _EPOCH).total_seconds()

    lock = DistributedLock(
        locks,
        "test",
        random,
        monotonic=seconds_passed,
        sleep=lambda seconds: clock.advance(timedelta(seconds=seconds)),
    )
    ports = Ports(
        store=store,
        runs=runs,
        housekeeping=housekeeping,
        audit=audit,
        series=series,
        operations=operations,
        failures=failures,
        workers=workers,
        setbacks=setbacks,
        scheduler=TimerScheduler(),
        units=UnitsOfWork(transactions),
        lock=lock,
        clock=clock,
        random=random,
        release=backing.close,
    )
    options = RuntimeOptions(WorkerIdentity("test", LEASE), WorkerLimits(concurrency=1))
    return build(registry, ports, options, offers)


def _names(services: Iterable[type]) -> str:
    return ", ".join(sorted(map(_name, services))) or "none"


def _name(service: Any) -> str:
    return str(getattr(service, "__qualname__", service))
