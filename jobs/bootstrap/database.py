"""Reach the database that the settings name, and migrate it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jobs.adapters.postgres.connection.address import DatabaseOptions
from jobs.adapters.postgres.connection.database import Database
from jobs.core.errors import ConfigurationError
from jobs.settings_checks import read_settings

if TYPE_CHECKING:
    from jobs.settings import Settings


def database_options(settings: Settings) -> DatabaseOptions:
    """Say how to reach the database; raises ``ConfigurationError`` when no setting says where it is."""
    if settings.database_url is None:
        raise ConfigurationError(
            "JOBS_DATABASE_URL is not set; set it to postgresql://user:password@host:5432/database, "
            "or start with `python -m jobs dev`, which brings its own Postgres"
        )
    password = None
    if settings.database_auth == "entra":
        from jobs.adapters.postgres.connection.entra import entra_password  # noqa: PLC0415  only when chosen

        password = entra_password(os.environ.get("AZURE_CLIENT_ID"))
    return DatabaseOptions(
        url=settings.database_url.get_secret_value(),
        pool_size=settings.database_pool_size,
        statement_timeout_seconds=settings.database_statement_timeout_seconds,
        socket_timeout_seconds=settings.database_socket_timeout_seconds,
        tls=settings.database_tls if "database_tls" in settings.model_fields_set else None,
        ca_file=settings.database_ca_file,
        pgbouncer=settings.database_pgbouncer,
        password=password,
    )


def upgrade_database() -> tuple[str | None, str | None]:
    """Migrate the database that the settings name. Returns the revisions before and after."""
    from jobs.adapters.postgres.schema.migrate import upgrade  # noqa: PLC0415  Alembic, which serving requests never needs

    settings = read_settings()
    database = Database(database_options(settings))
    try:
        return upgrade(database.engine, settings.database_schema)
    finally:
        database.close()


def grant_rights(runtime: str, migrator: str | None, *, entra: bool) -> list[str]:
    """Grant two roles their rights in the database that the settings name; returns lines that say what holds now.

    With ``entra`` these are Entra principals, ``NAME`` or ``NAME=OBJECT_ID``, of which roles are made where need be.
    """
    from jobs.adapters.postgres.schema.principals import Principal, map_principals  # noqa: PLC0415  as above
    from jobs.adapters.postgres.schema.roles import grant_rights as grant  # noqa: PLC0415

    settings = read_settings()
    options = database_options(settings)
    lines: list[str] = []
    if entra:
        principals = [Principal.of(text) for text in (runtime, migrator) if text]
        lines += map_principals(options, principals)
        runtime, migrator = principals[0].name, principals[1].name if migrator else None
    database = Database(options)
    try:
        return lines + grant(database.engine, settings.database_schema, runtime, migrator)
    finally:
        database.close()
