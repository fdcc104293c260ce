"""The app's parts, joined; made once per process by ``bootstrap`` and handed to the entry points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.app.alarms.arming import Alarms
    from jobs.app.commands.job_views import JobViews
    from jobs.app.commands.service import JobService
    from jobs.app.execution.dispatcher import Dispatcher
    from jobs.app.execution.services.injection import Injector
    from jobs.app.execution.worker.worker import Worker
    from jobs.app.upkeep.reaper import Reaper
    from jobs.app.upkeep.reconciler import Reconciler
    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.ports.clock import Clock
    from jobs.core.ports.housekeeping import Housekeeping
    from jobs.core.ports.scheduler import Scheduler
    from jobs.core.transactions.lock import DistributedLock
    from jobs.core.transactions.unit_of_work import UnitsOfWork


@dataclass(frozen=True, slots=True)
class Runtime:
    """What an entry point may call. ``close`` hands back what runs and closes the connections."""

    service: JobService
    views: JobViews
    dispatcher: Dispatcher
    worker: Worker
    reaper: Reaper
    reconciler: Reconciler
    housekeeping: Housekeeping
    registry: HandlerRegistry
    injector: Injector
    scheduler: Scheduler
    alarms: Alarms
    clock: Clock
    units: UnitsOfWork
    lock: DistributedLock
    close: Callable[[], None]
