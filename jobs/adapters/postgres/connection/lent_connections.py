"""Connections that are lent to handlers, and come back as they went.

Whatever a handler does to its session (role, settings, temporary tables, cursors, advisory locks, prepared
statements, LISTEN) and to the driver's connection object, the next one to have the connection finds none of it. The
session is reset in the round trip that ends the transaction, where pg8000's own COMMIT takes three, and through
PgBouncer in transaction mode on the very connection to the server that the transaction had. Last,
the socket moves to a new connection object: what a handler has set on the old one is gone with it, and one that it has
kept is dead.
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

from jobs.adapters.postgres.connection.driver_connection import DriverConnection
from jobs.core.errors import UnitOfWorkError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

_logger = logging.getLogger("jobs.store")

# What DISCARD ALL leaves undone is a role that the server has been told to begin every session with.
_RESET = ("discard all", "reset role")
# PgBouncer may pass each message on to another connection of the server's, so it must be one message for all of it, in
# which DISCARD ALL may not stand; and it takes what a connection is reset to for what its client wants.
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


class LentConnection(DriverConnection):
    """A connection that counts what is executed on it, and resets its session whenever a transaction ends.

    ``executed`` counts statements since it was lent, without those that begin and end a transaction. ``was_ended`` is
    whether one of them was a COMMIT. ``pgbouncer`` says that the connection is to PgBouncer.
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
        """Whether the server has a transaction open, as of its last answer."""
        return self._transaction_status in {IN_TRANSACTION, IN_FAILED_TRANSACTION}

    @property
    def has_failed(self) -> bool:
        """Whether a statement of the open transaction has failed, so that nothing of it can be committed."""
        return bool(self._transaction_status == IN_FAILED_TRANSACTION)

    def handle_COMMAND_COMPLETE(self, data: bytes, context: Context) -> None:  # noqa: N802  pg8000's name
        """Note what was executed, by the tag that the server answers with."""
        tag = data.rstrip(b"\x00")
        if self._ending is not None:
            self._has_ended = self._has_ended or tag == self._ending
        elif tag != _BEGIN:
            self.executed += 1
            self.was_ended = self.was_ended or tag == _COMMIT
        super().handle_COMMAND_COMPLETE(data, context)

    def handle_READY_FOR_QUERY(self, data: bytes, context: Context) -> None:  # noqa: N802  pg8000's name
        """Note that something was sent, which may have changed the session even where it failed."""
        self._is_clean = False
        super().handle_READY_FOR_QUERY(data, context)

    def commit(self) -> None:
        """Commit and reset the session, in one round trip; does nothing where nothing was executed.

        Where the reset fails after the commit, that stands, and the connection is of no use to anybody else any more.
        """
        self._end("commit")

    def rollback(self) -> None:
        """Roll back and reset the session, in one round trip; does nothing where nothing was executed."""
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
            errors = [error for text in messages if (error := self._answer(text)) is not None]
        finally:
            self._ending = None
        self._is_clean = not errors or (len(messages) > 1 and not self._has_ended and len(errors) == 1)
        if errors and not self._has_ended:
            raise errors[0]
        if errors:
            _logger.info("the session of a unit of work could not be reset (%s); its connection is closed", errors[0])

    def _messages(self, word: str) -> list[str]:
        return [f"{word}; {_RESET_IN_ONE}"] if self._pgbouncer else [word, *_RESET]

    def _answer(self, text: str) -> Exception | None:
        """Read the answer to one message. Returns the error in it, if any; raises where no answer comes."""
        context = Context(text)
        try:
            self.handle_messages(context)
        except (DatabaseError, InterfaceError):
            if context.error is None:
                raise
        answered: Exception | None = context.error
        return answered

    def remember(self) -> None:
        """Take the present state of this object for how it is to be lent, from now on."""
        self._renew()
        self._lent_as = self.__dict__ | {
            "pg_types": dict(self.pg_types),
            "py_types": dict(self.py_types),
            "message_types": {code: handle.__name__ for code, handle in self.message_types.items()},
        }

    def come_back(self) -> LentConnection:
        """Reset the session unless that is done, and move to a new object, without what was set on this one.

        Raises where the session cannot be reset; the connection is then to be closed.
        """
        self.rollback()
        if not self._is_clean or self.is_in_transaction:
            raise InterfaceError("the session could not be reset")
        moved: LentConnection = object.__new__(type(self))
        lent_as = self._lent_as
        moved.__dict__.update(lent_as)
        moved._lent_as = lent_as
        moved.pg_types = defaultdict(self.pg_types.default_factory, lent_as["pg_types"])
        moved.py_types = dict(lent_as["py_types"])
        moved.message_types = {code: getattr(moved, name) for code, name in lent_as["message_types"].items()}
        moved.notifications, moved.notices = deque(maxlen=100), deque(maxlen=100)
        moved.parameter_statuses = dict(self.parameter_statuses)
        moved._client_encoding = self._client_encoding
        moved._transaction_status = self._transaction_status
        moved._statement_nums, moved._caches = set(), {}
        moved._run_cursor = Cursor(moved, paramstyle="named")
        self._usock = self._sock = None
        return moved


def lend(engine: Engine) -> None:
    """Make ``engine``'s connections lent ones; it must connect by ``LentConnection``."""
    event.listen(engine, "connect", lambda connection, _record: connection.remember())
    event.listen(engine, "checkin", _take_back)
    event.listen(engine, "before_cursor_execute", _look_at)
    event.listen(engine, "after_cursor_execute", _require_transaction)


def _take_back(connection: LentConnection | None, record: Any) -> None:
    if connection is None or record.dbapi_connection is None:
        return
    record.record_info.clear()
    for key in [key for key in record.info if not str(key).startswith("jobs_")]:
        del record.info[key]
    try:
        record.dbapi_connection = connection.come_back()
    except Exception as error:  # noqa: BLE001  whatever it is, nobody else may have it
        _logger.info("the connection of a unit of work is closed rather than used again: %s", error)
        record.invalidate()


def _look_at(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
    """Refuse what would end the transaction, and say once of each kind what is about the session."""
    if match := _TRANSACTION_CONTROL.match(statement):
        raise UnitOfWorkError(
            f"{_words(match)} would end the unit of work's transaction behind its back; call its commit() or "
            "rollback(), which hold for the whole block, or use connection.begin_nested() for a part of it"
        )
    match = _SESSION_STATE.match(statement) or _SESSION_LOCK.search(statement)
    if match and (words := _words(match)) not in _warned:
        _warned.add(words)
        _logger.warning(
            "a unit of work ran %s, which is about the session and not about the transaction: it is undone at the end "
            "of the unit of work, and nobody else finds it; use SET LOCAL, pg_advisory_xact_lock or ON COMMIT DROP "
            "(this is said once)",
            words,
        )


def _require_transaction(connection: Connection, *_rest: Any) -> None:
    """Raise for a statement that was not within the transaction, or has ended it."""
    driver: Any = connection.connection.dbapi_connection
    if driver.was_ended or not driver.is_in_transaction:
        raise UnitOfWorkError(LEFT_ITS_TRANSACTION)


def _words(match: re.Match[str]) -> str:
    """The statement's first words, which hold no value."""
    return " ".join(match[match.lastindex or 0].split()).upper()
