"""The rows of the tables of workers and of the app's versions."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from jobs.core.ports.workers import WorkerState


class WorkerRow(NamedTuple):
    """A worker's last report."""

    state: WorkerState
    started_at: datetime
    seen_at: datetime


class VersionRow(NamedTuple):
    """A version of the app."""

    version: str
    first_seen_at: datetime
    handlers: dict[str, int]
