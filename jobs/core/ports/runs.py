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
    """What a heartbeat found: the leases still held, and of these the ones whose cancellation was requested."""

    held: frozenset[str]
    cancel_requested: frozenset[str]


class Conviction(NamedTuple):
    """A lost run of a recurring job that is what ended its worker, under a lease of the caller's."""

    run: ClaimedRun
    error: str


class RunStore(Protocol):
    """Claims, leases and outcomes: each a single statement, fenced by the lease's token.

    Jobs of handlers with limits are claimed by ``claim_limited`` alone. The other claims pass them over: rows that are
    marked as such, and those of the handlers named in ``limited``, whose mark may not be up to date.
    """

    def claim(
        self, alarm: AlarmName, *, worker: str, lease: timedelta, limited: Collection[str] = (), alone: bool = False
    ) -> ClaimedRun | None:
        """Claim the job of ``alarm`` if it is due, unpaused and of that generation; None otherwise.

        Suspects are claimed ``alone`` only: the caller starts nothing else beside such a run until ``end_alone``.
        """

    def claim_due(
        self, limit: int, *, worker: str, lease: timedelta, limited: Collection[str] = ()
    ) -> list[ClaimedRun]:
        """Claim up to ``limit`` due jobs, the longest due first, passing over rows that others are claiming."""

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
        """Claim up to ``limit`` due jobs of one handler, the longest due first, as far as its limits allow.

        What runs and what was started is read from the rows themselves, while no other claim of that handler is under
        way: so the limits hold whatever dies. With ``alarm``, only the job that it names is claimed, and with ``alone``
        also if it is a suspect.
        """

    def due_in(self, alarm: AlarmName) -> float | None:
        """Seconds until the job of ``alarm`` is due, by the clock that claims go by; zero or less once it is.

        None unless it is Scheduled and of that generation.
        """

    def due_suspects(self, limit: int) -> list[AlarmName]:
        """List suspects that are due, the longest due first; no other claim takes them. See ``jobs.core.suspects``."""

    def end_alone(self, lease: Lease) -> bool:
        """Note that others start beside a suspect from now on, so that its loss convicts it no more."""

    def claim_convicted(self, limit: int, *, max_lost: int, lease: timedelta) -> list[Conviction]:
        """Take over lost runs of recurring jobs that are what ends their workers, to record that they failed."""

    def throttled_handlers(self, handler_names: Collection[str]) -> list[str]:
        """Return those of these handlers that have due throttled jobs; suspects are left out."""

    def limit_usage(self, periods: Mapping[str, timedelta]) -> LimitUsage:
        """Count what runs, and what was started within a period, of handlers with limits, by their names."""

    def extend(self, leases: Collection[Lease], lease: timedelta) -> Heartbeat:
        """Push the expiry of these leases out to now + ``lease``."""

    def look(self, leases: Collection[Lease]) -> Heartbeat:
        """Read, without extending them, which of these leases are held and whose jobs are to be cancelled."""

    def record(self, outcomes: Sequence[RecordedOutcome], *, connection: object | None = None) -> list[Recorded]:
        """Write outcomes, history and next occurrences. Returns those that were recorded.

        One that is missing was fenced off: its lease is another's now, or the job's schedule has changed meanwhile.
        ``connection`` is that of a unit of work, whose transaction the call joins. Raises, and writes nothing, when an
        outcome among them cannot be kept.
        """

    def report_progress(self, lease: Lease, fraction: float, message: str | None) -> bool:
        """Note how far an attempt has come; False, and nothing noted, if its lease is another's now.

        Raises ``StoreUnavailable``, without waiting, while a transaction is writing the job's row.
        """

    def reread(self, run: ClaimedRun, *, connection: object | None = None) -> ClaimedRun | None:
        """Return the run with the job's present schedule and generation if its lease is still held, else None."""

    def recorded(self, run: ClaimedRun) -> Recorded | None:
        """Return the outcome recorded for this very attempt, None if there is none.

        Waits for a transaction that may be about to record one.
        """
