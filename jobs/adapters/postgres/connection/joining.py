"""What of a caller's a job can join: a SQLAlchemy connection or session, within a transaction on PostgreSQL."""

from __future__ import annotations

from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session, scoped_session


def joinable(given: object) -> Connection | Session:
    """Return what was given as ``connection``; raises ``TypeError`` if it has no transaction that a job can join."""
    if not isinstance(given, Connection | Session):
        raise TypeError(_refusal_of(given))
    connection = given.connection() if isinstance(given, Session) else given
    if connection.dialect.name != "postgresql":
        raise TypeError(
            f"connection is to {connection.dialect.name}, and jobs are kept in PostgreSQL; give one to the database "
            "with the jobs, or leave it out and enqueue once your own transaction has committed"
        )
    if _commits_each_statement(connection):
        raise TypeError(
            "connection is in AUTOCOMMIT mode, which commits the job at once and whatever becomes of your data; leave "
            "connection out, or give one with a transaction: with engine.begin() as connection"
        )
    return given


def _commits_each_statement(connection: Connection) -> bool:
    driver_connection = connection.connection.dbapi_connection
    try:
        return driver_connection is not None and connection.dialect.detect_autocommit_setting(driver_connection)
    except NotImplementedError:  # by a driver of which SQLAlchemy cannot say it
        return False


def _refusal_of(given: object) -> str:
    kind = type(given).__name__
    if any(base.__module__.startswith("sqlalchemy.ext.asyncio") for base in type(given).__mro__):
        name = "session" if "Session" in kind else "conn"
        return (
            f"connection is an {kind}, and the call is not async; have it run on the sync one within: "
            f"await {name}.run_sync(lambda sync: jobs.enqueue(command, connection=sync))"
        )
    if isinstance(given, scoped_session):
        return f"connection is a {kind}; give the session within, which a call of it returns: connection=session()"
    return (
        f"connection is a {type(given).__module__}.{type(given).__qualname__}, which has no transaction to join; give "
        "a SQLAlchemy Connection or Session, such as that of: with engine.begin() as connection"
    )
