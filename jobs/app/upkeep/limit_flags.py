"""Keep the limit flags of jobs up to date: whether a job needs a concurrency slot, and by which key it is counted.

The flags are set when a job is enqueued. Jobs that were waiting when a release gave their handler limits, or removed
them, are out of date until the reconciler refreshes their flags. Meanwhile every claim still respects the limits that
this release knows.
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
    """Refreshes limit flags. Lives as long as the process."""

    def __init__(self, housekeeping: Housekeeping, registry: HandlerRegistry) -> None:
        self._housekeeping = housekeeping
        self._registry = registry

    def refresh(self, limit: int, grace: timedelta) -> int:
        """Refresh the flags of up to about ``limit`` jobs and return how many were out of date.

        Jobs of handlers that this release does not know are refreshed only once they are due for ``grace``.
        """
        found = self._housekeeping.outdated_limit_flags(
            limit,
            limited=self._registry.limited,
            known=[spec.name for spec in self._registry.all()],
            grace=grace,
        )
        return self._housekeeping.set_limit_flags([self._flag_of(job) for job in found]) if found else 0

    def _flag_of(self, job: OutdatedLimitFlag) -> LimitFlag:
        spec = self._registry.get(job.handler_name)
        if spec is None or spec.limits is None:
            return LimitFlag(job.id, limited=False, concurrency_key=None)
        try:
            key = spec.key_of(spec.read_arguments(job.payload, job.payload_version))
        except InvalidInput as error:  # its attempt reports that; it must get a slot for it
            _logger.info(
                "job %s has no concurrency key, since its payload cannot be read: %s", job.id, printable(str(error))
            )
            key = None
        return LimitFlag(job.id, limited=True, concurrency_key=key)
