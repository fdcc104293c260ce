"""What is measured, and in which order: rounds alternate, so that what disturbs the machine disturbs both."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol

BATCH = 1_000
"""Jobs per call of a bulk enqueue."""


class Miscount(Exception):
    """A round did not leave what it should have left, so its time means nothing."""


class Contender(Protocol):
    """One library. Each timed method gives the seconds that it took; nothing else of it counts."""

    name: str
    versions: str

    @property
    def configuration(self) -> str: ...

    def tune(self, jobs: int, drain_once: Callable[[], float]) -> list[str]: ...

    def empty(self) -> None: ...

    def fill(self, jobs: int) -> None: ...

    def drain(self, jobs: int) -> float: ...

    def single(self, jobs: int) -> float: ...

    def bulk(self, jobs: int) -> float: ...

    def bulk_built(self, jobs: int) -> float: ...

    def check_enqueued(self, jobs: int) -> None: ...

    def check_drained(self, jobs: int) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Discipline:
    """One figure to measure; ``share`` of the jobs are enough for it."""

    name: str
    group: str
    timed: str
    share: float = 1.0


DISCIPLINES = (
    Discipline("drain of due no-op jobs", "drain", "drain"),
    Discipline("single enqueue, one after another", "single", "single", share=0.1),
    Discipline(f"bulk enqueue, {BATCH:,} a call", "bulk", "bulk"),
    Discipline("… with commands built beforehand", "bulk", "bulk_built"),
)


@dataclass
class Result:
    """The seconds of every round, by contender."""

    discipline: Discipline
    jobs: int
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def rates(self, name: str) -> list[float]:
        return [self.jobs / seconds for seconds in self.seconds[name]]

    def ratio_of_medians(self, name: str, other: str) -> float:
        return median(self.rates(name)) / median(self.rates(other))

    def median_of_ratios(self, name: str, other: str) -> float:
        return median(a / b for a, b in zip(self.rates(name), self.rates(other), strict=True))


def time_once(contender: Contender, discipline: Discipline, jobs: int, checkpoint: Callable[[], None]) -> float:
    """Prepare, time one section, check what it left, and leave nothing for autovacuum to do in the other's section."""
    contender.empty()
    if discipline.group == "drain":
        contender.fill(jobs)
    checkpoint()
    gc.collect()
    timed: Callable[[int], float] = getattr(contender, discipline.timed)
    seconds = timed(jobs)
    if discipline.group == "drain":
        contender.check_drained(jobs)
    else:
        contender.check_enqueued(jobs)
    contender.empty()
    return seconds


def measure(
    contenders: Sequence[Contender],
    discipline: Discipline,
    jobs: int,
    rounds: int,
    checkpoint: Callable[[], None],
    tell: Callable[[str], None],
) -> Result:
    result = Result(discipline, jobs, {contender.name: [] for contender in contenders})
    for number in range(rounds):
        for contender in contenders if number % 2 == 0 else contenders[::-1]:
            seconds = time_once(contender, discipline, jobs, checkpoint)
            result.seconds[contender.name].append(seconds)
            tell(f"{discipline.name}, round {number + 1}: {contender.name} {jobs / seconds:,.0f} jobs/s")
    return result


def spans(total: int, size: int) -> Iterator[range]:
    for first in range(0, total, size):
        yield range(first, min(first + size, total))
