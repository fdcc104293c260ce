"""One line in the log, every minute, with the numbers that alerts go by.

It is logged within a timer's own invocation. What the threads of the worker log belongs to no invocation, and the
Functions host passes on only what does. Alerts read the message, since the host drops a record's extra fields too.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

    from jobs.core.ports.housekeeping import Housekeeping

_logger = logging.getLogger("jobs.measured")


def log_measurement(housekeeping: Housekeeping, *, count_to: int, grace: timedelta, window: timedelta) -> None:
    """Log how many jobs are due and how late, and what failed within ``window``; a warning if later than ``grace``.

    ``infra/`` has alerts on this line and parses it: change both, or neither.
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
