"""The connections of one process, in four pools, so that who must not wait never waits for the others.

Heartbeats have a connection of their own and outcomes have one: whatever else is held, and for however long, no lease
runs out for want of a connection. Handlers have a pool of their own, which nothing else of the framework works on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from jobs.adapters.postgres.connection.database import Database

if TYPE_CHECKING:
    from jobs.adapters.postgres.connection.engine import DatabaseOptions

_OWN = 2
"""Heartbeats' and outcomes' connections."""


class PoolSizes(NamedTuple):
    """How many connections each pool may open."""

    application: int
    units: int
    outcomes: int = 1
    heartbeats: int = 1

    @classmethod
    def of(cls, total: int) -> PoolSizes:
        """Split ``total``, which is at least 4: one for heartbeats, one for outcomes, and the rest in halves.

        Where that is odd, the application has one more than units of work.
        """
        rest = max(total - _OWN, 2)
        return cls(application=rest - rest // 2, units=rest // 2)


class Pools(NamedTuple):
    """The pools, which live as long as the process; none connects before it is used."""

    application: Database
    """For enqueue, the API, claims and upkeep."""
    units: Database
    """For what handlers do themselves, in units of work."""
    outcomes: Database
    """For what becomes of attempts, and for the time."""
    heartbeats: Database
    """For leases."""

    @classmethod
    def of(cls, options: DatabaseOptions, application: Database | None = None) -> Pools:
        """Make the pools; with ``application`` given, which keeps its size, those beside it."""
        sizes = PoolSizes.of(options.pool_size)
        application = application or Database(replace(options, pool_size=sizes.application))
        outage = application.outage
        return cls(
            application=application,
            units=Database(replace(options, pool_size=sizes.units), outage, lent=True),
            outcomes=Database(replace(options, pool_size=sizes.outcomes), outage),
            heartbeats=Database(replace(options, pool_size=sizes.heartbeats), outage),
        )

    def close(self) -> None:
        """Close every pooled connection."""
        for database in self:
            database.close()
