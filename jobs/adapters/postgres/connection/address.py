"""How to reach the database: the options of an app, and what a URL may say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from jobs.adapters.postgres.connection.tls import TLS_PARAMETERS, Tls, check_files, read_tls
from jobs.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

_LAST_PORT = 65_535
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


def driver_url(options: DatabaseOptions) -> sa.URL:
    """Return the URL in the driver's form."""
    return read_address(options).difference_update_query(TLS_PARAMETERS).set(drivername="postgresql+pg8000")


def read_address(options: DatabaseOptions) -> sa.URL:
    """Parse and check the URL; raises ``ConfigurationError`` for what it cannot mean, or what this app does not do."""
    try:
        url = sa.make_url(options.url)
    except (sa.exc.ArgumentError, ValueError):
        raise ConfigurationError(
            "JOBS_DATABASE_URL cannot be read; it looks like postgresql://user@host:5432/database"
        ) from None
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise ConfigurationError(f"JOBS_DATABASE_URL names {url.get_backend_name()!r}; only postgresql:// is supported")
    _require_one_at(options.url, url)
    _require_one_place(url)
    socket_directory = url.query.get("host")
    if isinstance(socket_directory, str) and socket_directory.startswith("/"):  # libpq's form for a Unix socket
        path = f"{socket_directory}/.s.PGSQL.{url.port or 5432}"
        url = url.difference_update_query(["host"]).update_query_dict({"unix_sock": path})
    elif socket_directory is not None:
        raise ConfigurationError(
            f"JOBS_DATABASE_URL has host={socket_directory}, and only the folder of a Unix socket goes there; write "
            f"postgresql://user@{socket_directory}:5432/database"
        )
    if url.port is not None and not 0 < url.port <= _LAST_PORT:
        raise ConfigurationError(f"JOBS_DATABASE_URL has the port {url.port}; ports go from 1 to {_LAST_PORT}")
    if unknown := sorted(set(url.query) - _KNOWN_PARAMETERS):
        mend = "take it out; asyncpg's ssl=require is sslmode=require here" if "ssl" in unknown else "take it out"
        raise ConfigurationError(
            f"JOBS_DATABASE_URL has {', '.join(unknown)}, which this app does not know; {mend} "
            f"(known are {', '.join(sorted(_KNOWN_PARAMETERS - {'unix_sock'} | {'host'}))})"
        )
    if not url.username:
        raise ConfigurationError(
            "JOBS_DATABASE_URL has no user; it looks like postgresql://user@host:5432/database, and with a Unix socket "
            "like postgresql://user@/database?host=/folder"
        )
    return url


def check_address(options: DatabaseOptions) -> None:
    """Raise ``ConfigurationError`` for an invalid URL, or a file named in it that is not there. Does not connect."""
    url = read_address(options)
    tls_of(url, options)
    check_files(url)


def tls_of(url: sa.URL, options: DatabaseOptions) -> Tls:
    """Return how connections to the URL are protected."""
    return read_tls(url, setting=options.tls, entra=options.password is not None)


def _require_one_at(text: str, url: sa.URL) -> None:
    """Refuse a password with a raw ``@``: the rest of it would be taken for the host, and be logged."""
    after_last = text.rpartition("@")[2].removeprefix("[")
    if "@" in (url.database or "") or ("@" in text and not after_last.startswith(url.host or ("/", ":"))):
        raise ConfigurationError(
            "JOBS_DATABASE_URL has an @ besides the one before the host; in user and password write @ as %40, / as %2F "
            "and % as %25"
        )


def _require_one_place(url: sa.URL) -> None:
    """Refuse what libpq accepts and the driver does not: several hosts, and a parameter that is written twice."""
    hosts = url.query.get("host")
    if "," in (url.host or "") or isinstance(hosts, tuple) or "," in (hosts or ""):
        raise ConfigurationError(
            "JOBS_DATABASE_URL has several hosts; write one, such as the name that always leads to the primary"
        )
    for name, value in url.query.items():
        if isinstance(value, tuple):
            raise ConfigurationError(f"JOBS_DATABASE_URL has {name} more than once; write it once")
    if any("\0" in (text or "") for text in (url.username, url.password, url.database, *map(str, url.query.values()))):
        raise ConfigurationError("JOBS_DATABASE_URL has a NUL character, %00; take it out")
