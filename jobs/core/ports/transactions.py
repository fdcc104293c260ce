"""Transactions of units of work."""

from __future__ import annotations

from typing import Any, Protocol


class Transaction(Protocol):
    """An open transaction of the store, on a connection that nothing else uses until it is closed."""

    @property
    def connection(self) -> Any:
        """The ``connection`` to pass to the store's calls; on PostgreSQL a SQLAlchemy ``Connection``."""

    @property
    def session(self) -> Any:
        """An ORM session in this transaction, created on first use; ``UnitOfWorkError`` if the store has none."""

    @property
    def executed(self) -> int:
        """The number of statements executed so far; also above zero if the session has changes to flush."""

    def commit(self) -> None:
        """Commit, at most once. Raises ``StoreUnavailable`` if the commit failed or its result is unknown."""

    def close(self) -> None:
        """Roll back unless committed, and return the connection to the pool. Never raises."""


class Transactions(Protocol):
    """Opens transactions for units of work; the core handles nesting, votes and completion."""

    def begin(self) -> Transaction:
        """Open a transaction; the caller must close it. Raises ``StoreUnavailable`` if no connection is available."""
