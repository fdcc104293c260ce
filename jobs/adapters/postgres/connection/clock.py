"""The database's time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING

import sqlalchemy as sa

from jobs.adapters.postgres.connection.driver.encoding import Statement
from jobs.core.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.adapters.postgres.connection.database import Database


class DatabaseClock:
    """The database's time, extrapolated by a local monotonic clock that is set from the database every few minutes."""

    def __init__(
        self,
        database: Database,
        *,
        every: timedelta = timedelta(minutes=5),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._every = every.total_seconds()
        self._monotonic = monotonic
        self._set: tuple[datetime, float] | None = None
        self._lock = Lock()

    def now(self) -> datetime:
        """Return the database's current time in UTC, behind it by at most one round trip and never ahead of it.

        While the database is unavailable the clock runs on from its last setting; raises ``StoreUnavailable`` if it was
        never set.
        """
        current = self._set
        if current is None or self._monotonic() - current[1] > self._every:
            with self._lock:
                current = self._adjust(current)
        return current[0] + timedelta(seconds=self._monotonic() - current[1])

    def mark(self) -> float:
        """Return the local time just before a query, for ``correct``."""
        return self._monotonic()

    def correct(self, asked: float, moment: datetime) -> None:
        """Set the clock if it contradicts the database, whose time was ``moment`` at some instant since ``asked``.

        So after a machine was suspended or the database's clock was set, the next claim corrects this clock.
        """
        current, now = self._set, self._monotonic()
        if current is not None:
            at, set_at = current
            if not at + timedelta(seconds=asked - set_at) <= moment <= at + timedelta(seconds=now - set_at):
                self._set = (moment.astimezone(UTC), now)

    def _adjust(self, known: tuple[datetime, float] | None) -> tuple[datetime, float]:
        if self._set is not None and self._set is not known:
            return self._set  # another thread has just done it
        before = self._monotonic()
        try:
            [(moment,)] = self._database.run(_CLOCK, {})
        except StoreUnavailable:
            if known is None:
                raise
            self._set = (known[0] + timedelta(seconds=before - known[1]), before)
            return self._set
        # Better slightly behind than ahead: a job made due "now" must be due by the database's clock, too, or the drain
        # that made it due does not find it.
        self._set = (moment.astimezone(UTC), self._monotonic())
        return self._set


_CLOCK = Statement.of(sa.text("select clock_timestamp()"))
