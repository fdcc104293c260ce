"""How long attempts took, as counts by buckets of fixed bounds: small enough to keep them for each handler and minute.

Each bucket is a fifth longer than the one before, so a percentile is right to a tenth or so.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from jobs.core.lifecycle.status import AttemptOutcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BOUNDS = tuple(0.0001 * 2 ** (number / 4) for number in range(121))
"""Where buckets end, in seconds: from a tenth of a millisecond to a day."""
TIMED = frozenset({AttemptOutcome.SUCCEEDED, AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT, AttemptOutcome.DISCARDED})
"""The outcomes of attempts that are timed: those whose handler ran to an end of its own."""


class Percentiles(NamedTuple):
    """In seconds: half of the attempts took no longer than ``p50``, and so on."""

    p50: float
    p95: float
    p99: float


def bucket_of(seconds: float) -> int:
    """Return the bucket of a duration: the number of bounds that are not above it."""
    return bisect_right(BOUNDS, seconds)


def added_up(spreads: Iterable[Mapping[int, int]]) -> Counter[int]:
    """Return the counts of several spreads together."""
    found: Counter[int] = Counter()
    for each in spreads:
        found.update(each)
    return found


def percentiles_of(counts: Mapping[int, int]) -> Percentiles | None:
    """Return the percentiles of attempts that are counted by bucket; None of none."""
    if not counts:
        return None
    return Percentiles(*(_percentile(counts, share) for share in (0.5, 0.95, 0.99)))


def _percentile(counts: Mapping[int, int], share: float) -> float:
    rank, below = share * sum(counts.values()), 0
    for bucket in sorted(counts):
        if below + counts[bucket] >= rank:
            low = BOUNDS[bucket - 1] if bucket else 0.0
            high = BOUNDS[min(bucket, len(BOUNDS) - 1)]
            return float(f"{low + (high - low) * (rank - below) / counts[bucket]:.3g}")
        below += counts[bucket]
    return BOUNDS[-1]
