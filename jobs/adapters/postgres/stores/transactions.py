"""Transactions for units of work, on connections that are lent and come back as they went."""

from __future__ import annotations

import logging
from contextlib import suppress
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from jobs.adapters.postgres.connection.database import raise_as_ours
from jobs.adapters.postgres.connection.faults import Fault, fault_of
from jobs.adapters.postgres.connection.lent_connections import LEFT_ITS_TRANSACTION
from jobs.adapters.postgres.connection.unreachable import unreachable
from jobs.core.errors import StoreUnavailable, UnitOfWorkError
from jobs.core.transactions.unit_of_work import current_unit_of_work

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from jobs.adapters.postgres.connection.database import Database
    from jobs.adapters.postgres.connection.lent_connections import LentConnection

_logger = logging.getLogger("jobs.store")
_TURNS_WAIT = 6
"""How many pool timeouts a unit of work waits for a connection while its thread holds none."""


class PostgresTransactions:
    """The ``Transactions`` port on PostgreSQL; lives as long as its ``Database``, whose connections are lent ones."""

    def __init__(self, database: Database) -> None:
        self._engine = database.engine
        self._wait_seconds = database.options.pool_timeout_seconds
        self._most = database.options.pool_size
        self._places = BoundedSemaphore(self._most)

    def begin(self) -> PostgresTransaction:
        """Take a connection and begin a transaction, which the server hears of with its first statement."""
        # There are more handlers than connections for them. One that waits holds nothing up but itself, where a failed
        # attempt would be counted; but within another unit of work it may be that one, or its like, that it waits for.
        within = current_unit_of_work() is not None
        wait_seconds = self._wait_seconds if within else self._wait_seconds * _TURNS_WAIT
        if not self._places.acquire(timeout=wait_seconds):
            raise StoreUnavailable(
                f"this process may have {self._most} units of work open at once (half of JOBS_DATABASE_POOL_SIZE "
                f"without 2), and none ended within {wait_seconds:g} s; keep them short, or raise the setting"
                + ("; this one is within another, which keeps a connection of its own meanwhile" if within else "")
            )
        try:
            return PostgresTransaction(self._engine.connect(), self._places)
        except BaseException as error:
            self._places.release()
            if isinstance(error, SQLAlchemyError | OSError):
                raise StoreUnavailable(unreachable(error, self._engine.url)) from error
            raise


class PostgresTransaction:
    """One transaction; it lives until it is closed."""

    def __init__(self, connection: Connection, places: BoundedSemaphore) -> None:
        self.connection = connection
        self._places = places
        self._transaction = connection.begin()
        self._session: Session | None = None
        self._driver: LentConnection = connection.connection.driver_connection  # type: ignore[assignment]

    @property
    def session(self) -> Session:
        """An ORM session whose ``commit()`` only flushes: the transaction is not its own."""
        if self._session is None:
            self._session = Session(self.connection, join_transaction_mode="rollback_only")
        return self._session

    @property
    def executed(self) -> int:
        """How many statements were run in it; also counts what the session has yet to flush, as one."""
        session = self._session
        unflushed = session is not None and bool(session.new or session.dirty or session.deleted)
        return max(self._driver.executed, self._driver.is_in_transaction) + unflushed  # one that failed counts, too

    def commit(self) -> None:
        """Flush the session, if there is one, and commit."""
        if self._session is not None:
            self._session.flush()
        self._require_committable()
        try:
            self._transaction.commit()
        except (SQLAlchemyError, OSError) as error:
            if fault_of(error) in {Fault.UNIQUE, Fault.BUG}:
                raise  # of a constraint that is checked at the end: the handler's own matter
            raise_as_ours(error)

    def _require_committable(self) -> None:
        if not self._transaction.is_active:
            raise UnitOfWorkError(
                "the transaction was ended on its connection or session, or the connection broke; leave both to the "
                "unit of work, and vote with its commit()"
            )
        # PostgreSQL answers a COMMIT after a failed statement with a quiet ROLLBACK.
        if self._driver.has_failed:
            raise UnitOfWorkError(
                "a statement of this unit of work failed and its error was caught, so PostgreSQL commits nothing more; "
                "run what may fail within uow.connection.begin_nested()"
            )
        if self._driver.was_ended or (self._driver.executed and not self._driver.is_in_transaction):
            raise UnitOfWorkError(LEFT_ITS_TRANSACTION)

    def close(self) -> None:
        """Roll back what was not committed, and give the connection back whatever state it is in."""
        try:
            if self._session is not None:
                with suppress(SQLAlchemyError, OSError):
                    self._session.close()
            try:
                self.connection.close()
            except (SQLAlchemyError, OSError) as error:
                _logger.info("a connection broke as its unit of work was rolled back: %s", error)
        finally:
            self._places.release()
