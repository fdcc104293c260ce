"""The SQLAlchemy engine and its connection pool, which never hands out a broken connection.

Four timeouts bound every call: the socket's, and the server's for statements, locks and idle transactions. Behind
PgBouncer in transaction mode a session has no settings of its own, so set the server's three on the role there
(``ALTER ROLE … SET statement_timeout``).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError

from jobs.adapters.postgres.connection.driver.connection import DriverConnection
from jobs.adapters.postgres.connection.driver.faults import closes_connection
from jobs.adapters.postgres.connection.handler_connections import HandlerConnection, reset_on_return
from jobs.adapters.postgres.connection.tls import TLS_PARAMETERS, Tls, read_tls, ssl_arguments
from jobs.core.errors import ConfigurationError, UnitOfWorkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Engine, ExceptionContext

_PING_AFTER_IDLE_SECONDS = 30.0
_LAST_USED = "jobs_last_used"
_POOL = "jobs_pool"
_KNOWN_PARAMETERS = frozenset({"unix_sock", "application_name", *TLS_PARAMETERS})
"""The parameters that a URL may have, after ``host`` of a Unix socket has been converted to ``unix_sock``."""


@dataclass(frozen=True, slots=True)
class DatabaseOptions:
    """How to reach the database. ``password`` is called for each new connection, so that a token may expire."""

    url: str
    pool_size: int = 8
    pool_timeout_seconds: float = 5.0
    socket_timeout_seconds: float = 30.0
    statement_timeout_seconds: float = 15.0
    lock_timeout_seconds: float = 5.0
    idle_in_transaction_seconds: float = 60.0
    tls: bool | None = None
    """Whether to encrypt and verify; None means the URL's ``sslmode``, or true without one."""
    ca_file: str | None = None
    pgbouncer: bool = False
    session_settings: tuple[tuple[str, str], ...] = ()
    """Further settings of each new session, by name; not supported behind PgBouncer."""
    password: Callable[[], str] | None = None
    reword: Callable[[str], str] = str
    """Replaces the names of settings in an error's message, for a program that passes arguments instead."""


def make_engine(options: DatabaseOptions, *, for_handlers: bool = False) -> Engine:
    """Create an engine whose pool never hands out a connection that is known or suspected to be out of sync.

    Does not connect yet. ``pool_size`` is a hard limit. With ``for_handlers`` the pool resets each connection when it
    is returned.
    """
    engine = sa.create_engine(
        _url(options),
        connect_args=_connect_arguments(options),
        pool_size=options.pool_size,
        max_overflow=0,
        pool_timeout=options.pool_timeout_seconds,
        pool_use_lifo=True,
        pool_recycle=1800,
        hide_parameters=True,  # no value of a statement is logged or stored with an error
    )
    connect = partial(HandlerConnection, pgbouncer=options.pgbouncer) if for_handlers else DriverConnection
    _watch(engine, options, connect)
    if for_handlers:
        reset_on_return(engine)
    engine.dialect.do_terminate = DriverConnection.hang_up  # type: ignore[method-assign, assignment]
    return engine


def _url(options: DatabaseOptions) -> sa.URL:
    """Return the URL in the driver's form."""
    return _address(options).difference_update_query(TLS_PARAMETERS).set(drivername="postgresql+pg8000")


def _address(options: DatabaseOptions) -> sa.URL:
    try:
        url = sa.make_url(options.url)
    except (sa.exc.ArgumentError, ValueError):
        raise ConfigurationError(
            "JOBS_DATABASE_URL cannot be read; it looks like postgresql://user@host:5432/database"
        ) from None
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise ConfigurationError(f"JOBS_DATABASE_URL names {url.get_backend_name()!r}; only postgresql:// is supported")
    _require_one_at(options.url, url)
    socket_directory = url.query.get("host")
    if isinstance(socket_directory, str) and socket_directory.startswith("/"):  # libpq's form for a Unix socket
        path = f"{socket_directory}/.s.PGSQL.{url.port or 5432}"
        url = url.difference_update_query(["host"]).update_query_dict({"unix_sock": path})
    if unknown := sorted(set(url.query) - _KNOWN_PARAMETERS):
        raise ConfigurationError(
            f"JOBS_DATABASE_URL has {', '.join(unknown)}, which this app does not know; take it out "
            f"(known are {', '.join(sorted(_KNOWN_PARAMETERS - {'unix_sock'} | {'host'}))})"
        )
    return url


