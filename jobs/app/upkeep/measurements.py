"""Log one line every minute with the numbers that alerts use.

The line is logged within a timer's own invocation, since the Functions host passes on only records of invocations.
Alerts parse the message, since the host also drops a record's extra fields.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

    from jobs.app.alarms.arming import Alarms
    from jobs.core.ports.housekeeping import Housekeeping

_logger = logging.getLogger("jobs.measured")


def log_measurement(housekeeping: Housekeeping, *, count_to: int, grace: timedelta, window: timedelta) -> None:
    """Log how many jobs are due and how late, and what failed within ``window``. A warning if later than ``grace``.

    The alerts in ``infra/`` parse this line: change both, or neither.
    """
    wait = housekeeping.longest_wait(count_to)
    failures = housekeeping.recent_failures(window)
    numbers = {
        "due": wait.due,
        "late_seconds": round(wait.seconds),
        "failed": failures.failed,
        "lost": failures.lost,
        "window_seconds": round(window.total_seconds()),
    }
    level = logging.WARNING if wait.seconds > grace.total_seconds() else logging.INFO
    _logger.log(level, "measured: %s", " ".join(f"{name}={value}" for name, value in numbers.items()), extra=numbers)


def warn_of_poison(alarms: Alarms) -> None:
    """Log how many messages the scheduler's host has given up, if any."""
    backlog = alarms.backlog()
    if backlog is not None and backlog.poisoned:
        _logger.warning(
            "%d messages were given up by the host, in the queue's poison queue. No job is lost with them: what is "
            "overdue is run all the same. The log of wake says why they failed; delete them once that is mended",
            backlog.poisoned,
        )
