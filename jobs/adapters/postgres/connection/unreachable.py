"""Error messages for failed connections, with the setting to check and the fix."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from jobs.adapters.postgres.connection.driver.faults import message_of, refusal_of, sqlstate

if TYPE_CHECKING:
    import sqlalchemy as sa

_WRONG_PASSWORD, _NOT_AUTHORIZED, _NO_DATABASE = "28P01", "28000", "3D000"
_AT_CONNECTING = frozenset({_WRONG_PASSWORD, _NOT_AUTHORIZED, _NO_DATABASE})


def unreachable(error: BaseException, url: sa.URL) -> str:
    """Return why connecting to ``url`` failed, and what to do. The message contains no password."""
    refusal = refusal_of(error)
    why = message_of(refusal)
    if "startup parameter: options" in why:
        return f"JOBS_DATABASE_URL leads to PgBouncer ({why}); set JOBS_DATABASE_PGBOUNCER to true"
    return f"the database cannot be reached: {why}; {_suggestion(refusal, why, url)}"


def refused_at_connecting(error: BaseException) -> bool:
    """Whether ``error`` is a failure to connect, with or without a response from the server."""
    code = sqlstate(refusal_of(error))
    return code is None or code in _AT_CONNECTING


def _suggestion(refusal: BaseException, why: str, url: sa.URL) -> str:
    place = _place(url)
    if "Server refuses SSL" in why:
        return (
            f"the server at {place} has no TLS: turn it on there or, only if the database is on this machine, set "
            "JOBS_DATABASE_TLS=false"
        )
    if (unverified := _unverified(refusal)) is not None:
        return (
            f"the certificate of {place} could not be verified ({unverified.verify_message}): name the file with its "
            "CA in JOBS_DATABASE_CA_FILE or, only if the database is on this machine, set JOBS_DATABASE_TLS=false"
        )
    code = sqlstate(refusal)
    if code == _NOT_AUTHORIZED and "no encryption" in why:
        return f"the server at {place} wants TLS: take out JOBS_DATABASE_TLS=false, or sslmode=disable"
    return {
        _WRONG_PASSWORD: (
            f"the server at {place} does not take the password of the user {url.username!r}: mend user or password in "
            "JOBS_DATABASE_URL (write @ in them as %40, / as %2F and % as %25); with JOBS_DATABASE_AUTH=entra the user "
            "is the name of the Entra principal"
        ),
        _NOT_AUTHORIZED: (
            f"the server at {place} does not let the user {url.username!r} in: mend the user in JOBS_DATABASE_URL, or "
            "let it in there (its role, pg_hba.conf)"
        ),
        _NO_DATABASE: f"mend the database's name, {url.database!r}, in JOBS_DATABASE_URL, or create it at {place}",
    }.get(code or "", "check JOBS_DATABASE_URL, that the server runs, and that it lets this machine and this user in")


def _unverified(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error


def _place(url: sa.URL) -> str:
    socket = url.query.get("unix_sock")
    return str(socket) if socket else f"{url.host or 'localhost'}:{url.port or 5432}"
