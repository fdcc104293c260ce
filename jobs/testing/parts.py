"""The framework's parts, joined for a test: all real but the store, and a clock in place of the database's."""

from __future__ import annotations

from copy import copy
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from jobs.adapters.schedulers.timer import TimerScheduler
from jobs.app.alarms.arming import Alarms
from jobs.app.commands.job_views import JobViews
from jobs.app.commands.service import JobService
from jobs.app.execution.dispatcher import Dispatcher, WorkerIdentity
from jobs.app.execution.services.injection import Injector
from jobs.app.execution.worker.worker import Worker, WorkerLimits
from jobs.app.runtime import Runtime
from jobs.app.upkeep.clock_setback import ClockSetback
from jobs.app.upkeep.limit_flags import LimitFlags
from jobs.app.upkeep.reaper import Reaper
from jobs.app.upkeep.reconciler import ReconcileLimits, Reconciler
from jobs.core.errors import ConfigurationError
from jobs.core.handlers.decorators import MARK, MIDDLEWARE_MARK, PROVIDER_MARK
from jobs.core.handlers.loading.package import load_handlers
from jobs.core.handlers.registry import BUILT_IN_SERVICES, HandlerRegistry
from jobs.core.transactions.lock import DistributedLock
from jobs.core.transactions.unit_of_work import UnitsOfWork

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from jobs.testing.backing import Backing

    Handlers = str | HandlerRegistry | Iterable[object]

LEASE = timedelta(seconds=60)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MARKS = (MARK, PROVIDER_MARK, MIDDLEWARE_MARK)


def registry_of(handlers: Handlers) -> HandlerRegistry:
    """Make a registry of a package's name, another registry, or functions and classes that bear marks.

    Nothing that is done to it changes a registry that was given. Raises ``ConfigurationError``.
    """
    if isinstance(handlers, str):
        return load_handlers(handlers)
    if isinstance(handlers, HandlerRegistry):
        return copy(handlers)
    registry = HandlerRegistry()
    for marked in handlers:
        if not any(mark in getattr(marked, "__dict__", {}) for mark in _MARKS):
            raise ConfigurationError(
                f"{marked!r} is not marked with @handler, @provider or @middleware; mark it, or give the package that "
                'it is in by name, such as "jobs.handlers"'
            )
        registry.add_marked(marked)
    return registry


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


def join_parts(registry: HandlerRegistry, backing: Backing, random: Random) -> Runtime:
    """Join the parts for ``registry`` on ``backing``. Due jobs are looked for, as under the timer; no alarm is set."""
    store, runs, housekeeping, setbacks, locks, transactions = backing.stores
    clock = backing.clock

    def seconds_told() -> float:
        return (clock.now() - _EPOCH).total_seconds()

    scheduler = TimerScheduler()
    alarms = Alarms(scheduler, store)
    units = UnitsOfWork(transactions)
    lock = DistributedLock(
        locks,
        "test",
        random,
        monotonic=seconds_told,
        sleep=lambda seconds: clock.advance(timedelta(seconds=seconds)),
    )
    injector = Injector(registry, {UnitsOfWork: units, DistributedLock: lock})
    service = JobService(store, alarms, registry, clock, random)
    identity = WorkerIdentity("test", LEASE)
    dispatcher = Dispatcher(
        store, runs, registry, injector, alarms, clock, random, identity, units, lock, service.enqueue
    )
    reaper = Reaper(housekeeping, runs, dispatcher.outcomes, alarms, clock, LEASE, max_lost=3)
    setback = ClockSetback(setbacks, alarms, random, LEASE)
    worker = Worker(dispatcher, WorkerLimits(concurrency=1), reaper)
    dispatcher.turns.offer = lambda _: None  # turns are taken by the test's own thread, as it drains

    def close() -> None:
        worker.stop(grace_seconds=0)
        injector.close()
        alarms.close()
        backing.close()

    return Runtime(
        service=service,
        views=JobViews(runs, registry, scheduler, clock, identity.default_timeout),
        dispatcher=dispatcher,
        worker=worker,
        reaper=reaper,
        reconciler=Reconciler(
            housekeeping, alarms, worker, LimitFlags(housekeeping, registry), ReconcileLimits(), reaper, setback
        ),
        housekeeping=housekeeping,
        registry=registry,
        injector=injector,
        scheduler=scheduler,
        alarms=alarms,
        clock=clock,
        units=units,
        lock=lock,
        close=close,
    )


def _names(services: Iterable[type]) -> str:
    return ", ".join(sorted(map(_name, services))) or "none"


def _name(service: Any) -> str:
    return str(getattr(service, "__qualname__", service))
