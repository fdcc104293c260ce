"""What the runtime is made from: one implementation of each port, and how the app behaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.app.execution.worker.limits import WorkerLimits
from jobs.app.upkeep.limits import ReconcileLimits
from jobs.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from jobs.app.execution.identity import WorkerIdentity
    from jobs.core.ports.audit import AuditLog
    from jobs.core.ports.clock import Clock
    from jobs.core.ports.failures import FailureLog
    from jobs.core.ports.housekeeping import Housekeeping
    from jobs.core.ports.jobs import JobStore
    from jobs.core.ports.looks import Looks
    from jobs.core.ports.operations import OperationStore
    from jobs.core.ports.runs import RunStore
    from jobs.core.ports.scheduler import Scheduler
    from jobs.core.ports.series import SeriesStore
    from jobs.core.ports.setbacks import Setbacks
    from jobs.core.ports.workers import WorkerLog
    from jobs.core.transactions.lock import DistributedLock
    from jobs.core.transactions.unit_of_work import UnitsOfWork


def _nothing() -> None:
    pass


def _one_minute() -> timedelta:
    return timedelta(minutes=1)


def _framework_version() -> str:
    return __version__


@dataclass(frozen=True, slots=True)
class Ports:
    """One implementation of each port. ``release`` closes their connections."""

    store: JobStore
    runs: RunStore
    housekeeping: Housekeeping
    audit: AuditLog
    series: SeriesStore
    operations: OperationStore
    failures: FailureLog
    workers: WorkerLog
    setbacks: Setbacks
    scheduler: Scheduler
    units: UnitsOfWork
    lock: DistributedLock
    clock: Clock
    random: Random
    looks: Looks | None = None
    """Where other instances are asked for help; None where each instance is woken up by itself."""
    release: Callable[[], None] = _nothing


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """How the app behaves. ``longest_run`` is how long the host allows an attempt to run; None means without end."""

    identity: WorkerIdentity
    limits: WorkerLimits = field(default_factory=WorkerLimits)
    reconcile: ReconcileLimits = field(default_factory=ReconcileLimits)
    max_lost: int = 3
    longest_run: timedelta | None = None
    shutdown_grace_seconds: float = 0.0
    scale_out_instances: int = 1
    reconcile_gap: Callable[[], timedelta] = _one_minute
    """Returns how far apart reconciliations are at most."""
    app_version: Callable[[], str] = _framework_version
    """Returns the version of the app; called once, on a thread that nothing waits for."""
