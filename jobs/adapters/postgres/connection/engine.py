"""The SQLAlchemy engine and its connection pool, which never hands out a broken connection.

Four timeouts bound every call: the socket's, and the server's for statements, locks and idle transactions. Behind
PgBouncer in transaction mode a session has no settings of its own, so set the server's three on the role there
(``ALTER ROLE … SET statement_timeout``).
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError

from jobs.adapters.postgres.connection.address import driver_url, read_address, tls_of
from jobs.adapters.postgres.connection.driver.connection import DriverConnection
from jobs.adapters.postgres.connection.driver.faults import closes_connection
from jobs.adapters.postgres.connection.handler_connections import HandlerConnection, reset_on_return
from jobs.adapters.postgres.connection.tls import ssl_arguments
from jobs.core.errors import UnitOfWorkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Engine, ExceptionContext

    from jobs.adapters.postgres.connection.address import DatabaseOptions

_PING_AFTER_IDLE_SECONDS = 30.0
_LAST_USED = "jobs_last_used"
_POOL = "jobs_pool"


def make_engine(options: DatabaseOptions, *, for_handlers: bool = False) -> Engine:
    """Create an engine whose pool never hands out a connection that is known or suspected to be out of sync.

    Does not connect yet. ``pool_size`` is a hard limit. With ``for_handlers`` the pool resets each connection when it
    is returned.
    """
    engine = sa.create_engine(
        driver_url(options),
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


def _connect_arguments(options: DatabaseOptions) -> dict[str, Any]:
    # The driver reads timestamps in ISO form, whatever the role or database is set to; PgBouncer passes this on.
    startup = {"DateStyle": "ISO"}
    url = read_address(options)
    name = url.query.get("application_name", "jobs")
    arguments: dict[str, Any] = {"timeout": options.socket_timeout_seconds, "application_name": name}
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
    if "unix_sock" in url.query:
        # Otherwise the driver loads all of the machine's certificates for each connection, 20 ms, to no use.
        arguments["ssl_context"] = False
    else:
        arguments |= ssl_arguments(url, tls_of(url, options), options.ca_file)
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
