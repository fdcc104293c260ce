"""How long a drain goes on."""

from __future__ import annotations

_MOMENT_SECONDS = 1.0


class DrainBudget:
    """The time that one drain has: its budget, then for as long as handlers run, up to ``stay_seconds`` in all.

    Whoever drains is waited for by a host that goes down, so steady work must not keep it for ever: each time that the
    budget is spent, nothing new is begun for a moment (``holds_back``), and if nothing runs by then the drain is over.
    If something does, it goes on looking for due jobs, so that a long handler holds up none behind it.
    """

    def __init__(self, began: float, budget_seconds: float, stay_seconds: float) -> None:
        self._budget_seconds = budget_seconds
        self._spent_at = began + budget_seconds
        self._ends_at = max(self._spent_at, began + stay_seconds)
        self.holds_back = False

    def lasts(self, now: float, in_hand: int) -> bool:
        """Return whether to go on at ``now`` with ``in_hand`` runs waiting or running."""
        if now < self._spent_at:
            return True
        if now >= self._ends_at or not in_hand:
            return False
        self.holds_back = now < self._spent_at + _MOMENT_SECONDS
        if not self.holds_back:
            self._spent_at = now + self._budget_seconds
        return True
