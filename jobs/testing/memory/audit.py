"""The audit in memory, newest first, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.core.lifecycle.audit import AuditEntry
from jobs.core.paging import decode_change, encode_change, fill_page, size_of_texts
from jobs.core.ports.audit import AuditPage
from jobs.core.strict_json import read_json

if TYPE_CHECKING:
    from jobs.core.queries import AuditQuery
    from jobs.testing.memory.database import MemoryDatabase
    from jobs.testing.memory.rows import AuditRow, JobRow


class MemoryAuditLog:
    """The ``AuditLog`` port in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def find(self, query: AuditQuery) -> AuditPage:
        """Return a page of changes."""
        begin = decode_change(query.cursor) if query.cursor is not None else None

        def read(last: tuple[AuditRow, JobRow] | None, count: int) -> list[tuple[AuditRow, JobRow]]:
            after = begin if last is None else _place_of(last[0])
            with self._database.statement() as transaction:
                noted = sorted(transaction.all(self._database.audit), key=_place_of, reverse=True)
                found = [
                    (row, job)
                    for row in noted
                    if _wanted(row, query)
                    and (after is None or _place_of(row) < after)
                    and (job := transaction.job(row.job_id)) is not None
                ]
            return found[:count]

        rows, more = fill_page(query.limit, read, lambda pair: _size(*pair))
        return AuditPage(
            [_entry(row, job) for row, job in rows], encode_change(*_place_of(rows[-1][0])) if more else None
        )


def _place_of(row: AuditRow) -> tuple[Any, ...]:
    return row.at, row.job_id, row.revision


def _wanted(row: AuditRow, query: AuditQuery) -> bool:
    return (
        query.job_id in {None, row.job_id}
        and (not query.actor or row.actor in query.actor)
        and (not query.action or row.action in query.action)
        and (query.after is None or row.at >= query.after)
        and (query.before is None or row.at < query.before)
    )


def _size(row: AuditRow, job: JobRow) -> int:
    return size_of_texts(str(row.job_id), job.job_name, job.handler_name, row.actor, row.action, row.reason, row.before)


def _entry(row: AuditRow, job: JobRow) -> AuditEntry:
    return AuditEntry(
        job_id=row.job_id,
        job_name=job.job_name,
        handler_name=job.handler_name,
        at=row.at,
        actor=row.actor,
        action=row.action,
        reason=row.reason,
        revision=row.revision,
        before=None if row.before is None else read_json(row.before),
        operation=row.operation,
    )
