"""The app's parts, made once per process from the ports that ``bootstrap`` chooses, and handed to the entry points."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from jobs.app.alarms.arming import Alarms
from jobs.app.bulk.operations import BulkOperations
from jobs.app.bulk.run import BulkWork, run_bulk
from jobs.app.commands.end_watch import EndWatch
from jobs.app.commands.follow_ups import FollowUps
from jobs.app.commands.job_views import JobViews
from jobs.app.commands.service import JobService
from jobs.app.execution.attempt.abandoned import AbandonedThreads
from jobs.app.execution.attempt.backend import AttemptBackend
from jobs.app.execution.attempt.completion import Completions
from jobs.app.execution.attempt.executor import Executor
from jobs.app.execution.claims import Claims
from jobs.app.execution.leases.alone import Alone
from jobs.app.execution.leases.cancellations import CancellationWatch
from jobs.app.execution.leases.keeper import LeaseKeeper
from jobs.app.execution.leases.progress import ProgressWriter
from jobs.app.execution.outcomes import Outcomes
from jobs.app.execution.pipeline import RunPipeline
from jobs.app.execution.services.injection import Injector
from jobs.app.execution.slots import ConcurrencySlots
from jobs.app.execution.worker.in_hand import WorkInHand
from jobs.app.execution.worker.pending_results import PendingResults
from jobs.app.execution.worker.pool import WorkerPool
from jobs.app.execution.worker.wakes import Wakes
from jobs.app.execution.worker.worker import Worker
from jobs.app.upkeep.clock_setback import ClockSetback
from jobs.app.upkeep.condition import Inspection
from jobs.app.upkeep.limit_flags import LimitFlags
from jobs.app.upkeep.presence import Presence
from jobs.app.upkeep.reaper import Reaper
from jobs.app.upkeep.reconciler import Reconciler
from jobs.app.upkeep.scale_out import ScaleOut
from jobs.core.bulk import BULK_HANDLER
from jobs.core.errors import StoreUnavailable
from jobs.core.lifecycle.retry import RetryPolicy
from jobs.core.transactions.lock import DistributedLock
from jobs.core.transactions.unit_of_work import UnitsOfWork

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.app.commands.follow_ups import Enqueue
    from jobs.app.execution.slots import SlotOffers
    from jobs.app.parts import Ports, RuntimeOptions
    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.ports.audit import AuditLog
    from jobs.core.ports.clock import Clock
    from jobs.core.ports.failures import FailureLog
    from jobs.core.ports.housekeeping import Housekeeping
    from jobs.core.ports.runs import RunStore
    from jobs.core.ports.scheduler import Scheduler
    from jobs.core.ports.series import SeriesStore
    from jobs.core.ports.workers import WorkerLog

_logger = logging.getLogger("jobs")
_BULK_RETRY = RetryPolicy(max_retries=100, cap=timedelta(minutes=1))
_BULK_TIMEOUT = timedelta(minutes=2)  # more than the half minute of an attempt and the page that it is at


@dataclass(frozen=True, slots=True)
class Runtime:
    """What an entry point may call. Lives as long as the process."""

    service: JobService
    views: JobViews
    ends: EndWatch
    bulk: BulkOperations
    pipeline: RunPipeline
    pool: WorkerPool
    wakes: Wakes
    worker: Worker
    reaper: Reaper
    reconciler: Reconciler
    scale_out: ScaleOut
    presence: Presence
    inspection: Inspection
    registry: HandlerRegistry
    injector: Injector
    alarms: Alarms
    runs: RunStore
    housekeeping: Housekeeping
    audit: AuditLog
    series: SeriesStore
    failures: FailureLog
    workers: WorkerLog
    scheduler: Scheduler
    units: UnitsOfWork
    lock: DistributedLock
    clock: Clock
    shutdown_grace_seconds: float
    release: Callable[[], None]

    def watch(self) -> None:
        """Report this worker, and take back runs of lost ones, on threads of their own until ``close``."""
        self.worker.watch()
        self.presence.start()

    def start_nothing_more(self) -> None:
        """Claim nothing from now on, and give back what has not started; what runs goes on until ``close``."""
        self._announce_drain()
        self.pool.start_nothing_more()

    def _announce_drain(self) -> None:
        if not self.pool.stopping.is_set():
            self.pool.stopping.set()
            self.presence.report_soon()

    def close(self) -> None:
        """Give back what runs, clean up the app's services, write what is pending, and close the connections."""
        self.ends.close()
        self._announce_drain()
        try:
            self.pool.stop(self.shutdown_grace_seconds)
        except StoreUnavailable as error:
            _logger.warning("runs under way were not given back, their leases run out instead: %s", error)
        finally:
            self.presence.close()
            self.injector.close()
            self.alarms.close()
            self.release()


