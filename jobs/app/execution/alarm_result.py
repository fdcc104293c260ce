"""What handling an alarm came to."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

WAIT_SECONDS = 10.0
"""An alarm that is early by less is waited for: a scheduler's clock may be ahead of the database's."""


class AlarmOutcome(StrEnum):
    """Whether an alarm led to a run, and if not, why."""

    RAN = "ran"
    NOT_DUE = "not-due"
    ALREADY_RUNNING = "already-running"
    PAUSED = "paused"
    STALE = "stale"
    UNKNOWN = "unknown"
    THROTTLED = "throttled"
    SUSPECT = "waiting-to-run-alone"


class AlarmResult(NamedTuple):
    """The outcome of an alarm. ``due_in_seconds`` is the time left where the alarm was early, else 0."""

    outcome: AlarmOutcome
    due_in_seconds: float = 0.0
