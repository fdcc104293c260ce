"""The time that counts."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The time that counts: the database's, so that workers with a wrong clock do no harm."""

    def now(self) -> datetime:
        """Return the present instant in UTC."""
