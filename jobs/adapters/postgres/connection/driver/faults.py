"""Classify failed statements by SQLSTATE, since the driver's exception classes are too coarse.

pg8000 raises deadlocks as ProgrammingError, serialization failures as DatabaseError, and a socket's timeout as a bare
TimeoutError. An error that is not a server's response leaves the connection in an unknown state.
(Codes: PostgreSQL documentation, appendix A.)
"""

from __future__ import annotations

from enum import Enum, auto

from pg8000.exceptions import DatabaseError as DriverError
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from jobs.core.errors import StoreUnavailable


class Fault(Enum):
    """The kind of a failure."""

    UNIQUE = auto()
    """A unique index has the value already."""
    RETRY = auto()
    """The server rolled back because of concurrent transactions; the same statement may succeed now."""
    UNAVAILABLE = auto()
    """The server responded that it cannot run the statement now; nothing was written."""
    BROKEN = auto()
    """No response: the connection is unusable, and a write may or may not have happened."""
    UNMIGRATED = auto()
    """The tables are missing or older than this release."""
    BUG = auto()
    """The statement is wrong."""


class UniqueViolation(Exception):
    """A unique index has the value already; nothing was written."""


class RolledBack(StoreUnavailable):
    """The server rolled the transaction back because of concurrent ones; nothing was written."""


class OutcomeUnknown(StoreUnavailable):
    """The connection broke before the response arrived: the write may or may not have happened."""


# A prepared statement that a migration made obsolete (0A000) or that a pooler lost (26000) is parsed again on another
# connection.
_STALE_STATEMENT = frozenset({"0A000", "26000"})
_RETRY = frozenset({"40001", "40P01", "55P03"}) | _STALE_STATEMENT
_UNMIGRATED = frozenset({"42P01", "42703", "3F000"})  # undefined table, column, schema
_UNAVAILABLE = frozenset(
    {"57014", "25006", "25P02", "25P03", "57P01", "57P02", "57P03", "57P05", "42501", "28P01", "3D000"}
)
_UNAVAILABLE_CLASSES = frozenset({"08", "53", "58"})
_WRITES_REFUSED = frozenset({"25006", "53100"})
# Caused by the data, a trigger, concurrent transactions or lack of resources. Any other error may be caused by the
# session: by its role, its search path or its settings.
_NOT_SESSION_CLASSES = frozenset({"22", "23", "40", "44", "53", "54", "55", "P0"})
_NOT_SESSION = frozenset({"57014"})
_CLOSING = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "25006"}) | _STALE_STATEMENT


def sqlstate(error: BaseException) -> str | None:
    """Return the five-character code of a server's error response; None if the error is not one."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, DriverError) and cause.args and isinstance(cause.args[0], dict):
        code = cause.args[0].get("C")
        return str(code) if code else None
    code = getattr(cause, "sqlstate", None)  # psycopg, on a caller's own connection
    return str(code) if code else None


def fault_of(error: BaseException) -> Fault:
    """Return the kind of ``error``."""
    code = sqlstate(error)
    if code is None:
        return Fault.UNAVAILABLE if isinstance(error, PoolTimeout | PendingRollbackError) else Fault.BROKEN
    if code == "23505":
        return Fault.UNIQUE
    if code in _RETRY:
        return Fault.RETRY
    if code in _UNMIGRATED:
        return Fault.UNMIGRATED
    if code in _UNAVAILABLE or code[:2] in _UNAVAILABLE_CLASSES:
        return Fault.UNAVAILABLE
    return Fault.BUG


def closes_connection(error: BaseException) -> bool:
    """Whether the connection must be discarded: there was no response, or the server says that it closes it."""
    code = sqlstate(error)
    return code is None or code in _CLOSING


def may_be_session_fault(error: BaseException) -> bool:
    """Whether one of the framework's statements failed unexpectedly, so that its session may be the cause.

    Not for a handler's own statements, which may fail for any reason: use ``closes_connection`` for those.
    """
    code = sqlstate(error)
    return closes_connection(error) or not (code and (code[:2] in _NOT_SESSION_CLASSES or code in _NOT_SESSION))


def refuses_writes(error: BaseException) -> bool:
    """Whether the server responded that it refuses writes: its disk is full, or it is read-only."""
    return sqlstate(error) in _WRITES_REFUSED


def refusal_of(error: BaseException) -> BaseException:
    """Return the cause of a failure to connect: pg8000 may hide the server's response behind a failure to close."""
    found: BaseException | None = error.orig if isinstance(error, DBAPIError) else error
    while found is not None and sqlstate(found) is None:
        found = found.__context__
    return found or error


def message_of(error: BaseException) -> str:
    """Return the error's message, without values of rows or statements."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    code = sqlstate(error)
    if code is not None and cause.args and isinstance(cause.args[0], dict):
        return f"{cause.args[0].get('M', 'no message')} (SQLSTATE {code})"
    return f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__
