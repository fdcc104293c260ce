"""Grant two database roles the privileges they need and no more: one runs the app, one migrates its schema.

The runtime role reads and writes the tables' rows. The migrator owns schema and tables. This module creates no role and
no password; ``principals`` creates roles for Microsoft Entra principals.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from jobs.adapters.postgres.connection.driver.faults import message_of, sqlstate
from jobs.adapters.postgres.connection.unreachable import refused_at_connecting, unreachable
from jobs.adapters.postgres.schema.migrate import LOCK_KEY
from jobs.adapters.postgres.statements.jobs import quoted
from jobs.core.errors import ConfigurationError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Connection, Engine

_ALL = "select, insert, update, delete"
RIGHTS = {
    "jobs": _ALL,
    "job_attempts": "select, insert, delete",  # history is written once, and pruned
    "job_audit": "select, insert, delete",
    "idempotency_keys": _ALL,
    "locks": _ALL,
    "limit_starts": _ALL,
    "job_series": _ALL,
    "job_operations": _ALL,
    "job_workers": _ALL,
    "app_versions": _ALL,
    "schema_version": "select",
}
"""The runtime role's privileges on each table. Identity columns need no privilege on their sequences."""

_REFUSED = frozenset({"42501", "0LP01"})  # insufficient_privilege, invalid_grant_operation


