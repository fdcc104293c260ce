"""Keep the rows' marks true to the handlers: which jobs wait for turns, and by which key they are counted.

A job is marked when it is enqueued. Those that were waiting when a release gave their handler limits, or took them
away, are marked anew by the reconciler; until then no claim takes a job past limits that this release knows.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jobs.core.diagnostics.error_text import printable
from jobs.core.errors import InvalidInput
from jobs.core.lifecycle.limits import LimitFlag

if TYPE_CHECKING:
    from datetime import timedelta

    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.lifecycle.limits import OutdatedLimitFlag
    from jobs.core.ports.housekeeping import Housekeeping

_logger = logging.getLogger("jobs.limit_flags")


class LimitFlags:
    """Marks rows; lives as long as the process."""

    def __init__(self, housekeeping: Housekeeping, registry: HandlerRegistry) -> None:
        self._housekeeping = housekeeping
        self._registry = registry

    def renew(self, limit: int, grace: timedelta) -> int:
        """Mark up to about ``limit`` jobs anew; gives how many. Those of unknown handlers are due for ``grace``."""
        found = self._housekeeping.outdated_limit_flags(
            limit,
            limited=self._registry.limited,
            known=[spec.name for spec in self._registry.all()],
            grace=grace,
        )
        return self._housekeeping.set_limit_flags([self._limit_flag(job) for job in found]) if found else 0

    def _limit_flag(self, job: OutdatedLimitFlag) -> LimitFlag:
        spec = self._registry.get(job.handler_name)
        if spec is None or spec.limits is None:
            return LimitFlag(job.id, limited=False, concurrency_key=None)
        try:
            key = spec.key_of(spec.read_arguments(job.payload, job.payload_version))
        except InvalidInput as error:  # its attempt will say so; it must get a turn for that
            _logger.info(
                "job %s has no concurrency key, since its payload cannot be read: %s", job.id, printable(str(error))
            )
            key = None
        return LimitFlag(job.id, limited=True, concurrency_key=key)
