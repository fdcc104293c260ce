"""Bring the schema up to date. Imports Alembic, so nothing that serves requests imports this."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy.exc import SQLAlchemyError

from jobs.adapters.postgres.connection.faults import in_words
from jobs.adapters.postgres.connection.unreachable import refused_at_connecting, unreachable
from jobs.adapters.postgres.statements.jobs import quoted
from jobs.core.errors import StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

_logger = logging.getLogger("jobs.store")
LOCK_KEY = 0x6A6F6273
"""Spells "jobs". Any number that no one else in this database uses, held while schema or rights are changed."""


def upgrade(engine: Engine, schema: str, revision: str = "head") -> tuple[str | None, str | None]:
    """Migrate to ``revision``, all steps in one transaction; returns the revisions before and after.

    When several processes start at once, one migrates and the others wait for it and then find nothing to do.
    Raises ``StoreUnavailable`` if the database cannot be reached or the role lacks a right.
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
        why = unreachable(error, engine.url) if refused_at_connecting(error) else in_words(error)
        raise StoreUnavailable(f"the database could not be migrated: {why}") from error
    _logger.info("database schema %s: revision %s -> %s", schema, before, after)
    return before, after


def current_revision(connection: Connection, schema: str) -> str | None:
    """Return which revision the schema is at; None before the first."""
    options = {"version_table": "schema_version", "version_table_schema": schema}
    return MigrationContext.configure(connection, opts=options).get_current_revision()


def _create_schema(connection: Connection, schema: str) -> None:
    # A role without the right to create schemas can still migrate within one that an administrator made.
    known = connection.execute(sa.text("select 1 from pg_namespace where nspname = :name"), {"name": schema}).first()
    if known is None:
        connection.execute(sa.text(f"create schema {quoted(schema)}"))


def _config(connection: Connection, schema: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes.update(connection=connection, schema=schema, quoted_schema=quoted(schema))
    return config
