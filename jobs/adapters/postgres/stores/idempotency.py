"""An idempotency key within the transaction that holds it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from jobs.core.errors import NotMigrated, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection


@contextmanager
def invalidated_on_error(connection: Connection) -> Iterator[None]:
    """Invalidate the connection if a statement in the block fails unexpectedly: its session may be the cause."""
    try:
        yield
    except (StoreUnavailable, NotMigrated, SQLAlchemyError):
        connection.invalidate()
        raise


@dataclass(slots=True)
class HeldKey:
    """The ``IdempotencyEntry`` of a key, within the transaction that holds it. ``kept`` is the response to store."""

    response: str | None
    connection: object
    kept: str | None = None

    def keep(self, response: str) -> None:
        """Store the response for repeated requests; it is written at the end of the transaction."""
        self.kept = response
