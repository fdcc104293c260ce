"""Why a Scheduled job does not run now."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class WaitingFor(StrEnum):
    """The reason why a Scheduled job does not run now."""

    DUE = "due"
    PAUSED = "paused"
    LIMIT = "limit"
    RATE = "rate"
    HANDLER_MISSING = "handler-missing"
    SCHEDULER = "scheduler"


class Waiting(NamedTuple):
    """The reason why a job waits, as a code and as a sentence."""

    what: WaitingFor
    detail: str


class LimitUsage(NamedTuple):
    """The usage of handlers' limits: running attempts by handler and by key, and starts within the rate's period."""

    running: Mapping[str, int]
    running_by_key: Mapping[tuple[str, str], int]
    started: Mapping[str, int]


NO_USAGE = LimitUsage({}, {}, {})
