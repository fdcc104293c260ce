"""Choose the scheduler by the settings, and check what it needs. Each is imported only when it is chosen."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jobs.adapters.schedulers.timer import TimerScheduler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.adapters.storage_queue.queue import StorageQueue
    from jobs.core.ports.clock import Clock
    from jobs.core.ports.looks import Looks
    from jobs.core.ports.scheduler import Scheduler
    from jobs.settings import Settings

_CALL_SECONDS = 2.0


def build_scheduler(settings: Settings, clock: Clock) -> Scheduler:
    """Return the scheduler that the settings choose. Raises ``ConfigurationError`` for settings that it cannot use."""
    if settings.scheduler == "timer":
        return TimerScheduler()
    if settings.scheduler == "queue":
        from jobs.adapters.schedulers.queue import QueueScheduler  # noqa: PLC0415  a tenth of a second, for urllib3

        return QueueScheduler(*open_queues(settings.queue_connection, settings.queue), clock.now)
    from jobs.adapters.schedulers.dapr import DaprScheduler  # noqa: PLC0415  half a second, with gRPC

    return DaprScheduler()


def build_looks(settings: Settings) -> Looks | None:
    """Return where the timer scheduler asks other instances for help; None unless the settings want it to.

    Raises ``ConfigurationError`` for settings that cannot be used.
    """
    if not settings.asks_for_help:
        return None
    from jobs.adapters.schedulers.looks import QueueLooks  # noqa: PLC0415  as above

    return QueueLooks(open_queues(settings.queue_connection, settings.queue)[0])


def open_queues(
    connection: str, name: str, environment: Mapping[str, str] = os.environ
) -> tuple[StorageQueue, StorageQueue]:
    """Return a storage queue, and the one that the Functions host moves messages to which it has given up.

    Nothing is connected. Raises ``ConfigurationError`` where the setting ``connection`` is missing or wrong.
    """
    from jobs.adapters.schedulers.queue import CONNECTIONS  # noqa: PLC0415  as above
    from jobs.adapters.storage_queue.account import StorageAccount  # noqa: PLC0415
    from jobs.adapters.storage_queue.queue import StorageQueue  # noqa: PLC0415

    account = StorageAccount.of(environment, connection)
    return (
        StorageQueue(account, name, connections=CONNECTIONS, timeout_seconds=_CALL_SECONDS),
        StorageQueue(account, f"{name}-poison", connections=CONNECTIONS, timeout_seconds=_CALL_SECONDS),
    )
