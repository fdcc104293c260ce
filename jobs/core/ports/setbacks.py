"""What there is to mend once the store's clock was set back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from jobs.core.lifecycle.clock_setback import LatestRecord, SetBack, WaitingJob, WaitingPage
from jobs.core.ports.scheduler import Alarm


class Setbacks(Protocol):
    """What there is to mend once the store's clock, having been ahead, was set back. Each call is one statement."""

    def latest_record(self) -> LatestRecord:
        """Return the present time, and the latest instant at which a job, an attempt or a change is noted."""

    def waiting(self, limit: int, after: WaitingJob | None) -> WaitingPage:
        """List unpaused Scheduled jobs that are not due yet, the soonest due first, from behind ``after`` on."""

    def set_back(self, moves: Sequence[SetBack]) -> list[Alarm]:
        """Return waiting jobs other times under a new generation; returns the alarms of those that still waited so."""

    def shorten_leases(self, lease: timedelta) -> int:
        """Have leases that last longer than two of ``lease`` expire after one; returns how many."""
