"""Encryption and verification of connections: by JOBS_DATABASE_TLS, or by ``sslmode`` in the URL.

``sslmode`` has libpq's meaning, except that ``require`` also verifies the server: a URL copied from a portal must not
weaken the verification that is the default without it. ``prefer`` and ``allow`` may fall back to clear text, so they
are refused.
"""

from __future__ import annotations

import ssl
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.core.errors import ConfigurationError

if TYPE_CHECKING:
    import sqlalchemy as sa

_MODE, _CA_FILE, _CERTIFICATE, _KEY = "sslmode", "sslrootcert", "sslcert", "sslkey"
_BINDING = "channel_binding"
TLS_PARAMETERS = (_MODE, _CA_FILE, _CERTIFICATE, _KEY, _BINDING)
"""The URL parameters that this module reads; the driver does not know them."""


class Tls(Enum):
    """How a connection is protected."""

    FULL = auto()
    """Encrypted; the server's certificate and its host name are verified."""
    CHAIN = auto()
    """Encrypted; the certificate is verified, the host name is not."""
    UNVERIFIED = auto()
    """Encrypted if the server supports it; nothing is verified."""
    NONE = auto()
    """In clear text."""


_MODES = {"disable": Tls.NONE, "require": Tls.FULL, "verify-ca": Tls.CHAIN, "verify-full": Tls.FULL}
_BINDINGS = (None, "disable", "prefer", "require")


def read_tls(url: sa.URL, *, setting: bool | None, entra: bool) -> Tls:
    """Combine JOBS_DATABASE_TLS (None if unset) with the URL's ``sslmode``.

    With ``entra`` the password is a token, which must never be sent in clear text. Raises ``ConfigurationError`` with
    the fix if the two contradict each other or are unsafe.
    """
    binding = url.query.get(_BINDING)
    if binding not in _BINDINGS:
        raise ConfigurationError(f"JOBS_DATABASE_URL has {_BINDING}={binding}; write one of {', '.join(_BINDINGS[1:])}")
    text = url.query.get(_MODE)
    if binding == "require" and (setting is False or text == "disable"):
        raise ConfigurationError(f"JOBS_DATABASE_URL has {_BINDING}=require, which needs TLS; take it out, or use TLS")
    if text is None:
        return Tls.UNVERIFIED if setting is False else Tls.FULL
    mode = _MODES.get(str(text))
    if mode is None:
        raise ConfigurationError(
            f"JOBS_DATABASE_URL has sslmode={text}, which {_objection(str(text))}; write one of {', '.join(_MODES)} "
            "(disable only for a database on this machine)"
        )
    if mode is Tls.NONE and setting:
        raise ConfigurationError(
            "JOBS_DATABASE_URL has sslmode=disable, and JOBS_DATABASE_TLS is true; take one of them out"
        )
    if mode is Tls.NONE and entra:
        raise ConfigurationError(
            "JOBS_DATABASE_URL has sslmode=disable, which would send the Entra token in clear text; take it out"
        )
    if mode is not Tls.NONE and setting is False:
        raise ConfigurationError(
            f"JOBS_DATABASE_URL has sslmode={text}, and JOBS_DATABASE_TLS is false; take one of them out"
        )
    return mode


def _objection(mode: str) -> str:
    return "may fall back to clear text" if mode in {"prefer", "allow"} else "is not a mode of Postgres"


def ssl_arguments(url: sa.URL, tls: Tls, ca_file: str | None) -> dict[str, Any]:
    """Return the driver's arguments for ``tls``; empty if the driver's default is right.

    Raises ``ConfigurationError`` naming a certificate file that cannot be read.
    """
    if tls is Tls.UNVERIFIED:
        return {}
    if tls is Tls.NONE:
        return {"ssl_context": False}
    # This context verifies; pg8000's default does not, and may fall back to clear text.
    context = _context(url, ca_file)
    context.check_hostname = tls is Tls.FULL
    return {"ssl_context": context}


def check_files(url: sa.URL) -> None:
    """Raise ``ConfigurationError`` for a file of certificates that the URL names and that is not there."""
    for parameter in (_CA_FILE, _CERTIFICATE, _KEY):
        file = url.query.get(parameter)
        if file is not None and (parameter, file) != (_CA_FILE, "system") and not Path(str(file)).is_file():
            raise ConfigurationError(f"JOBS_DATABASE_URL has {parameter}={file}, and that file is not there")


def _context(url: sa.URL, ca_file: str | None) -> ssl.SSLContext:
    named = url.query.get(_CA_FILE)
    in_url = None if named == "system" else named
    file = ca_file or (str(in_url) if in_url else None)
    try:
        context = ssl.create_default_context(cafile=file)
    except OSError as error:
        place = "JOBS_DATABASE_CA_FILE" if ca_file else f"{_CA_FILE} in JOBS_DATABASE_URL"
        raise ConfigurationError(
            f"{place} is {file}, which cannot be used ({error.strerror or error}); name a file of certificates in PEM "
            "form"
        ) from None
    if (certificate := url.query.get(_CERTIFICATE)) is not None:
        key = url.query.get(_KEY)
        try:
            # Without a password OpenSSL would ask for one at the terminal, and wait.
            context.load_cert_chain(str(certificate), str(key) if key else None, password="")
        except OSError as error:
            raise ConfigurationError(
                f"{_CERTIFICATE} in JOBS_DATABASE_URL is {certificate}, which cannot be used "
                f"({error.strerror or error}); name a certificate and, with {_KEY}, its key, both in PEM form"
            ) from None
    return context
