"""Why a job that could run does not run."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class WaitingFor(StrEnum):
    """What a Scheduled job waits for."""

    DUE = "due"
    PAUSED = "paused"
    LIMIT = "limit"
    RATE = "rate"
    HANDLER_MISSING = "handler-missing"
    SCHEDULER = "scheduler"


class Waiting(NamedTuple):
    """What a job waits for, and that in a sentence."""

    what: WaitingFor
    detail: str


class LimitUsage(NamedTuple):
    """How much of their limits handlers have used up: what runs, of each key, too, and what their rates count."""

    running: Mapping[str, int]
    running_by_key: Mapping[tuple[str, str], int]
    started: Mapping[str, int]


NO_USAGE = LimitUsage({}, {}, {})
