"""The limit of a job's own timeout: at functionTimeout the host ends the worker, with all runs in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.core.errors import InvalidInput
from jobs.core.schedules.durations import format_duration

if TYPE_CHECKING:
    from datetime import timedelta


def refuse_timeout(timeout: timedelta | None, limit: timedelta | None) -> None:
    """Raise ``InvalidInput`` for a job's timeout that is not below ``limit``, the host's functionTimeout."""
    if timeout is not None and limit is not None and timeout >= limit:
        raise InvalidInput.at(
            "/timeout",
            f"{format_duration(timeout)} is not below functionTimeout, {format_duration(limit)}, at which the host "
            "ends the worker with all that it runs; give a shorter one and do the work in parts, or raise "
            "functionTimeout in host.json",
        )
