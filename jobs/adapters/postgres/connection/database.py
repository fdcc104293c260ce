"""Run single statements: one round trip each, with timeouts, safe retries, and errors translated to the core's."""

from __future__ import annotations

import logging
import time
from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn

import sqlalchemy as sa
from pg8000.exceptions import DatabaseError as DriverError

from jobs.adapters.postgres.connection.driver.encoding import Statement, UnsendableText, to_text
from jobs.adapters.postgres.connection.driver.faults import (
    Fault,
    OutcomeUnknown,
    RolledBack,
    UniqueViolation,
    fault_of,
    may_be_session_fault,
    message_of,
    refuses_writes,
    sqlstate,
)
from jobs.adapters.postgres.connection.driver.wire import exchange
from jobs.adapters.postgres.connection.engine import make_engine
from jobs.adapters.postgres.connection.joining import joinable
from jobs.adapters.postgres.connection.unreachable import unreachable
from jobs.core.diagnostics.outage import OutageLog
from jobs.core.errors import InvalidInput, NotMigrated, StoreTakesNoWrites, StoreUnavailable
from jobs.core.strict_json import refuse_unstorable_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sqlalchemy.engine import Engine
    from sqlalchemy.sql import Executable

    from jobs.adapters.postgres.connection.address import DatabaseOptions

_logger = logging.getLogger("jobs.store")
_TRIES = 4

Rows = list[tuple[Any, ...]]


class Database:
    """A pool of connections to one database. Lives as long as the process; connects on first use.

    With ``for_handlers`` the pool resets each connection when it is returned.
    """

    def __init__(
        self, options: DatabaseOptions, outage: OutageLog | None = None, *, for_handlers: bool = False
    ) -> None:
        self.options = options
        self.outage = outage or OutageLog()
        self.engine: Engine = make_engine(options, for_handlers=for_handlers)
        self._prepared = not options.pgbouncer

    def run(self, statement: Statement, values: Mapping[str, Any], connection: object | None = None) -> Rows:
        """Run one statement in its own transaction, or in that of ``connection``, and return its rows.

        A deadlock or a serialization failure is retried a few times. Raises ``UniqueViolation``; ``StoreUnavailable``
        if nothing was written; its subclass ``OutcomeUnknown`` if that is unknown.
        """
        try:
            if connection is not None:
                return _run_within(connection, statement, values)
            return self._retry_while_unavailable(statement, self._message(statement, values))
        except UnsendableText as error:
            raise InvalidInput.at("", str(error)) from None

    def run_locked(self, lock: Statement, statement: Statement, values: Mapping[str, Any]) -> Rows:
        """Run ``lock``, which returns one row, then ``statement`` in the same transaction and round trip.

        ``statement`` sees everything committed before the lock was acquired. Returns the rows of ``statement``, and
        raises as ``run`` does.
        """
        try:
            first = (lock, self._message(lock, values))
            return self._retry_while_unavailable(statement, self._message(statement, values), first)[1:]
        except UnsendableText as error:
            raise InvalidInput.at("", str(error)) from None

    def _retry_while_unavailable(
        self, statement: Statement, message: bytes, first: tuple[Statement, bytes] | None = None
    ) -> Rows:
        for attempt in range(1, _TRIES + 1):
            try:
                return self._exchange(statement, [message], first)
            except DriverError as error:
                if fault_of(error) is not Fault.RETRY or attempt == _TRIES:
                    raise_translated(error)
                _logger.info("statement rolled back by the server, trying again: %s", message_of(error))
                time.sleep(0.01 * 2**attempt)
        raise AssertionError

    def run_all(self, statement: Statement, batches: Iterable[Mapping[str, Any]]) -> Rows:
        """Run one statement for each of ``batches``, all in one transaction, and return all their rows.

        ``batches`` may be lazy: the next batch is built while the server works on the current one; the first is built
        before a connection is checked out. The responses must be short. Either all batches are written or none. Raises
        as ``run`` does, and ``RolledBack`` where ``run`` would retry.
        """
        messages = (self._message(statement, values) for values in batches)
        try:
            first = next(messages, None)
        except UnsendableText as error:
            raise InvalidInput.at("", str(error)) from None
        if first is None:
            return []
        try:
            return self._exchange(statement, chain([first], messages))
        except DriverError as error:
            if fault_of(error) is Fault.RETRY:
                raise RolledBack(message_of(error)) from error
            raise_translated(error)

    def _message(self, statement: Statement, values: Mapping[str, Any]) -> bytes:
        return statement.execute(statement.name if self._prepared else b"", values)

    def _exchange(
        self, statement: Statement, messages: Iterable[bytes], first: tuple[Statement, bytes] | None = None
    ) -> Rows:
        try:
            pooled = self.engine.raw_connection()
        except Exception as error:
            unavailable = StoreUnavailable(self.options.reword(unreachable(error, self.engine.url)))
            self.outage.failed(unavailable)
            raise unavailable from error
        try:
            rows = exchange(pooled.driver_connection, statement, messages, prepared=self._prepared, first=first)
        except DriverError as error:
            if may_be_session_fault(error):
                pooled.invalidate(error)
            self._note(error)
            raise
        except UnsendableText as error:
            pooled.invalidate(error)
            raise InvalidInput.at("", str(error)) from None
        except Exception as error:  # noqa: BLE001  after any other error the connection is out of sync
            pooled.invalidate(error)
            self._note(error)
            raise_translated(error)
        except BaseException as error:
            pooled.invalidate(error)
            raise
        finally:
            pooled.close()
        if self.outage.ongoing:
            self.outage.ended()
        return rows

    def _note(self, error: Exception) -> None:
        if fault_of(error) in {Fault.UNAVAILABLE, Fault.BROKEN}:
            self.outage.failed(StoreUnavailable(message_of(error)))

    @property
    def has_free_connection(self) -> bool:
        """Whether a connection is available now, without waiting."""
        pool: Any = self.engine.pool
        return bool(pool.checkedout() < pool.size())

    def close(self) -> None:
        """Close every pooled connection; a later call connects again."""
        self.engine.dispose()


