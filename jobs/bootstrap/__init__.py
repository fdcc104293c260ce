"""Choose the adapters by the settings, and build the app from them. The only place that names concrete classes."""

from __future__ import annotations

import atexit
import logging
import os
import socket
from contextlib import suppress
from datetime import timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from jobs.adapters.postgres.connection.clock import DatabaseClock
from jobs.adapters.postgres.connection.database import Database
from jobs.adapters.postgres.connection.pools import Pools
from jobs.adapters.postgres.stores.audit import PostgresAuditLog
from jobs.adapters.postgres.stores.failures import PostgresFailureLog
from jobs.adapters.postgres.stores.jobs import PostgresJobStore
from jobs.adapters.postgres.stores.locks import PostgresLockStore
from jobs.adapters.postgres.stores.operations import PostgresOperations
from jobs.adapters.postgres.stores.runs import PostgresRunStore
from jobs.adapters.postgres.stores.transactions import PostgresTransactions
from jobs.adapters.postgres.stores.upkeep.housekeeping import PostgresHousekeeping
from jobs.adapters.postgres.stores.upkeep.series import PostgresSeries
from jobs.adapters.postgres.stores.upkeep.setbacks import PostgresSetbacks
from jobs.adapters.postgres.stores.workers import PostgresWorkerLog
from jobs.adapters.schedulers.timer import TimerScheduler
from jobs.app.execution.identity import WorkerIdentity
from jobs.app.execution.worker.limits import WorkerLimits
from jobs.app.parts import Ports, RuntimeOptions
from jobs.app.runtime import Runtime, build
from jobs.app.upkeep.limits import ReconcileLimits
from jobs.app.upkeep.missing_handlers import log_missing_handlers
from jobs.bootstrap.database import database_options
from jobs.bootstrap.lazy_runtime import LazyRuntime
from jobs.bootstrap.schedulers import build_looks, build_scheduler, open_queues
from jobs.core.errors import Unavailable
from jobs.core.handlers.enqueuing.open_jobs import open_jobs
from jobs.core.handlers.loading.app_version import version_of_code
from jobs.core.handlers.loading.package import load_handlers
from jobs.core.handlers.loading.which_packages import app_folder
from jobs.core.transactions.lock import DistributedLock
from jobs.core.transactions.unit_of_work import UnitsOfWork
from jobs.entrypoints.triggers.draining import when_drained
from jobs.entrypoints.triggers.termination import ClosableApp, on_termination
from jobs.settings import Settings
from jobs.settings_checks import function_timeout, read_settings, reconcile_gap
from jobs.startup import log_startup, log_warnings, packages_of_app, print_startup, read_startup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import azure.functions as func

    from jobs.core.handlers.marking.decorators import Middleware
    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.ports.scheduler import Scheduler
    from jobs.startup import Startup

_logger = logging.getLogger("jobs")
_OUTERMOST = -1_000_000


def create_app(handlers: str | Iterable[str] = ()) -> func.FunctionApp:
    """Make the function app: settings and handlers are read now, the database is connected to when first needed.

    ``handlers`` names the package, or packages, that your handlers live in, such as ``"shop.jobs"``; write it as plain
    text, since other commands read it too. JOBS_HANDLERS, where it is set, goes before it. With neither they are in
    the package ``handlers`` beside host.json, or, while there is none, the samples in ``examples``.

    When the process ends, and is not killed, runs under way are given back. With a setting or a handler that cannot be
    used the app has its functions all the same, since the host could not show why there are none: they answer 503, the
    readiness probe fails, and the log says why at once and every minute.
    """
    startup = read_startup(handlers)
    print_startup(startup)
    joined = _join(startup)
    close_at_the_end(joined.close)
    when_drained(joined.start_nothing_more)
    app: func.FunctionApp = joined.app
    return app


def close_at_the_end(close: Callable[[], None]) -> None:
    """Have ``close`` called when the process ends, by itself or by SIGTERM. One that is killed calls nothing."""
    atexit.register(close)
    on_termination(close)


def create_closable_app(*middleware: Middleware) -> ClosableApp:
    """Make the function app for a host of our own, and what stops it, gives back its runs and closes its connections.

    ``middleware`` is called around every attempt, outside of the app's own. Raises ``ConfigurationError`` for a setting
    or a handler that cannot be used.
    """
    startup = read_startup()
    if startup.fault is not None:
        log_warnings(startup.warnings)  # a misspelt name may be the very reason
        raise startup.fault
    log_startup(startup)
    for each in middleware:
        startup.registry.add_middleware(each, order=_OUTERMOST)
    return _join(startup)


