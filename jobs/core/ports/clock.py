"""The clock."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The store's clock. All instances use it, so that a wrong clock on a worker does no harm."""

    def now(self) -> datetime:
        """Return the current instant in UTC."""
