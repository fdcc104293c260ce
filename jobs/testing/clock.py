"""A clock that moves only when a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FrozenClock:
    """The ``Clock`` port with a time that stands still until ``advance`` or ``move_to`` moves it."""

    def __init__(self, at: datetime) -> None:
        self._now = in_utc(at)

    def now(self) -> datetime:
        """Return the present instant in UTC."""
        return self._now

    def advance(self, by: timedelta) -> datetime:
        """Move on by ``by``, and give the instant that is now; a negative ``by`` sets the clock back."""
        self._now += a_span(by)
        return self._now

    def move_to(self, instant: datetime) -> datetime:
        """Make it ``instant``, and give that in UTC; an instant before the present one sets the clock back."""
        self._now = in_utc(instant)
        return self._now


def a_span(by: timedelta) -> timedelta:
    """Return ``by``; raises ``TypeError`` for what is no timedelta, such as a number of who knows what."""
    if not isinstance(by, timedelta):
        raise TypeError(f"{by!r} is no timedelta; write such as timedelta(seconds=60)")
    return by


def in_utc(at: datetime) -> datetime:
    """Return ``at`` in UTC; raises ``ValueError`` for one without a zone, which could be any of 24 instants."""
    if not isinstance(at, datetime):
        raise TypeError(
            f"{at!r} is no datetime; write such as datetime(2026, 1, 1, tzinfo=UTC), or let a timedelta pass with "
            "advance()"
        )
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} says nothing about its zone; give it one, such as tzinfo=UTC")
    return at.astimezone(UTC)