def _join(startup: Startup) -> ClosableApp:
    from jobs.entrypoints.functions import build_app  # noqa: PLC0415  only a host needs azure.functions

    build = partial(build_runtime, startup.settings, startup.registry, longest_run=startup.function_timeout)
    runtime = LazyRuntime(build, startup.fault)
    app = build_app(runtime, startup.settings, startup.function_timeout)
    no_longer_open = open_jobs(lambda: runtime().service)

    def close() -> None:
        no_longer_open()
        runtime.close()

    def log_advice() -> None:
        from jobs.core.handlers.loading.undeployed import undeployed_imports  # noqa: PLC0415  no cold start needs it

        folder = app_folder()
        log_warnings(undeployed_imports(startup.packages, folder) if folder is not None else ())
        with suppress(Unavailable):  # once it is closed
            made = runtime()
            log_missing_handlers(made.housekeeping, made.registry)

    return ClosableApp(app, close, runtime.start_nothing_more, open_queues, log_advice)


def build_runtime(
    settings: Settings,
    registry: HandlerRegistry,
    database: Database | None = None,
    scheduler: Scheduler | None = None,
    longest_run: timedelta | None = None,
) -> Runtime:
    """Build the runtime for ``settings``, or for a given database or scheduler. Nothing is connected until it is used.

    ``longest_run`` is how long the host allows an attempt to run; None means without end.
    """
    pools = Pools.of(database.options if database else database_options(settings), database)
    clock = DatabaseClock(pools.outcomes)
    ports = _ports(settings, pools, scheduler or build_scheduler(settings, clock), clock)
    options = _options(settings, registry, longest_run)
    if not settings.opentelemetry:
        return build(registry, ports, options)
    from jobs.adapters.telemetry import Telemetry  # noqa: PLC0415  only when chosen

    telemetry = Telemetry()
    registry.add_middleware(telemetry, order=_OUTERMOST)
    runtime = build(registry, ports, options)
    telemetry.observe_abandoned_threads(lambda: len(runtime.pool.abandoned))
    return runtime


def _ports(settings: Settings, pools: Pools, scheduler: Scheduler, clock: DatabaseClock) -> Ports:
    database, schema = pools.application, settings.database_schema
    random = Random()  # noqa: S311  jitter, not secrets
    return Ports(
        store=PostgresJobStore(database, schema),
        runs=PostgresRunStore(database, schema, clock, outcomes=pools.outcomes, heartbeats=pools.heartbeats),
        housekeeping=PostgresHousekeeping(database, schema),
        audit=PostgresAuditLog(database, schema),
        series=PostgresSeries(database, schema),
        operations=PostgresOperations(database, schema),
        failures=PostgresFailureLog(database, schema),
        workers=PostgresWorkerLog(database, schema, reports=pools.heartbeats),
        setbacks=PostgresSetbacks(database, schema, clock),
        scheduler=scheduler,
        units=UnitsOfWork(PostgresTransactions(pools.units)),
        lock=DistributedLock(PostgresLockStore(database, schema), _worker_name(), random),
        clock=clock,
        random=random,
        looks=build_looks(settings),
        release=pools.close,
    )


def _options(settings: Settings, registry: HandlerRegistry, longest_run: timedelta | None) -> RuntimeOptions:
    return RuntimeOptions(
        identity=WorkerIdentity(
            name=_worker_name(),
            lease=timedelta(seconds=settings.lease_seconds),
            default_timeout=timedelta(seconds=settings.default_timeout_seconds),
        ),
        limits=WorkerLimits(settings.concurrency, settings.batch_size, abandoned=settings.max_abandoned_threads),
        reconcile=ReconcileLimits(
            overdue_grace=timedelta(seconds=settings.overdue_grace_seconds),
            retention=settings.retention,
            keep_attempts=settings.keep_attempts,
        ),
        max_lost=settings.max_lost_runs,
        longest_run=longest_run,
        shutdown_grace_seconds=settings.shutdown_grace_seconds,
        scale_out_instances=settings.scale_out_instances,
        reconcile_gap=lambda: reconcile_gap(settings),
        app_version=lambda: settings.app_version or version_of_code(registry),
    )


def _worker_name() -> str:
    instance = os.environ.get("WEBSITE_INSTANCE_ID") or socket.gethostname()
    return f"{instance[:40]}/{os.getpid()}"


def load_registry() -> HandlerRegistry:
    """Load the handlers that the settings name; raises ``ConfigurationError``, its kind for a module at fault."""
    registry = load_handlers(packages_of_app(read_settings()))
    for warning in registry.warnings:
        _logger.warning("%s", warning)
    return registry


def build_offline_runtime(registry: HandlerRegistry) -> Runtime:
    """Join the parts for a command that ends before anything rings, and that may have no sidecar beside it.

    It sets no alarms: the app's next reconciliation, within a minute, sets those of what was changed.
    """
    return build_runtime(read_settings(), registry, scheduler=TimerScheduler(), longest_run=function_timeout())
