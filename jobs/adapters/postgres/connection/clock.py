"""The database's time."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING

import sqlalchemy as sa

from jobs.adapters.postgres.connection.encoding import Statement
from jobs.core.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.adapters.postgres.connection.database import Database


class DatabaseClock:
    """The database's time, kept by a local monotonic clock that is set from the database every few minutes."""

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
        """Return the database's present time in UTC, behind it by a round trip at most and not ahead of it.

        While the database is away the clock goes on from its last setting; ``StoreUnavailable`` if there is none.
        """
        current = self._set
        if current is None or self._monotonic() - current[1] > self._every:
            with self._lock:
                current = self._adjust(current)
        return current[0] + timedelta(seconds=self._monotonic() - current[1])

    def mark(self) -> float:
        """Note when the database is asked, for ``correct``."""
        return self._monotonic()

    def correct(self, asked: float, moment: datetime) -> None:
        """Set the clock if it cannot be right: at some instant since ``asked`` it was ``moment`` in the database.

        So a clock that has gone wrong, with a machine that was frozen or a database whose clock was set, is right
        again with the next claim.
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
        # Rather a little behind than ahead: what is made due "now" must be so by the database's clock, too, or the
        # drain that made it due would not find it.
        self._set = (moment.astimezone(UTC), self._monotonic())
        return self._set


_CLOCK = Statement.of(sa.text("select clock_timestamp()"))