def _run_within(connection: object, statement: Statement, values: Mapping[str, Any]) -> Rows:
    """Run on a caller's SQLAlchemy connection or session with any driver: as text, with all values as text."""
    execute: Callable[..., Any] = joinable(connection).execute
    sent = {name: to_text(values[name]) for name in statement.parameters if name in values}
    for text in sent.values():
        refuse_unstorable_text(text or "", "")  # a driver would fail halfway through the message, and be out of sync
    try:
        # A connection may be set to use cursors on the server. None can be declared for a statement that writes.
        result = execute(_with_texts(statement), sent, execution_options={"stream_results": False})
        return [tuple(row) for row in result] if result.returns_rows else []
    except (OSError, sa.exc.DBAPIError) as error:
        raise_translated(error)


_WITH_TEXTS: dict[bytes, Executable] = {}


def _with_texts(statement: Statement) -> Executable:
    """Return the statement with parameters that are declared texts, since some drivers send what the server infers."""
    known = _WITH_TEXTS.get(statement.name)
    if known is None:
        clause: Any = statement.clause
        if isinstance(clause, sa.TextClause):
            clause = clause.bindparams(*(sa.bindparam(name, type_=sa.String()) for name in statement.parameters))
        known = _WITH_TEXTS[statement.name] = clause
    return known


def raise_translated(error: Exception) -> NoReturn:
    """Raise the core's error for a database error; a faulty statement's error is raised unchanged."""
    match fault_of(error):
        case Fault.UNIQUE:
            raise UniqueViolation(message_of(error)) from error
        case Fault.BROKEN:
            raise OutcomeUnknown(f"the connection to the database broke: {message_of(error)}") from error
        case Fault.UNAVAILABLE if refuses_writes(error):
            raise StoreTakesNoWrites(f"the database takes no writes: {message_of(error)}") from error
        case Fault.UNAVAILABLE if sqlstate(error) == "25P02":
            raise StoreUnavailable(
                "an earlier statement of this transaction failed, so that the database refuses the rest of it; roll it "
                f"back, or try what may fail within a savepoint ({message_of(error)})"
            ) from error
        case Fault.UNAVAILABLE | Fault.RETRY:
            raise StoreUnavailable(f"the database cannot do this now: {message_of(error)}") from error
        case Fault.UNMIGRATED:
            raise NotMigrated(
                f"the database lacks what this release needs ({message_of(error)}); run `python -m jobs db upgrade` in "
                "the folder of the app that runs the jobs, for the same database and schema"
            ) from error
        case Fault.BUG:
            raise error