def build(
    registry: HandlerRegistry, ports: Ports, options: RuntimeOptions, offers: SlotOffers | None = None
) -> Runtime:
    """Make every part from those that it needs. Nothing is connected, and no thread started, until it is used.

    Concurrency slots that may be free are offered to ``offers``, by default to the worker pool.
    """
    alarms = Alarms(ports.scheduler, ports.store)
    service = JobService(
        ports.store, alarms, registry, ports.clock, ports.random, options.longest_run, ports.operations.was_changed
    )
    work = BulkWork(service, ports.operations)
    injector = Injector(registry, {UnitsOfWork: ports.units, DistributedLock: ports.lock, BulkWork: work})
    registry.add_own(BULK_HANDLER, run_bulk, retry=_BULK_RETRY, timeout=_BULK_TIMEOUT)
    pool = _build_pool(registry, injector, alarms, service.enqueue, ports, options, offers)
    pipeline, lease = pool.pipeline, options.identity.lease
    reaper = Reaper(ports.housekeeping, ports.runs, pipeline, alarms, ports.clock, lease, options.max_lost)
    worker = Worker(pipeline.claims, pool, reaper, options.limits.batch)
    setback = ClockSetback(ports.setbacks, alarms, ports.random, lease)
    flags = LimitFlags(ports.housekeeping, registry)
    return Runtime(
        service=service,
        views=JobViews(
            ports.runs,
            registry,
            ports.scheduler,
            ports.clock,
            options.identity.default_timeout,
            options.reconcile.overdue_grace,
        ),
        ends=EndWatch(ports.store),
        bulk=BulkOperations(service, ports.operations, ports.clock),
        pipeline=pipeline,
        pool=pool,
        wakes=Wakes(pipeline.claims, pool, options.limits.batch),
        worker=worker,
        reaper=reaper,
        reconciler=Reconciler(
            ports.housekeeping,
            alarms,
            worker,
            flags,
            options.reconcile,
            reaper,
            setback,
            ports.series,
            ports.workers,
        ),
        scale_out=ScaleOut(ports.housekeeping, ports.looks, options.limits.concurrency, options.scale_out_instances),
        presence=Presence(
            ports.workers, registry, pool, alarms, options.identity, options.limits.concurrency, options.app_version
        ),
        inspection=Inspection(
            ports.housekeeping,
            ports.series,
            ports.workers,
            alarms,
            ports.clock,
            registry=registry,
            abandoned=lambda: len(pool.abandoned),
            overdue_grace=options.reconcile.overdue_grace,
            reconcile_gap=options.reconcile_gap,
        ),
        registry=registry,
        injector=injector,
        alarms=alarms,
        runs=ports.runs,
        housekeeping=ports.housekeeping,
        audit=ports.audit,
        series=ports.series,
        failures=ports.failures,
        workers=ports.workers,
        scheduler=ports.scheduler,
        units=ports.units,
        lock=ports.lock,
        clock=ports.clock,
        shutdown_grace_seconds=options.shutdown_grace_seconds,
        release=partial(_close, ports),
    )


def _close(ports: Ports) -> None:
    if ports.looks is not None:
        ports.looks.close()
    ports.release()


def _build_pool(
    registry: HandlerRegistry,
    injector: Injector,
    alarms: Alarms,
    enqueue: Enqueue,
    ports: Ports,
    options: RuntimeOptions,
    offers: SlotOffers | None,
) -> WorkerPool:
    """Make the parts of execution, from the bottom up; none of them needs one that is made later."""
    runs, identity, limits = ports.runs, options.identity, options.limits
    abandoned = AbandonedThreads(limits.abandoned or limits.concurrency)
    pending = PendingResults()
    work = WorkInHand(limits.concurrency, abandoned, pending)
    slots = ConcurrencySlots(runs, registry, identity, offers or work)
    alone, progress = Alone(), ProgressWriter(runs)
    leases = LeaseKeeper(runs, identity.lease, progress, alone)
    claims = Claims(ports.store, runs, slots, leases, alarms, identity)
    outcomes = Outcomes(runs, registry, ports.random, identity.lease)
    backend = AttemptBackend(
        leases,
        CancellationWatch(runs.check_leases, leases.holds),
        progress,
        FollowUps(enqueue, ports.store.get),
        Completions(runs, leases, alarms, ports.clock, outcomes, slots),
        ports.units,
        ports.lock,
    )
    executor = Executor(registry, injector, leases, backend, identity.default_timeout)
    pipeline = RunPipeline(claims, executor, outcomes, leases, slots, alarms, ports.clock, abandoned)
    return WorkerPool(pipeline, work, pending, alone, limits)
