"""A clock that moves only when a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FrozenClock:
    """The ``Clock`` port with a time that only ``advance`` and ``move_to`` change."""

    def __init__(self, at: datetime) -> None:
        self._now = in_utc(at)

    def now(self) -> datetime:
        """Return the current instant in UTC."""
        return self._now

    def advance(self, by: timedelta) -> datetime:
        """Move the clock by ``by`` and return the new time; a negative ``by`` sets the clock back."""
        self._now += require_timedelta(by)
        return self._now

    def move_to(self, instant: datetime) -> datetime:
        """Set the clock to ``instant`` and return it in UTC; an earlier instant sets the clock back."""
        self._now = in_utc(instant)
        return self._now


def require_timedelta(by: timedelta) -> timedelta:
    """Return ``by``; raises ``TypeError`` if it is not a timedelta, such as a number without a unit."""
    if not isinstance(by, timedelta):
        raise TypeError(f"{by!r} is no timedelta; write such as timedelta(seconds=60)")
    return by


def in_utc(at: datetime) -> datetime:
    """Return ``at`` in UTC; raises ``ValueError`` for a datetime without a zone, which is ambiguous."""
    if not isinstance(at, datetime):
        raise TypeError(
            f"{at!r} is no datetime; write such as datetime(2026, 1, 1, tzinfo=UTC), or let a timedelta pass with "
            "advance()"
        )
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} says nothing about its zone; give it one, such as tzinfo=UTC")
    return at.astimezone(UTC)
