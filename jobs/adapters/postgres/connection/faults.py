"""What a failed statement means. Decided by SQLSTATE alone: the driver's exception classes say too little.

pg8000 raises deadlocks as ProgrammingError, serialization failures as DatabaseError, and a socket's time-out as a bare
TimeoutError; whatever was not answered by the server leaves the connection in an unknown state.
(Codes: PostgreSQL documentation, appendix A.)
"""

from __future__ import annotations

from enum import Enum, auto

from pg8000.exceptions import DatabaseError as DriverError
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from jobs.core.errors import StoreUnavailable


class Fault(Enum):
    """What to do about a failed statement."""

    UNIQUE = auto()
    """A unique index has the value already."""
    RETRY = auto()
    """Rolled back by the server because of others at work; the same statement may succeed now."""
    AWAY = auto()
    """The server answered that it cannot do it now; nothing was written."""
    BROKEN = auto()
    """No answer: the connection is of no use any more, and a write may or may not have happened."""
    UNMIGRATED = auto()
    """The tables are missing or older than this release."""
    BUG = auto()
    """Our statement is wrong."""


class UniqueViolation(Exception):
    """A unique index has the value already; nothing was written."""


class RolledBack(StoreUnavailable):
    """The server rolled the transaction back because of others at work; nothing was written."""


class OutcomeUnknown(StoreUnavailable):
    """The connection broke before the answer came: the write may or may not have happened."""


# A prepared statement that a migration has outdated (0A000) or that a pooler has lost (26000) is parsed anew elsewhere.
_OUTDATED = frozenset({"0A000", "26000"})
_RETRY = frozenset({"40001", "40P01", "55P03"}) | _OUTDATED
_UNMIGRATED = frozenset({"42P01", "42703", "3F000"})  # undefined table, column, schema
_AWAY = frozenset({"57014", "25006", "25P02", "25P03", "57P01", "57P02", "57P03", "57P05", "42501", "28P01", "3D000"})
_AWAY_CLASSES = frozenset({"08", "53", "58"})
_WRITES_REFUSED = frozenset({"25006", "53100"})
# What the data, a trigger, others at work or a lack of room bring about. All else may be the session's fault: of its
# role, its search path, its settings.
_BLAMELESS_CLASSES = frozenset({"22", "23", "40", "44", "53", "54", "55", "P0"})
_BLAMELESS = frozenset({"57014"})
_CLOSING = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "25006"}) | _OUTDATED


def sqlstate(error: BaseException) -> str | None:
    """Return the five-character code of a server's answer, None if the error is no answer of the server's."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, DriverError) and cause.args and isinstance(cause.args[0], dict):
        code = cause.args[0].get("C")
        return str(code) if code else None
    code = getattr(cause, "sqlstate", None)  # psycopg, on a caller's own connection
    return str(code) if code else None


def fault_of(error: BaseException) -> Fault:
    """Classify ``error``."""
    code = sqlstate(error)
    if code is None:
        return Fault.AWAY if isinstance(error, PoolTimeout | PendingRollbackError) else Fault.BROKEN
    if code == "23505":
        return Fault.UNIQUE
    if code in _RETRY:
        return Fault.RETRY
    if code in _UNMIGRATED:
        return Fault.UNMIGRATED
    if code in _AWAY or code[:2] in _AWAY_CLASSES:
        return Fault.AWAY
    return Fault.BUG


def closes_connection(error: BaseException) -> bool:
    """Whether the connection must be thrown away: no answer came, or the answer was that the server closes it."""
    code = sqlstate(error)
    return code is None or code in _CLOSING


def blames_session(error: BaseException) -> bool:
    """Whether a statement of our own failed in a way that it never should, so that its connection is under suspicion.

    A handler's own statements fail as they may: for these ``closes_connection`` alone decides.
    """
    code = sqlstate(error)
    return closes_connection(error) or not (code and (code[:2] in _BLAMELESS_CLASSES or code in _BLAMELESS))


def refuses_writes(error: BaseException) -> bool:
    """Whether the server answered that it takes no writes: its disk is full, or it is read-only."""
    return sqlstate(error) in _WRITES_REFUSED


def refusal_of(error: BaseException) -> BaseException:
    """Find why connecting failed: pg8000 may hide the server's answer behind its own failure to close."""
    found: BaseException | None = error.orig if isinstance(error, DBAPIError) else error
    while found is not None and sqlstate(found) is None:
        found = found.__context__
    return found or error


def in_words(error: BaseException) -> str:
    """Return what happened, without values that a row or a statement may have held."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    code = sqlstate(error)
    if code is not None and cause.args and isinstance(cause.args[0], dict):
        return f"{cause.args[0].get('M', 'no message')} (SQLSTATE {code})"
    return f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__
