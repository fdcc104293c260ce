"""The audit on PostgreSQL, newest first, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import sqlalchemy as sa

from jobs.adapters.postgres.connection.driver.encoding import Statement
from jobs.adapters.postgres.statements.jobs import quoted
from jobs.core.lifecycle.audit import AuditEntry
from jobs.core.paging import decode_change, encode_change, fill_page, size_of_texts
from jobs.core.ports.audit import AuditPage
from jobs.core.strict_json import read_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.adapters.postgres.connection.database import Database
    from jobs.core.queries import AuditQuery

_FIND = """
select cast(a.job_id as text), j.job_name, j.handler_name, a.at, a.actor, a.action, a.reason, a.revision,
  cast(a.before as text), cast(a.operation as text)
from {schema}.job_audit a join {schema}.jobs j on j.id = a.job_id
where {where}
order by a.at desc, a.job_id desc, a.revision desc limit :limit
"""
_AT, _REVISION = 3, 7


class PostgresAuditLog:
    """The ``AuditLog`` port on PostgreSQL."""

    def __init__(self, database: Database, schema: str) -> None:
        self._database = database
        self._schema = quoted(schema)

    def find(self, query: AuditQuery) -> AuditPage:
        """Return a page of changes, by keyset pagination."""
        begin = decode_change(query.cursor) if query.cursor is not None else None

        def read(last: Sequence[Any] | None, count: int) -> list[tuple[Any, ...]]:
            return self._rows(query, begin if last is None else _place_of(last), count)

        rows, more = fill_page(query.limit, read, lambda row: size_of_texts(*(v for v in row if isinstance(v, str))))
        return AuditPage([_entry(row) for row in rows], encode_change(*_place_of(rows[-1])) if more else None)

    def _rows(self, query: AuditQuery, after: tuple[Any, ...] | None, count: int) -> list[tuple[Any, ...]]:
        conditions, values = _conditions(query)
        if after is not None:
            conditions.append(
                "(a.at, a.job_id, a.revision) < (cast(:after_at as timestamptz), cast(:after_id as uuid), "
                "cast(:after_revision as bigint))"
            )
            values |= dict(zip(("after_at", "after_id", "after_revision"), after, strict=True))
        sql = _FIND.replace("{schema}", self._schema).replace("{where}", " and ".join(conditions) or "true")
        return self._database.run(Statement.of(sa.text(sql)), values | {"limit": count})


def _conditions(query: AuditQuery) -> tuple[list[str], dict[str, Any]]:
    known: dict[str, tuple[str, Any]] = {
        "job": ("a.job_id = cast(:job as uuid)", query.job_id),
        "actor": ("a.actor = any(cast(:actor as text[]))", list(query.actor) or None),
        "action": ("a.action = any(cast(:action as text[]))", list(query.action) or None),
        "since": ("a.at >= cast(:since as timestamptz)", query.after),
        "until": ("a.at < cast(:until as timestamptz)", query.before),
    }
    given = {name: (sql, value) for name, (sql, value) in known.items() if value is not None}
    return [sql for sql, _ in given.values()], {name: value for name, (_, value) in given.items()}


def _place_of(row: Sequence[Any]) -> tuple[Any, UUID, int]:
    return row[_AT], UUID(row[0]), row[_REVISION]


def _entry(row: Sequence[Any]) -> AuditEntry:
    job_id, job_name, handler_name, at, actor, action, reason, revision, before, operation = row
    return AuditEntry(
        job_id=job_id,
        job_name=job_name,
        handler_name=handler_name,
        at=at,
        actor=actor,
        action=action,
        reason=reason,
        revision=revision,
        before=None if before is None else read_json(before),
        operation=operation,
    )
