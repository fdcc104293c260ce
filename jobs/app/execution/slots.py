"""Concurrency slots: how many attempts of a handler with limits may run at once, and how many may start in a period.

Nothing is reserved. The claim itself counts, in the database, what runs and what has started. So whenever a slot may
have become free, somebody has to try another claim: after an attempt of the handler has ended in this process, once
the handler's rate allows another start, and at every poll or reconcile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from jobs.app.execution.identity import WorkerIdentity
    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.lifecycle.ids import AlarmName
    from jobs.core.lifecycle.job import ClaimedRun
    from jobs.core.ports.runs import RunStore


class SlotOffers(Protocol):
    """Where it is announced that a throttled job may start. No call blocks or raises."""

    def offer(self, handler_name: str) -> None:
        """Have a throttled job of this handler claimed soon, if the handler's limits allow one."""

    def offer_after(self, handler_name: str, seconds: float) -> None:
        """Do the same after ``seconds``; a later call for a handler that is waited for already changes nothing."""

    def close(self) -> None:
        """Announce nothing more."""


class ConcurrencySlots:
    """Claims for handlers with limits. Lives as long as the process; safe between threads."""

    def __init__(self, runs: RunStore, registry: HandlerRegistry, identity: WorkerIdentity, offers: SlotOffers) -> None:
        self._runs = runs
        self._registry = registry
        self._identity = identity
        self._offers = offers

    @property
    def handlers(self) -> Collection[str]:
        """The names of the handlers that have limits."""
        return self._registry.limited

    def acquire(self, handler_name: str, alarm: AlarmName | None = None, *, alone: bool = False) -> ClaimedRun | None:
        """Claim the throttled job that is due longest, or the job of ``alarm``; None where the limits allow none.

        Where only the rate forbids it, the slot is offered again once the rate allows another start.
        """
        limits = self._registry.limited.get(handler_name)
        if limits is None:
            return None
        claim = self._runs.claim_limited(
            handler_name, limits, 1, worker=self._identity.name, lease=self._identity.lease, alarm=alarm, alone=alone
        )
        if claim.wait_seconds is not None:
            self._offers.offer_after(handler_name, claim.wait_seconds)
        return claim.runs[0] if claim.runs else None

    def throttled(self) -> list[str]:
        """Return the handlers with limits that have due jobs. Raises ``StoreUnavailable``."""
        return self._runs.throttled_handlers(self.handlers) if self.handlers else []

    def offer_all(self) -> None:
        """Offer a slot to every handler with limits that has due jobs. Raises ``StoreUnavailable``."""
        for name in self.throttled():
            self._offers.offer(name)

    def release(self, handler_names: Iterable[str]) -> None:
        """Offer the slots of attempts of these handlers that have ended."""
        if self.handlers:
            for name in sorted(set(handler_names).intersection(self.handlers)):
                self._offers.offer(name)

    def close(self) -> None:
        """Stop offering slots. Throttled jobs are picked up by the next poll or reconcile, on any instance."""
        self._offers.close()
