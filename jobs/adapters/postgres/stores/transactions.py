"""Transactions for units of work, on connections that are reset when they return to the pool."""

from __future__ import annotations

import logging
from contextlib import suppress
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from jobs.adapters.postgres.connection.database import raise_translated
from jobs.adapters.postgres.connection.driver.faults import Fault, fault_of
from jobs.adapters.postgres.connection.handler_connections import LEFT_ITS_TRANSACTION
from jobs.adapters.postgres.connection.unreachable import unreachable
from jobs.core.errors import StoreUnavailable, UnitOfWorkError
from jobs.core.transactions.unit_of_work import current_unit_of_work

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from jobs.adapters.postgres.connection.database import Database
    from jobs.adapters.postgres.connection.handler_connections import HandlerConnection

_logger = logging.getLogger("jobs.store")
_WAIT_FACTOR = 6
"""The wait of a unit of work for a connection, in pool timeouts, if its thread holds no connection."""


class PostgresTransactions:
    """The ``Transactions`` port on PostgreSQL. Lives as long as its ``Database``, which is one for handlers."""

    def __init__(self, database: Database) -> None:
        self._engine = database.engine
        self._wait_seconds = database.options.pool_timeout_seconds
        self._limit = database.options.pool_size
        self._slots = BoundedSemaphore(self._limit)

    def begin(self) -> PostgresTransaction:
        """Check out a connection and begin a transaction; BEGIN is sent with the first statement."""
        # There are more handlers than connections for them. A handler that waits delays only itself, while a failed
        # attempt would count. But a nested unit of work may be waiting for its outer one, or for another such pair.
        nested = current_unit_of_work() is not None
        wait_seconds = self._wait_seconds if nested else self._wait_seconds * _WAIT_FACTOR
        if not self._slots.acquire(timeout=wait_seconds):
            raise StoreUnavailable(
                f"this process may have {self._limit} units of work open at once (half of JOBS_DATABASE_POOL_SIZE "
                f"without 2), and none ended within {wait_seconds:g} s; keep them short, or raise the setting"
                + ("; this one is within another, which keeps a connection of its own meanwhile" if nested else "")
            )
        try:
            return PostgresTransaction(self._engine.connect(), self._slots)
        except BaseException as error:
            self._slots.release()
            if isinstance(error, SQLAlchemyError | OSError):
                raise StoreUnavailable(unreachable(error, self._engine.url)) from error
            raise


class PostgresTransaction:
    """The ``Transaction`` port on PostgreSQL; lives until it is closed."""

    def __init__(self, connection: Connection, slots: BoundedSemaphore) -> None:
        self.connection = connection
        self._slots = slots
        self._transaction = connection.begin()
        self._session: Session | None = None
        self._driver: HandlerConnection = connection.connection.driver_connection  # type: ignore[assignment]

    @property
    def session(self) -> Session:
        """An ORM session whose ``commit()`` only flushes, since it does not own the transaction."""
        if self._session is None:
            self._session = Session(self.connection, join_transaction_mode="rollback_only")
        return self._session

    @property
    def executed(self) -> int:
        """The number of statements executed; unflushed changes of the session count as one more."""
        session = self._session
        unflushed = session is not None and bool(session.new or session.dirty or session.deleted)
        return max(self._driver.executed, self._driver.is_in_transaction) + unflushed  # counts a failed statement, too

    def commit(self) -> None:
        """Flush the session, if there is one, and commit."""
        if self._session is not None:
            self._session.flush()
        self._require_committable()
        try:
            self._transaction.commit()
        except (SQLAlchemyError, OSError) as error:
            if fault_of(error) in {Fault.UNIQUE, Fault.BUG}:
                raise  # a deferred constraint failed: the handler's own error
            raise_translated(error)

    def _require_committable(self) -> None:
        if not self._transaction.is_active:
            raise UnitOfWorkError(
                "the transaction was ended on its connection or session, or the connection broke; leave both to the "
                "unit of work, and vote with its commit()"
            )
        # PostgreSQL silently rolls back on COMMIT after a failed statement.
        if self._driver.has_failed:
            raise UnitOfWorkError(
                "a statement of this unit of work failed and its error was caught, so PostgreSQL commits nothing more; "
                "run what may fail within uow.connection.begin_nested()"
            )
        if self._driver.was_ended or (self._driver.executed and not self._driver.is_in_transaction):
            raise UnitOfWorkError(LEFT_ITS_TRANSACTION)

    def close(self) -> None:
        """Roll back unless committed, and return the connection to the pool in whatever state it is."""
        try:
            if self._session is not None:
                with suppress(SQLAlchemyError, OSError):
                    self._session.close()
            try:
                self.connection.close()
            except (SQLAlchemyError, OSError) as error:
                _logger.info("a connection broke as its unit of work was rolled back: %s", error)
        finally:
            self._slots.release()
