"""Which process executes a run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """The name of this process, for people, and how long a claim holds without a heartbeat.

    ``default_timeout`` applies to runs whose job sets none; None means without end.
    """

    name: str
    lease: timedelta
    default_timeout: timedelta | None = None
