"""The workers, which are the processes that run jobs, and the versions of the app that they run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

MOST_WORKERS = 500
"""How many workers are listed, and how many of their leases are counted is ``COUNT_TO``."""
KEPT_VERSIONS = 100
"""How many versions of the app are remembered: the newest, and those that a worker runs."""


class WorkerState(NamedTuple):
    """What a worker reports of itself. Its ``name`` is that of its leases. ``lease`` is how often it reports.

    ``running`` counts handlers under way, ``abandoned`` the threads that handlers keep past their timeout.
    ``scheduler_fault`` is why its scheduler takes no alarms, None while it does.
    """

    name: str
    app_version: str
    lease: timedelta
    concurrency: int
    running: int
    abandoned: int
    draining: bool
    scheduler: str
    scheduler_fault: str | None


class KnownWorker(NamedTuple):
    """A worker as the store knows it: its last report, and the leases that it holds now.

    It is ``lost`` once it has not reported for two leases. A worker that ends in order is known no more. ``handlers``
    counts its leases by handler; ``oldest_run_at`` is when the first of the runs that it holds was claimed.
    """

    state: WorkerState
    started_at: datetime
    seen_at: datetime
    lost: bool
    leases: int
    oldest_run_at: datetime | None
    handlers: dict[str, int]


class AppVersion(NamedTuple):
    """A version of the app: when a worker first reported it, its handlers with the version of their arguments.

    ``workers`` counts those that run it and are not lost.
    """

    version: str
    first_seen_at: datetime
    handlers: dict[str, int]
    workers: int


class WorkerLog(Protocol):
    """The workers of one database. Each writes its own row, at most once in a lease and never for a job."""

    def report(self, state: WorkerState, handlers: Mapping[str, int] | None = None) -> None:
        """Write a worker's state; with ``handlers`` also note the version of its app, if that is new."""

    def leave(self, name: str) -> None:
        """Forget a worker that ends in order."""

    def find(self, limit: int = MOST_WORKERS) -> list[KnownWorker]:
        """Return up to ``limit`` workers: those that live before the lost ones, by name."""

    def versions(self) -> list[AppVersion]:
        """Return the versions of the app that are remembered, the newest first."""

    def prune(self, lost_for: timedelta) -> int:
        """Forget workers that have been silent for ``lost_for``, and old versions; returns how many workers."""
