"""How much runs at once in this process, and for how long suspects run alone."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SuspectLimits:
    """Seconds to wait for handlers that run already, and seconds to keep others from starting.

    The second doubles with each loss. The last two bound the backoff of a suspect that could not be claimed.
    """

    others_seconds: float = 30.0
    alone_seconds: float = 60.0
    rest_seconds: float = 10.0
    longest_rest_seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """How much at once: handlers running in this process, and rows per statement."""

    concurrency: int = 16
    batch: int = 500
    suspects: SuspectLimits = field(default_factory=SuspectLimits)
    abandoned: int | None = None
    """Threads that handlers may keep past their timeout before the instance is not ready; None is ``concurrency``."""
