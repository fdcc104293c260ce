"""Convert local times to instants, including local times that a change of clocks skips or repeats."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import tzinfo

Note = Literal["gap", "overlap"]

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Dst:
    """The policy for a fixed local time that a change of clocks skips (``gap``) or repeats (``overlap``).

    ``shift`` runs at the first instant after the gap, ``skip`` not at all. ``once`` runs at the first of the two
    instants, ``twice`` at both.
    """

    gap: Literal["shift", "skip"] = "shift"
    overlap: Literal["once", "twice"] = "once"


AS_TIME_PASSES = Dst(gap="skip", overlap="twice")
"""The policy for an hour field that is a wildcard or a step: a run whenever the local clock matches."""


@dataclass(frozen=True, slots=True)
class ClockChange:
    """A change of a zone's offset at the instant ``at``: clocks go forward (a gap) or back (an overlap).

    The local times from ``start`` to ``end``, which is excluded, are skipped or repeated.
    """

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def kind(self) -> Note:
        """``gap`` if clocks go forward, ``overlap`` if they go back."""
        return "gap" if self.after > self.before else "overlap"

    @property
    def start(self) -> datetime:
        """The first local time skipped or repeated."""
        return self.at.replace(tzinfo=None) + min(self.before, self.after)

    @property
    def end(self) -> datetime:
        """The first local time after the gap or overlap."""
        return self.at.replace(tzinfo=None) + max(self.before, self.after)


def clock_change_at(local: datetime, zone: tzinfo) -> ClockChange | None:
    """Find the change of clocks that skips or repeats ``local`` (without a zone); None for an ordinary local time."""
    before, after = (offset_of(local.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    if before == after:
        return None
    moment = local.replace(tzinfo=UTC)
    return clock_change_between(moment - max(before, after), moment - min(before, after), zone)


def clock_change_between(since: datetime, until: datetime, zone: tzinfo) -> ClockChange | None:
    """Find the change of clocks after ``since`` and not after ``until``, if the offsets at the two differ."""
    # Clocks change on whole seconds. With a fraction on one side, the binary search would never end.
    low, high = since.replace(microsecond=0), until.replace(microsecond=0)
    before = offset_of(low.astimezone(zone))
    if before == offset_of(high.astimezone(zone)):
        return None
    while high - low > _SECOND:
        middle = low + timedelta(seconds=(high - low) // _SECOND // 2)
        if offset_of(middle.astimezone(zone)) == before:
            low = middle
        else:
            high = middle
    return ClockChange(high, before, offset_of(high.astimezone(zone)))


def instants_of(local: datetime, zone: tzinfo, dst: Dst) -> list[datetime]:
    """Return the UTC instants at which a run at ``local`` (without a zone) takes place: none, one or two, ascending."""
    change = clock_change_at(local, zone)
    moment = local.replace(tzinfo=UTC)
    if change is None:
        return [moment - offset_of(local.replace(tzinfo=zone))]
    if change.kind == "gap":
        return [change.at] if dst.gap == "shift" else []
    return [moment - change.before, moment - change.after][: 2 if dst.overlap == "twice" else 1]


def offset_of(moment: datetime) -> timedelta:
    """Return the offset from UTC of an aware datetime."""
    return moment.utcoffset() or timedelta()
