"""Migrate the schema. Imports Alembic, so no module that serves requests imports this one."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import SQLAlchemyError

from jobs.adapters.postgres.connection.driver.faults import message_of, sqlstate
from jobs.adapters.postgres.connection.unreachable import refused_at_connecting, unreachable
from jobs.adapters.postgres.statements.jobs import quoted
from jobs.core.errors import ConfigurationError, StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

_REVISION = re.compile(r"\d{4}")
_OTHER_TABLES = frozenset({"42P01", "42P07", "42701", "42703", "42704", "42710", "42809"})
"""Something is missing, there already, or of another kind: the codes of the server for what a step did not expect."""
_NEWER = (
    "the database is at revision %s, of a newer release than this one, whose last is %s: it is left as it is. A "
    "release works on the tables of the one after it; from a later one go back release by release"
)
_LOCK_SECONDS = 30
_LOCK_TIMEOUT = "55P03"
_MEND = "Name another schema in JOBS_DATABASE_SCHEMA, or restore the tables from a backup"
_logger = logging.getLogger("jobs.store")
LOCK_KEY = 0x6A6F6273
"""The key of the advisory lock that is held while schema or grants change. An arbitrary number: "jobs" in ASCII."""


def upgrade(engine: Engine, schema: str, revision: str = "head") -> tuple[str | None, str | None]:
    """Migrate to ``revision``, all steps in one transaction; returns the revisions before and after.

    If several processes start at once, one migrates; the others wait for it and then find nothing to do. Tables of a
    newer release are left as they are, since a release that was rolled back to works on them.
    Raises ``StoreUnavailable`` if the database is unreachable or the role lacks a privilege, ``ConfigurationError`` if
    the schema holds something else than the tables of the revision that it names. Nothing is changed then.
    """
    before: str | None = None
    try:
        with engine.begin() as connection:
            connection.execute(sa.text("set local statement_timeout = 0"))
            connection.execute(sa.text(f"set local lock_timeout = '{_LOCK_SECONDS}s'"))
            connection.execute(sa.text("select pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
            _create_schema(connection, schema)
            config = _config(connection, schema)
            newest = str(ScriptDirectory.from_config(config).get_current_head())
            before = _known_revision(connection, schema, newest)
            if before is not None and before > newest:
                _logger.warning(_NEWER, before, newest)
                return before, before
            command.upgrade(config, revision)
            after = current_revision(connection, schema)
    except (OSError, SQLAlchemyError) as error:
        if sqlstate(error) in _OTHER_TABLES:
            raise ConfigurationError(
                f"the database could not be migrated, and nothing was changed: {message_of(error)}. The tables in the "
                f"schema {schema} are not those of its revision, {before or 'none yet'}: something else made or "
                f"changed them. {_MEND}"
            ) from error
        why = unreachable(error, engine.url) if refused_at_connecting(error) else message_of(error)
        if sqlstate(error) == _LOCK_TIMEOUT:
            why += (
                f"; another migration or a long transaction has held the tables for {_LOCK_SECONDS} s, try again later"
            )
        raise StoreUnavailable(f"the database could not be migrated: {why}") from error
    _logger.info("database schema %s: revision %s -> %s", schema, before, after)
    return before, after


def current_revision(connection: Connection, schema: str) -> str | None:
    """Return the schema's current revision; None before the first migration."""
    return _context(connection, schema).get_current_revision()


def _context(connection: Connection, schema: str) -> MigrationContext:
    options = {"version_table": "schema_version", "version_table_schema": schema}
    return MigrationContext.configure(connection, opts=options)


def _known_revision(connection: Connection, schema: str, newest: str) -> str | None:
    """Return the schema's revision, of this release or a newer one; raises ``ConfigurationError`` for anything else."""
    found = _context(connection, schema).get_current_heads()
    if len(found) > 1 or not all(_REVISION.fullmatch(str(each)) for each in found):
        raise ConfigurationError(
            f"{schema}.schema_version has {', '.join(map(repr, found))}, which is not the revision of a release "
            f"(this one's is {newest}): something else wrote it. Nothing was changed. {_MEND}"
        )
    return found[0] if found else None


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
