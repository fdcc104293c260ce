"""The app's parts, joined; made once per process by ``bootstrap`` and handed to the entry points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.app.alarms import Alarms
    from jobs.app.dispatcher import Dispatcher
    from jobs.app.injection import Injector
    from jobs.app.reaper import Reaper
    from jobs.app.reconciler import Reconciler
    from jobs.app.service import JobService
    from jobs.app.waiting import JobViews
    from jobs.app.worker import Worker
    from jobs.core.lock import DistributedLock
    from jobs.core.ports import Clock, Housekeeping, Scheduler
    from jobs.core.registry import HandlerRegistry
    from jobs.core.unit_of_work import UnitsOfWork


@dataclass(frozen=True, slots=True)
class Runtime:
    """What an entry point may call. ``close`` gives back what runs and lets go of connections."""

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
