"""Transactions of units of work."""

from __future__ import annotations

from typing import Any, Protocol


class Transaction(Protocol):
    """An open transaction of the store's own, on a connection that nothing else uses meanwhile."""

    @property
    def connection(self) -> Any:
        """What the store's calls take as ``connection``; on PostgreSQL a SQLAlchemy ``Connection``."""

    @property
    def session(self) -> Any:
        """An ORM session within it, made when first asked for; ``UnitOfWorkError`` where there is no such thing."""

    @property
    def executed(self) -> int:
        """How many statements were run in it so far; more than none, too, where the session has something to flush."""

    def commit(self) -> None:
        """Commit; may be called once. Raises ``StoreUnavailable`` when it was not committed, or nobody knows."""

    def close(self) -> None:
        """Roll back what was not committed and return the connection. Never raises."""


class Transactions(Protocol):
    """Opens transactions for units of work; nesting, votes and completion are decided in the core."""

    def begin(self) -> Transaction:
        """Open a transaction, which must be closed; raises ``StoreUnavailable`` when no connection is to be had."""