def check_address(options: DatabaseOptions) -> None:
    """Raise ``ConfigurationError`` for an invalid URL. Does not connect, reads no file."""
    _read_tls(_address(options), options)


def _read_tls(url: sa.URL, options: DatabaseOptions) -> Tls:
    return read_tls(url, setting=options.tls, entra=options.password is not None)


def _require_one_at(text: str, url: sa.URL) -> None:
    """Refuse a password with a raw ``@``: the rest of it would be taken for the host, and be logged."""
    after_last = text.rpartition("@")[2].removeprefix("[")
    if "@" in (url.database or "") or ("@" in text and not after_last.startswith(url.host or ("/", ":"))):
        raise ConfigurationError(
            "JOBS_DATABASE_URL has an @ besides the one before the host; in user and password write @ as %40, / as %2F "
            "and % as %25"
        )


def _connect_arguments(options: DatabaseOptions) -> dict[str, Any]:
    # The driver reads timestamps in ISO form, whatever the role or database is set to; PgBouncer passes this on.
    startup = {"DateStyle": "ISO"}
    arguments: dict[str, Any] = {"timeout": options.socket_timeout_seconds, "application_name": "jobs"}
    if not options.pgbouncer:
        limits = {
            "statement_timeout": options.statement_timeout_seconds,
            "lock_timeout": options.lock_timeout_seconds,
            "idle_in_transaction_session_timeout": options.idle_in_transaction_seconds,
        }
        flags = [f"-c {name}={int(seconds * 1000)}" for name, seconds in limits.items()]
        flags += [f"-c {name}={value}" for name, value in options.session_settings]
        startup["options"] = " ".join(flags)
    arguments["startup_params"] = startup
    url = _address(options)
    if "unix_sock" in url.query:
        # Otherwise the driver loads all of the machine's certificates for each connection, 20 ms, to no use.
        arguments["ssl_context"] = False
    else:
        arguments |= ssl_arguments(url, _read_tls(url, options), options.ca_file)
    return arguments


def _watch(  # noqa: C901  small listeners that share a moment
    engine: Engine, options: DatabaseOptions, connect: Callable[..., DriverConnection]
) -> None:
    """Add listeners that fetch the password, invalidate connections that are out of sync, and ping idle ones."""
    suspected_at = 0.0
    pool = 0

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, _args: Any, arguments: dict[str, Any]) -> DriverConnection:
        if options.password is not None:
            arguments["password"] = options.password()
        return connect(**arguments)

    @event.listens_for(engine, "handle_error")
    def _invalidate(context: ExceptionContext) -> None:
        # An error in binding or decoding shifts every later response by one, which a ping does not detect.
        error = context.original_exception
        if not isinstance(error, UnitOfWorkError) and closes_connection(error):
            context.is_disconnect = True

    @event.listens_for(engine, "invalidate")
    def _suspect(_connection: Any, _record: Any, _error: Any) -> None:
        nonlocal suspected_at
        suspected_at = time.monotonic()

    @event.listens_for(engine, "connect")
    def _number(_connection: Any, record: Any) -> None:
        record.info[_POOL] = pool

    @event.listens_for(engine, "engine_disposed")
    def _leave_behind(_engine: Engine) -> None:
        nonlocal pool
        pool += 1

    @event.listens_for(engine, "checkin")
    def _note(connection: Any, record: Any) -> None:
        record.info[_LAST_USED] = time.monotonic()
        if connection is not None and record.info.get(_POOL) != pool:
            record.invalidate()  # its pool was disposed in the meantime, so nobody would check it out again

    @event.listens_for(engine, "checkout")
    def _ping(connection: Any, record: Any, _proxy: Any) -> None:
        last_used = record.info.get(_LAST_USED)
        if last_used is None:
            return
        if last_used < suspected_at or time.monotonic() - last_used > _PING_AFTER_IDLE_SECONDS:
            try:
                connection.execute_simple("")
            except Exception as error:
                raise DisconnectionError("a pooled connection no longer answers") from error
