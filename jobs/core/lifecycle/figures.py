"""Figures that cost the same however many jobs there are: exact up to a bound, and from there "at least"."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from jobs.core.json_pointer import pointer_step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COUNT_TO = 10_000
RATE_WINDOW = timedelta(minutes=5)


class Step(StrEnum):
    """The length of a bucket."""

    MINUTE = "minute"
    HOUR = "hour"

    @property
    def length(self) -> timedelta:
        """How long a bucket is."""
        return timedelta(minutes=1) if self is Step.MINUTE else timedelta(hours=1)

    @property
    def span(self) -> timedelta:
        """How far back the buckets go that can be read."""
        return timedelta(hours=3) if self is Step.MINUTE else timedelta(days=7)


class Figures:
    """Collects the figures of one answer, and which of them are lower bounds or could not be had in time."""

    def __init__(self, count_to: int) -> None:
        self._count_to = count_to
        self._at_least: list[str] = []
        self._incomplete: list[str] = []
        self._groups: dict[str, Any] = {}

    def jobs(self, rows: Iterable[tuple[str, str, int, int]], cut: Mapping[str, bool]) -> None:
        """Add the counts of jobs, of (status, handler, count, paused). ``cut`` has statuses with more than counted."""
        by_status: dict[str, int] = {}
        handlers: dict[str, dict[str, int]] = {}
        paused = 0
        for status, handler_name, count, count_paused in rows:
            by_status[status] = by_status.get(status, 0) + count
            handlers.setdefault(handler_name, {})[status] = count
            paused += count_paused
        self._groups["jobs"] = {
            status: self._bounded(count, f"/jobs/{status}", cut=cut.get(status, False))
            for status, count in sorted(by_status.items())
        }
        self._groups["paused"] = self._bounded(paused, "/paused", cut=self._is_cut("Scheduled", by_status, cut))
        self._groups["handlers"] = {
            name: {
                status: self._bounded(
                    count, f"/handlers/{pointer_step(name)}/{status}", cut=self._is_cut(status, by_status, cut)
                )
                for status, count in sorted(counts.items())
            }
            for name, counts in sorted(handlers.items())
        }

    def due(self, count: int, unarmed: int, throttled: int, latest_by: float, late_by: float) -> None:
        """Add the figures of jobs that are due. ``latest_by`` is of all, ``late_by`` of those without limits."""
        cut = count > self._count_to
        self._groups["due"] = {
            "count": self._bounded(count, "/due/count"),
            "unarmed": self._bounded(unarmed, "/due/unarmed", cut=cut),
            "throttled": self._bounded(throttled, "/due/throttled", cut=cut),
            "latest_by_seconds": round(max(latest_by, 0.0), 3),
            "late_by_seconds": round(max(late_by, 0.0), 3),
        }

    def recent(self, rows: Iterable[tuple[str, int, float, float | None]]) -> None:
        """Add how recent attempts fared, of (outcome, count, mean duration, mean wait in seconds)."""
        found = [*rows]
        cut = sum(row[1] for row in found) > self._count_to
        if cut:
            self._at_least += [f"/recent/attempts/{outcome}/{of}" for outcome, *_ in found for of in _COUNTED]
        attempts = {
            outcome: {
                "count": min(count, self._count_to),
                "per_second": round(count / RATE_WINDOW.total_seconds(), 3),
                "mean_duration_seconds": round(duration, 6),
                "mean_wait_seconds": round(wait or 0.0, 6),
            }
            for outcome, count, duration, wait in found
        }
        self._groups["recent"] = {"window": "PT5M", "attempts": attempts}

    def out_of_time(self, *groups: str) -> None:
        """Leave out groups of figures that could not be had within the time limit."""
        self._incomplete += groups
        self._groups |= dict.fromkeys(groups)

    def answer(self) -> dict[str, Any]:
        """Return all figures."""
        return {
            **self._groups,
            "count_to": self._count_to,
            "at_least": sorted(self._at_least),
            "incomplete": sorted(self._incomplete),
        }

    def _is_cut(self, status: str, by_status: Mapping[str, int], cut: Mapping[str, bool]) -> bool:
        return cut.get(status, False) or by_status.get(status, 0) > self._count_to

    def _bounded(self, count: int, pointer: str, *, cut: bool = False) -> int:
        if cut or count > self._count_to:
            self._at_least.append(pointer)
        return min(count, self._count_to)


_COUNTED = ("count", "per_second")
