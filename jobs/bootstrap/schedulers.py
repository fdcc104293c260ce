"""Choose the scheduler by the settings. Each is imported only when it is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.adapters.schedulers.timer import TimerScheduler

if TYPE_CHECKING:
    from jobs.core.ports.scheduler import Scheduler
    from jobs.settings import Settings


def build_scheduler(settings: Settings) -> Scheduler:
    """Return the scheduler that the settings choose."""
    if settings.scheduler == "timer":
        return TimerScheduler()
    from jobs.adapters.schedulers.dapr import DaprScheduler  # noqa: PLC0415  half a second, with gRPC

    return DaprScheduler()
