"""Claims, leases and outcomes of runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, Protocol

from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.job import ClaimedRun, Lease, Recorded, RecordedOutcome
from jobs.core.lifecycle.limits import LimitedClaim, Limits
from jobs.core.lifecycle.waiting import LimitUsage


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The result of a heartbeat: the leases still held, and those of them whose jobs are to be cancelled."""

    held: frozenset[str]
    cancel_requested: frozenset[str]


class Conviction(NamedTuple):
    """A lost run of a recurring job that caused its worker's death, under a lease of the caller's."""

    run: ClaimedRun
    error: str


class RunStore(Protocol):
    """Claims, leases and outcomes: each a single statement, fenced by the lease's token.

    Only ``claim_limited`` claims jobs of handlers with limits. The other claims skip rows with a limit flag, and all
    rows of the handlers named in ``limited``, because their flags may be out of date.
    """

    def claim(
        self, alarm: AlarmName, *, worker: str, lease: timedelta, limited: Collection[str] = (), alone: bool = False
    ) -> ClaimedRun | None:
        """Claim the job of ``alarm`` if it is due, unpaused and of that generation; None otherwise.

        Suspects are claimed only with ``alone``: the caller then starts nothing else beside the run until
        ``end_alone``.
        """

    def claim_due(
        self, limit: int, *, worker: str, lease: timedelta, limited: Collection[str] = ()
    ) -> list[ClaimedRun]:
        """Claim up to ``limit`` due jobs, the longest due first, skipping rows that others are claiming."""

    def claim_limited(
        self,
        handler_name: str,
        limits: Limits[Any],
        limit: int,
        *,
        worker: str,
        lease: timedelta,
        alarm: AlarmName | None = None,
        alone: bool = False,
    ) -> LimitedClaim:
        """Claim up to ``limit`` due jobs of one handler, the longest due first, within its limits.

        Claims of one handler are serialized, and count running jobs and recent starts from the rows themselves: so the
        limits hold whichever process dies. With ``alarm``, only the job that it names is claimed; with ``alone`` also
        if it is a suspect.
        """

    def due_in(self, alarm: AlarmName) -> float | None:
        """Return the seconds until the job of ``alarm`` is due, by the store's clock; zero or less once it is due.

        None unless the job is Scheduled and of that generation.
        """

    def due_suspects(self, limit: int) -> list[AlarmName]:
        """Return due suspects, the longest due first; ``claim_due`` skips them (``jobs.core.lifecycle.suspects``)."""

    def end_alone(self, lease: Lease) -> bool:
        """Record that a suspect no longer runs alone, so that a loss from now on does not convict it."""

    def claim_convicted(self, limit: int, *, max_lost: int, lease: timedelta) -> list[Conviction]:
        """Claim lost runs of recurring jobs that caused their workers' deaths, to record them as failed."""

    def throttled_handlers(self, handler_names: Collection[str]) -> list[str]:
        """Return those of these handlers that have due throttled jobs; suspects do not count."""

    def limit_usage(self, periods: Mapping[str, timedelta]) -> LimitUsage:
        """Count the running jobs of each handler with limits, and its starts within its period in ``periods``."""

    def extend(self, leases: Collection[Lease], lease: timedelta) -> Heartbeat:
        """Set the expiry of these leases to now + ``lease``, and return which are still held."""

    def check_leases(self, leases: Collection[Lease]) -> Heartbeat:
        """Return which of these leases are held and whose jobs are to be cancelled, without extending them."""

    def record(self, outcomes: Sequence[RecordedOutcome], *, connection: object | None = None) -> list[Recorded]:
        """Write outcomes, history and next occurrences. Returns those that were recorded.

        A missing one was fenced off: its lease is held by another attempt now, or the job's schedule has changed.
        ``connection`` is that of a unit of work, whose transaction the call joins. Raises, and writes nothing, if one
        of the outcomes cannot be stored.
        """

    def report_progress(self, lease: Lease, fraction: float, message: str | None) -> bool:
        """Write an attempt's progress; False, and nothing written, if its lease is no longer held.

        Raises ``StoreUnavailable`` at once while another transaction is writing the job's row.
        """

    def reread(self, run: ClaimedRun, *, connection: object | None = None) -> ClaimedRun | None:
        """Return the run with the job's current schedule and generation; None if its lease is no longer held."""

    def recorded(self, run: ClaimedRun) -> Recorded | None:
        """Return the outcome recorded for this attempt; None if there is none.

        Waits for an open transaction that may record one.
        """
