"""Transactions for units of work, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from jobs.core.errors import UnitOfWorkError
from jobs.testing.memory.database import MemoryConnection, MemoryTransaction

if TYPE_CHECKING:
    from jobs.testing.memory.database import MemoryDatabase


class MemoryTransactions:
    """The ``Transactions`` port in memory; lives as long as its ``MemoryDatabase``."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def begin(self) -> OpenTransaction:
        """Begin a transaction."""
        self._database.require_available()
        return OpenTransaction(self._database)


class OpenTransaction:
    """The ``Transaction`` port in memory; lives until it is closed."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self._transaction = MemoryTransaction(database)
        self._committed = False

    @property
    def connection(self) -> MemoryConnection:
        """The ``connection`` to pass to the store's calls; it runs no SQL."""
        return self._transaction.connection

    @property
    def session(self) -> NoReturn:
        """Raises ``UnitOfWorkError``: the memory store runs no SQL."""
        raise UnitOfWorkError(
            "the memory store has no SQL and so no ORM session; test what writes SQL itself with a real Postgres, or "
            "put the SQL into a service and give the test another one"
        )

    @property
    def executed(self) -> int:
        """The number of statements executed so far."""
        return self._transaction.executed

    def commit(self) -> None:
        """Call the callbacks of ``on_commit``, then commit the rows to the tables."""
        transaction = self._transaction
        transaction.require_open()
        if self._committed:
            raise UnitOfWorkError("the transaction was committed already; leave that to the unit of work")
        if transaction.failed:
            raise UnitOfWorkError("a statement of this unit of work failed and its error was caught, so nothing of it "
                                  "can be committed")  # fmt: skip
        self._database.require_available()
        calls, transaction.calls = transaction.calls, []
        for call in calls:
            call()
        self._database.apply(transaction)
        self._committed = True
        self._database.release(transaction)

    def close(self) -> None:
        """Roll back unless committed."""
        self._transaction.ended = True
        self._transaction.calls.clear()
        self._database.release(self._transaction)