def grant_rights(engine: Engine, schema: str, runtime: str, migrator: str | None = None) -> list[str]:
    """Grant both roles their privileges, all in one transaction; returns one line for each grant in effect.

    It is idempotent, and revokes table privileges of the runtime role beyond its need. It also covers tables that
    ``migrator`` (or the current role, without one) creates later. Raises ``ConfigurationError`` for a role that does
    not exist or a privilege that the current role cannot grant, and ``StoreUnavailable``.
    """
    try:
        with engine.begin() as connection:
            connection.execute(sa.text("select pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
            return _Grant(connection, schema, runtime, migrator).run()
    except (OSError, SQLAlchemyError) as error:
        if sqlstate(error) in _REFUSED:
            raise ConfigurationError(
                f"the rights were not granted: {message_of(error)}; run this as the server's administrator, or as the "
                "role that owns the schema and its tables"
            ) from error
        why = unreachable(error, engine.url) if refused_at_connecting(error) else message_of(error)
        raise StoreUnavailable(f"the rights were not granted: {why}") from error


class _Grant:
    """One grant, within its transaction."""

    def __init__(self, connection: Connection, schema: str, runtime: str, migrator: str | None) -> None:
        self._connection = connection
        self._schema = schema
        self._runtime = runtime
        self._migrator = migrator
        self._lines: list[str] = []

    def run(self) -> list[str]:
        if self._runtime == self._migrator:
            raise ConfigurationError("name two roles: one that could also change the tables would be none with less")
        for role in (self._runtime, self._migrator):
            if role is not None and not self._ask("select 1 from pg_roles where rolname = :name", name=role):
                raise ConfigurationError(
                    f"there is no role {role!r} on this server; create it (CREATE ROLE … LOGIN), or for a Microsoft "
                    "Entra principal on Azure use --entra"
                )
        if self._migrator is None:
            self._require_schema()
            self._grant_usage(self._runtime)
            self._grant_runtime(self._runtime, creator=None)
        else:
            with self._membership(self._migrator) as member:
                self._grant_migrator(self._migrator, member=member)
                self._grant_usage(self._runtime)
                if member:
                    self._grant_runtime(self._runtime, creator=self._migrator)
        self._warn_of_excess()
        return self._lines

    def _require_schema(self) -> None:
        if not self._schema_owner():
            raise ConfigurationError(
                f"there is no schema {self._schema!r} yet; run `python -m jobs db upgrade` before, or name a --migrator"
            )

    @contextmanager
    def _membership(self, role: str) -> Iterator[bool]:
        """Make the current role a member of ``role`` for the block, to transfer ownership; False if it is refused."""
        if self._ask("select pg_has_role(current_user, :role, 'usage')", role=role):
            yield True
            return
        try:
            with self._connection.begin_nested():
                self._do(f"grant {_name(role)} to current_user")
        except DBAPIError as error:
            if sqlstate(error) not in _REFUSED:
                raise
            yield False
            return
        yield True
        self._do(f"revoke {_name(role)} from current_user")

    def _grant_migrator(self, migrator: str, *, member: bool) -> None:
        if not self._schema_owner():
            self._do(f"create schema {quoted(self._schema)}")
        self._grant_connect(migrator)
        strangers = [table for table, owner in self._tables() if owner != migrator]
        if member:
            if self._schema_owner() != migrator:
                self._do(f"alter schema {quoted(self._schema)} owner to {_name(migrator)}")
            for table in strangers:
                self._do(f"alter table {self._table(table)} owner to {_name(migrator)}")
            self._lines.append(f"{migrator}: owns the schema {self._schema} and migrates it")
            return
        if strangers:
            [me] = self._ask("select current_user")
            raise ConfigurationError(
                f"the tables {', '.join(strangers)} are not {migrator!r}'s, and {me!r} cannot hand them over; run this "
                f"as their owner once it is a member of {migrator!r} (GRANT … TO …)"
            )
        self._do(f"grant usage, create on schema {quoted(self._schema)} to {_name(migrator)}")
        self._lines.append(
            f"{migrator}: may create in the schema {self._schema}. As the present role is no member of it, the rest is "
            f"its own to grant: after `db upgrade`, run `db grant --runtime {self._runtime}` as {migrator}"
        )

    def _grant_usage(self, role: str) -> None:
        self._grant_connect(role)
        if not self._ask("select has_schema_privilege(:role, :schema, 'usage')", role=role, schema=self._schema):
            self._do(f"grant usage on schema {quoted(self._schema)} to {_name(role)}")

    def _grant_runtime(self, runtime: str, *, creator: str | None) -> None:
        tables = [table for table, _ in self._tables() if table in RIGHTS]
        for table in tables:
            self._do(f"revoke all on {self._table(table)} from {_name(runtime)}")
            self._do(f"grant {RIGHTS[table]} on {self._table(table)} to {_name(runtime)}")
        whose = f"for role {_name(creator)} " if creator else ""
        where = f"{whose}in schema {quoted(self._schema)}"
        self._do(f"alter default privileges {where} grant {_ALL} on tables to {_name(runtime)}")
        self._lines.append(f"{runtime}: reads and writes the rows of {len(tables)} tables, and of those made later")

    def _grant_connect(self, role: str) -> None:
        if not self._ask("select has_database_privilege(:role, current_database(), 'connect')", role=role):
            [database] = self._ask("select current_database()")
            self._do(f"grant connect on database {_name(database)} to {_name(role)}")
            if not self._ask("select has_database_privilege(:role, current_database(), 'connect')", role=role):
                self._lines.append(f"warning: {role} may not connect to {database}, and only its owner can change that")

    def _warn_of_excess(self) -> None:
        """Add a warning for each privilege of the runtime role beyond its need that cannot be revoked here."""
        more = {
            "is a superuser": "select rolsuper from pg_roles where rolname = :role",
            f"may create in the schema {self._schema}": "select has_schema_privilege(:role, :schema, 'create')",
            "may create in the schema public (REVOKE CREATE ON SCHEMA public FROM PUBLIC)": (
                "select has_schema_privilege(:role, oid, 'create') from pg_namespace where nspname = 'public'"
            ),
        }
        for what, question in more.items():
            if self._ask(question, role=self._runtime, schema=self._schema):
                self._lines.append(f"warning: {self._runtime} {what}, which it does not need")

    def _schema_owner(self) -> Any:
        found = self._ask(
            "select pg_get_userbyid(nspowner) from pg_namespace where nspname = :schema", schema=self._schema
        )
        return found[0] if found else None

    def _tables(self) -> list[tuple[str, str]]:
        """Return the existing tables in the schema, with their owners."""
        rows = self._connection.execute(
            sa.text("select tablename, tableowner from pg_tables where schemaname = :schema order by tablename"),
            {"schema": self._schema},
        )
        return [(table, owner) for table, owner in rows]

    def _table(self, table: str) -> str:
        return f"{quoted(self._schema)}.{_name(table)}"

    def _do(self, statement: str) -> None:
        self._connection.execute(sa.text(statement.replace(":", "\\:")))

    def _ask(self, question: str, **values: str) -> list[Any]:
        """Return the first column of the rows, without null and false values."""
        wanted = {name: value for name, value in values.items() if f":{name}" in question}
        return [row[0] for row in self._connection.execute(sa.text(question), wanted) if row[0]]


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
