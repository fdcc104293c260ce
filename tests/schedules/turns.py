"""The changes of clocks that the time zone database knows of."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

_STRIDE = timedelta(hours=12)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Zone:
    """Zones with the same data; what holds for one of the ``names`` holds for all."""

    names: tuple[str, ...]
    data: bytes

    @property
    def info(self) -> tzinfo:
        return _loaded(self.data)


@dataclass(frozen=True)
class ClockChange:
    """A change of offset: ``at`` is the first instant with the new one; ``size`` is negative where clocks go back."""

    zone: Zone
    at: datetime
    size: timedelta


@cache
def _loaded(data: bytes) -> tzinfo:
    return ZoneInfo.from_file(io.BytesIO(data))


@cache
def all_zones() -> tuple[Zone, ...]:
    """Give every zone of the ``tzdata`` package; those that are one by another name together."""
    package = files("tzdata")
    by_data: dict[bytes, list[str]] = {}
    for name in package.joinpath("zones").read_text().split():
        by_data.setdefault(package.joinpath("zoneinfo", *name.split("/")).read_bytes(), []).append(name)
    return tuple(Zone(tuple(names), data) for data, names in by_data.items())


def zone_named(name: str) -> Zone:
    return next(zone for zone in all_zones() if name in zone.names)


def turns_of(zone: Zone, first_year: int, last_year: int) -> Iterator[ClockChange]:
    """Find the changes within years, both inclusive. Two within twelve hours that undo each other are not seen."""

    def offset(moment: datetime) -> timedelta:
        return moment.astimezone(zone.info).utcoffset() or timedelta()

    moment, end = datetime(first_year, 1, 1, tzinfo=UTC), datetime(last_year + 1, 1, 1, tzinfo=UTC)
    while moment < end:
        low, high = moment, moment + _STRIDE
        before, after = offset(low), offset(high)
        if before != after:
            while high - low > _SECOND:
                middle = low + (high - low) // _SECOND // 2 * _SECOND
                low, high = (middle, high) if offset(middle) == before else (low, middle)
            yield ClockChange(zone, high, after - before)
        moment += _STRIDE


@cache
def turns(first_year: int = 2025, last_year: int = 2035) -> tuple[ClockChange, ...]:
    """Give every change of every zone within years, zones in the order of the database."""
    return tuple(turn for zone in all_zones() for turn in turns_of(zone, first_year, last_year))
