"""Connections for handlers, which are reset when they return to the pool.

A handler may change its session (role, settings, temporary tables, cursors, advisory locks, prepared statements,
LISTEN) and the driver's connection object; the next user of the connection sees none of it. The session is reset in the
round trip that ends the transaction; pg8000's own COMMIT alone takes three. Through PgBouncer in transaction mode that
reaches the server connection of the transaction. Finally the socket moves to a new connection object: attributes set on
the old one are lost, and a reference to it that a handler keeps is unusable.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

from pg8000.core import IN_FAILED_TRANSACTION, IN_TRANSACTION, Context, _flush
from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.legacy import Cursor
from sqlalchemy import event

from jobs.adapters.postgres.connection.driver.connection import DriverConnection
from jobs.core.errors import UnitOfWorkError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

_logger = logging.getLogger("jobs.store")

# DISCARD ALL does not reset a role that the server sets at the start of every session.
_RESET = ("discard all", "reset role")
# PgBouncer may forward each message to a different server connection, so everything must be one message, which cannot
# contain DISCARD ALL. PgBouncer also takes the reset values for the client's wishes, so they are set explicitly.
_RESET_IN_ONE = (
    "close all; set session authorization default; reset role; reset all; deallocate all; unlisten *; "
    "select pg_catalog.pg_advisory_unlock_all(); discard plans; discard temp; discard sequences; "
    "set datestyle to 'ISO'; set application_name to 'jobs'"
)

_BEGIN, _COMMIT = b"BEGIN", b"COMMIT"
_TRANSACTION_CONTROL = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
    r"(commit|end|abort|rollback(?!\s+(?:work\s+|transaction\s+)?to\b)|prepare\s+transaction)\b",
    re.IGNORECASE | re.DOTALL,
)
_SESSION_STATE = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
    r"(set\s+(?!local\b|transaction\b|constraints\b)(?:session\s+)?\w+|listen|load|prepare"
    r"|create\s+(?:(?:global|local)\s+)?temp(?:orary)?\b|declare\b(?=.*\bwith\s+hold\b))",
    re.IGNORECASE | re.DOTALL,
)
_SESSION_LOCK = re.compile(r"\bpg_(?:try_)?advisory_lock(?:_shared)?\b", re.IGNORECASE)


_warned: set[str] = set()

LEFT_ITS_TRANSACTION = (
    "the unit of work's transaction was ended within a statement, or autocommit was set on the driver's connection, so "
    "that what was run is committed or lost already; leave both to the unit of work's commit()"
)


class HandlerConnection(DriverConnection):
    """A connection that counts the statements executed on it, and resets its session at the end of each transaction.

    ``executed`` counts statements since the checkout, without those that begin and end a transaction. ``was_ended`` is
    whether one of them was a COMMIT. ``pgbouncer`` is whether the connection leads to PgBouncer.
    """

    def __init__(self, *, pgbouncer: bool = False, **arguments: Any) -> None:
        self._pgbouncer = pgbouncer
        self._renew()
        super().__init__(**arguments)

    def _renew(self) -> None:
        self.executed = 0
        self.was_ended = False
        self._is_clean = True
        self._ending: bytes | None = None
        self._has_ended = False

    @property
    def is_in_transaction(self) -> bool:
        """Whether the server had an open transaction at its last response."""
        return self._transaction_status in {IN_TRANSACTION, IN_FAILED_TRANSACTION}

    @property
    def has_failed(self) -> bool:
        """Whether a statement of the open transaction has failed, so that it can only be rolled back."""
        return bool(self._transaction_status == IN_FAILED_TRANSACTION)

    def handle_COMMAND_COMPLETE(self, data: bytes, context: Context) -> None:  # noqa: N802  pg8000's name
        """Count what was executed, by the command tag of the server's response."""
        tag = data.rstrip(b"\x00")
        if self._ending is not None:
            self._has_ended = self._has_ended or tag == self._ending
        elif tag != _BEGIN:
            self.executed += 1
            self.was_ended = self.was_ended or tag == _COMMIT
        super().handle_COMMAND_COMPLETE(data, context)

    def handle_READY_FOR_QUERY(self, data: bytes, context: Context) -> None:  # noqa: N802  pg8000's name
        """Note that a statement was sent, which may have changed the session even if it failed."""
        self._is_clean = False
        super().handle_READY_FOR_QUERY(data, context)

    def commit(self) -> None:
        """Commit and reset the session, in one round trip; does nothing if nothing was executed.

        If the reset fails after the commit, the commit is valid, and the connection is discarded.
        """
        self._end("commit")

    def rollback(self) -> None:
        """Roll back and reset the session, in one round trip; does nothing if nothing was executed."""
        self._end("rollback")

    def _end(self, word: str) -> None:
        if self._is_clean and not self.is_in_transaction:
            return
        messages = self._messages(word)
        self._ending, self._has_ended = word.upper().encode(), False
        try:
            for text in messages:
                self.send_QUERY(text)
            _flush(self._sock)
            errors = [error for text in messages if (error := self._read_response(text)) is not None]
        finally:
            self._ending = None
        self._is_clean = not errors or (len(messages) > 1 and not self._has_ended and len(errors) == 1)
        if errors and not self._has_ended:
            raise errors[0]
        if errors:
            _logger.info("the session of a unit of work could not be reset (%s); its connection is closed", errors[0])

    def _messages(self, word: str) -> list[str]:
        return [f"{word}; {_RESET_IN_ONE}"] if self._pgbouncer else [word, *_RESET]

    def _read_response(self, text: str) -> Exception | None:
        """Read the response to one message. Returns the error in it, if any; raises if there is no response."""
        context = Context(text)
        try:
            self.handle_messages(context)
        except (DatabaseError, InterfaceError):
            if context.error is None:
                raise
        responded: Exception | None = context.error
        return responded

    def save_state(self) -> None:
        """Save the current state of this object as the one to restore when it returns to the pool."""
        self._renew()
        self._saved_state = self.__dict__ | {
            "pg_types": dict(self.pg_types),
            "py_types": dict(self.py_types),
            "message_types": {code: handle.__name__ for code, handle in self.message_types.items()},
        }

    def recycled(self) -> HandlerConnection:
        """Reset the session if needed, and return a new object in the saved state that takes over the socket.

        Raises if the session cannot be reset; the connection must then be closed.
        """
        self.rollback()
        if not self._is_clean or self.is_in_transaction:
            raise InterfaceError("the session could not be reset")
        moved: HandlerConnection = object.__new__(type(self))
        saved = self._saved_state
        moved.__dict__.update(saved)
        moved._saved_state = saved
        moved.pg_types = defaultdict(self.pg_types.default_factory, saved["pg_types"])
        moved.py_types = dict(saved["py_types"])
        moved.message_types = {code: getattr(moved, name) for code, name in saved["message_types"].items()}
        moved.notifications, moved.notices = deque(maxlen=100), deque(maxlen=100)
        moved.parameter_statuses = dict(self.parameter_statuses)
        moved._client_encoding = self._client_encoding
        moved._transaction_status = self._transaction_status
        moved._statement_nums, moved._caches = set(), {}
        moved._run_cursor = Cursor(moved, paramstyle="named")
        self._usock = self._sock = None
        return moved


