"""Run one statement: in one round trip, bounded in time, tried again where that is safe, its faults in our words."""

from __future__ import annotations

import logging
import time
from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn

import sqlalchemy as sa
from pg8000.exceptions import DatabaseError as DriverError
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from jobs.adapters.postgres.connection.encoding import Statement, UnsendableText, to_text
from jobs.adapters.postgres.connection.engine import make_engine
from jobs.adapters.postgres.connection.faults import (
    Fault,
    OutcomeUnknown,
    RolledBack,
    UniqueViolation,
    blames_session,
    fault_of,
    in_words,
    refuses_writes,
)
from jobs.adapters.postgres.connection.unreachable import unreachable
from jobs.adapters.postgres.connection.wire import exchange
from jobs.core.diagnostics.outage import OutageLog
from jobs.core.errors import InvalidInput, NotMigrated, StoreTakesNoWrites, StoreUnavailable
from jobs.core.strict_json import refuse_unstorable_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sqlalchemy.engine import Engine
    from sqlalchemy.sql import Executable

    from jobs.adapters.postgres.connection.engine import DatabaseOptions

_logger = logging.getLogger("jobs.store")
_TRIES = 4

Rows = list[tuple[Any, ...]]


class Database:
    """A pool of connections to one database; lives as long as the process, and connects when first used.

    With ``lent`` its connections are for handlers: they come back as they went.
    """

    def __init__(self, options: DatabaseOptions, outage: OutageLog | None = None, *, lent: bool = False) -> None:
        self.options = options
        self.outage = outage or OutageLog()
        self.engine: Engine = make_engine(options, lent=lent)
        self._prepared = not options.pgbouncer

    def run(self, statement: Statement, values: Mapping[str, Any], connection: object | None = None) -> Rows:
        """Run one statement in its own transaction, or in that of ``connection``, and give its rows.

        A deadlock or a serialization failure is tried again, a few times. Raises ``UniqueViolation``; and
        ``StoreUnavailable`` when nothing was written, its kind ``OutcomeUnknown`` when that cannot be known.
        """
        try:
            if connection is not None:
                return _run_within(connection, statement, values)
            return self._retry_while_unavailable(statement, self._message(statement, values))
        except UnsendableText as error:
            raise InvalidInput.at("", str(error)) from None

    def run_locked(self, lock: Statement, statement: Statement, values: Mapping[str, Any]) -> Rows:
        """Run ``lock``, which returns one row, then ``statement`` in the same transaction and round trip.

        ``statement`` sees all that was committed when the lock was had. Returns its rows, and raises as ``run`` does.
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
                    raise_as_ours(error)
                _logger.info("statement rolled back by the server, trying again: %s", in_words(error))
                time.sleep(0.01 * 2**attempt)
        raise AssertionError

    def run_all(self, statement: Statement, batches: Iterable[Mapping[str, Any]]) -> Rows:
        """Run one statement for each of ``batches``, all in one transaction, and give all their rows.

        While the server works on a batch the next one is made, so ``batches`` may be lazy; the first is made before
        a connection is taken. The answers must be short. Nothing is written unless all is. Raises as ``run`` does, and
        ``RolledBack`` for what ``run`` would try again.
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
                raise RolledBack(in_words(error)) from error
            raise_as_ours(error)

    def _message(self, statement: Statement, values: Mapping[str, Any]) -> bytes:
        return statement.execute(statement.name if self._prepared else b"", values)

    def _exchange(
        self, statement: Statement, messages: Iterable[bytes], first: tuple[Statement, bytes] | None = None
    ) -> Rows:
        try:
            pooled = self.engine.raw_connection()
        except Exception as error:
            away = StoreUnavailable(unreachable(error, self.engine.url))
            self.outage.failed(away)
            raise away from error
        try:
            rows = exchange(pooled.driver_connection, statement, messages, prepared=self._prepared, first=first)
        except DriverError as error:
            if blames_session(error):
                pooled.invalidate(error)
            self._note(error)
            raise
        except UnsendableText as error:
            pooled.invalidate(error)
            raise InvalidInput.at("", str(error)) from None
        except Exception as error:  # noqa: BLE001  whatever it is, the connection is out of step
            pooled.invalidate(error)
            self._note(error)
            raise_as_ours(error)
        except BaseException as error:
            pooled.invalidate(error)
            raise
        finally:
            pooled.close()
        if self.outage.ongoing:
            self.outage.ended()
        return rows

    def _note(self, error: Exception) -> None:
        if fault_of(error) in {Fault.AWAY, Fault.BROKEN}:
            self.outage.failed(StoreUnavailable(in_words(error)))

    @property
    def has_free_connection(self) -> bool:
        """Whether a statement would have a connection now, without waiting for one."""
        pool: Any = self.engine.pool
        return bool(pool.checkedout() < pool.size())

    def close(self) -> None:
        """Close every pooled connection; a later call connects again."""
        self.engine.dispose()


def _run_within(connection: object, statement: Statement, values: Mapping[str, Any]) -> Rows:
    """Run on a caller's SQLAlchemy connection or session, whatever driver it has, as text and with text values."""
    execute: Callable[..., Any] = _joinable(connection).execute
    sent = {name: to_text(values[name]) for name in statement.parameters if name in values}
    for text in sent.values():
        refuse_unstorable_text(text or "", "")  # a driver would find out half-way, and be out of step
    try:
        result = execute(_with_texts(statement), sent)
        return [tuple(row) for row in result] if result.returns_rows else []
    except (OSError, sa.exc.DBAPIError) as error:
        raise_as_ours(error)


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


def _joinable(connection: object) -> Connection | Session:
    """Return ``connection``; raises ``TypeError`` for what has no transaction that a job could join."""
    if not isinstance(connection, Connection | Session):
        if any(base.__module__.startswith("sqlalchemy.ext.asyncio") for base in type(connection).__mro__):
            kind = type(connection).__name__
            name = "session" if "Session" in kind else "conn"
            raise TypeError(
                f"connection is an {kind}, and the call is not async; have it run on the sync one within: "
                f"await {name}.run_sync(lambda sync: jobs.enqueue(command, connection=sync))"
            )
        kind = f"{type(connection).__module__}.{type(connection).__qualname__}"
        raise TypeError(
            f"connection is a {kind}, which has no transaction to join; give a SQLAlchemy Connection or Session, such "
            "as that of: with engine.begin() as connection"
        )
    dialect = (connection.connection() if isinstance(connection, Session) else connection).dialect.name
    if dialect != "postgresql":
        raise TypeError(
            f"connection is to {dialect}, and jobs are kept in PostgreSQL; give one to the database with the jobs, or "
            "leave it out and enqueue once your own transaction has committed"
        )
    return connection


def raise_as_ours(error: Exception) -> NoReturn:
    """Raise ``error`` as what it means to us; what is our own mistake is raised as it is."""
    match fault_of(error):
        case Fault.UNIQUE:
            raise UniqueViolation(in_words(error)) from error
        case Fault.BROKEN:
            raise OutcomeUnknown(f"the connection to the database broke: {in_words(error)}") from error
        case Fault.AWAY if refuses_writes(error):
            raise StoreTakesNoWrites(f"the database takes no writes: {in_words(error)}") from error
        case Fault.AWAY | Fault.RETRY:
            raise StoreUnavailable(f"the database cannot do this now: {in_words(error)}") from error
        case Fault.UNMIGRATED:
            raise NotMigrated(
                f"the database lacks what this release needs ({in_words(error)}); run `python -m jobs db upgrade`"
            ) from error
        case Fault.BUG:
            raise error
