"""What an idempotency key holds, and the transaction that holds it."""

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
def closed_unless_sound(connection: Connection) -> Iterator[None]:
    """Close a connection on which a statement of ours failed as none should: its session may be the cause."""
    try:
        yield
    except (StoreUnavailable, NotMigrated, SQLAlchemyError):
        connection.invalidate()
        raise


@dataclass(slots=True)
class HeldKey:
    """The ``OnceEntry`` of an idempotency key, within the transaction that holds the key."""

    answer: str | None
    connection: object
    kept: str | None = None

    def keep(self, answer: str) -> None:
        """Keep the answer for repeats."""
        self.kept = answer
