"""Migrate the schema. Imports Alembic, so no module that serves requests imports this one."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy.exc import SQLAlchemyError

from jobs.adapters.postgres.connection.driver.faults import message_of
from jobs.adapters.postgres.connection.unreachable import refused_at_connecting, unreachable
from jobs.adapters.postgres.statements.jobs import quoted
from jobs.core.errors import StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

_logger = logging.getLogger("jobs.store")
LOCK_KEY = 0x6A6F6273
"""The key of the advisory lock that is held while schema or grants change. An arbitrary number: "jobs" in ASCII."""


def upgrade(engine: Engine, schema: str, revision: str = "head") -> tuple[str | None, str | None]:
    """Migrate to ``revision``, all steps in one transaction; returns the revisions before and after.

    If several processes start at once, one migrates; the others wait for it and then find nothing to do.
    Raises ``StoreUnavailable`` if the database is unreachable or the role lacks a privilege.
    """
    try:
        with engine.begin() as connection:
            connection.execute(sa.text("set local statement_timeout = 0"))
            connection.execute(sa.text("set local lock_timeout = '30s'"))
            connection.execute(sa.text("select pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
            _create_schema(connection, schema)
            before = current_revision(connection, schema)
            command.upgrade(_config(connection, schema), revision)
            after = current_revision(connection, schema)
    except (OSError, SQLAlchemyError) as error:
        why = unreachable(error, engine.url) if refused_at_connecting(error) else message_of(error)
        raise StoreUnavailable(f"the database could not be migrated: {why}") from error
    _logger.info("database schema %s: revision %s -> %s", schema, before, after)
    return before, after


def current_revision(connection: Connection, schema: str) -> str | None:
    """Return the schema's current revision; None before the first migration."""
    options = {"version_table": "schema_version", "version_table_schema": schema}
    return MigrationContext.configure(connection, opts=options).get_current_revision()


def _create_schema(connection: Connection, schema: str) -> None:
    # A role without the privilege to create schemas can still migrate one that an administrator created.
    known = connection.execute(sa.text("select 1 from pg_namespace where nspname = :name"), {"name": schema}).first()
    if known is None:
        connection.execute(sa.text(f"create schema {quoted(schema)}"))


def _config(connection: Connection, schema: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes.update(connection=connection, schema=schema, quoted_schema=quoted(schema))
    return config
