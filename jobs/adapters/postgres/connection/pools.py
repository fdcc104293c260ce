"""The connections of one process, in four pools, so that urgent work never waits for other work.

Heartbeats and outcomes have one connection each, so that no lease expires for lack of a connection, whatever the others
do. Handlers have a pool of their own, which the framework does not use for anything else.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from jobs.adapters.postgres.connection.database import Database

if TYPE_CHECKING:
    from jobs.adapters.postgres.connection.address import DatabaseOptions

_OWN = 2
"""The connections of heartbeats and outcomes."""


class PoolSizes(NamedTuple):
    """How many connections each pool may open."""

    application: int
    units: int
    outcomes: int = 1
    heartbeats: int = 1

    @classmethod
    def of(cls, total: int) -> PoolSizes:
        """Split ``total``, which is at least 4: one for heartbeats, one for outcomes, and half of the rest each.

        If the rest is odd, the application gets one more than units of work.
        """
        rest = max(total - _OWN, 2)
        return cls(application=rest - rest // 2, units=rest // 2)


class Pools(NamedTuple):
    """The pools. They live as long as the process; none connects before its first use."""

    application: Database
    """For enqueuing, the API, claims and upkeep."""
    units: Database
    """For handlers' units of work."""
    outcomes: Database
    """For attempts' outcomes, and for the clock."""
    heartbeats: Database
    """For heartbeats of leases."""

    @classmethod
    def of(cls, options: DatabaseOptions, application: Database | None = None) -> Pools:
        """Create the pools; ``application``, if given, is used as it is."""
        sizes = PoolSizes.of(options.pool_size)
        application = application or Database(replace(options, pool_size=sizes.application))
        outage = application.outage
        return cls(
            application=application,
            units=Database(replace(options, pool_size=sizes.units), outage, for_handlers=True),
            outcomes=Database(replace(options, pool_size=sizes.outcomes), outage),
            heartbeats=Database(replace(options, pool_size=sizes.heartbeats), outage),
        )

    def close(self) -> None:
        """Close every pooled connection."""
        for database in self:
            database.close()
