"""Repairs after the store's clock was set back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from jobs.core.lifecycle.clock_setback import LatestRecord, SetBack, WaitingJob, WaitingPage
from jobs.core.ports.scheduler import Alarm


class Setbacks(Protocol):
    """Repairs after the store's clock ran ahead and was set back. Each call is one statement."""

    def latest_record(self) -> LatestRecord:
        """Return the current time, and the latest instant recorded on any job, attempt or change."""

    def waiting(self, limit: int, after: WaitingJob | None) -> WaitingPage:
        """Return unpaused Scheduled jobs that are not due yet, the soonest due first, starting after ``after``."""

    def set_back(self, moves: Sequence[SetBack]) -> list[Alarm]:
        """Set the times of waiting jobs, under a new generation; returns the alarms of those that had not changed."""

    def shorten_leases(self, lease: timedelta) -> int:
        """Shorten leases that expire later than twice ``lease`` from now to ``lease``; returns how many."""