def reset_on_return(engine: Engine) -> None:
    """Reset ``engine``'s connections when they return to the pool; it must connect by ``HandlerConnection``."""
    event.listen(engine, "connect", lambda connection, _record: connection.save_state())
    event.listen(engine, "checkin", _recycle)
    event.listen(engine, "before_cursor_execute", _check_statement)
    event.listen(engine, "after_cursor_execute", _require_transaction)


def _recycle(connection: HandlerConnection | None, record: Any) -> None:
    if connection is None or record.dbapi_connection is None:
        return
    record.record_info.clear()
    for key in [key for key in record.info if not str(key).startswith("jobs_")]:
        del record.info[key]
    try:
        record.dbapi_connection = connection.recycled()
    except Exception as error:  # noqa: BLE001  after any error the connection must not be used again
        _logger.info("the connection of a unit of work is closed rather than used again: %s", error)
        record.invalidate()


def _check_statement(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
    """Refuse a statement that would end the transaction; warn once of each kind that changes the session."""
    if match := _TRANSACTION_CONTROL.match(statement):
        raise UnitOfWorkError(
            f"{_keywords(match)} would end the unit of work's transaction behind its back; call its commit() or "
            "rollback(), which hold for the whole block, or use connection.begin_nested() for a part of it"
        )
    match = _SESSION_STATE.match(statement) or _SESSION_LOCK.search(statement)
    if match and (words := _keywords(match)) not in _warned:
        _warned.add(words)
        _logger.warning(
            "a unit of work ran %s, which is about the session and not about the transaction: it is undone at the end "
            "of the unit of work, and nobody else finds it; use SET LOCAL, pg_advisory_xact_lock or ON COMMIT DROP "
            "(this is said once)",
            words,
        )


def _require_transaction(connection: Connection, *_rest: Any) -> None:
    """Raise ``UnitOfWorkError`` for a statement that ran outside the transaction, or ended it."""
    driver: Any = connection.connection.dbapi_connection
    if driver.was_ended or not driver.is_in_transaction:
        raise UnitOfWorkError(LEFT_ITS_TRANSACTION)


def _keywords(match: re.Match[str]) -> str:
    """Return the statement's leading keywords, which contain no value."""
    return " ".join(match[match.lastindex or 0].split()).upper()
