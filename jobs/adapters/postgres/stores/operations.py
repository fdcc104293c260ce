"""The progress of operations on many jobs, on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.adapters.postgres.statements.jobs import prepare
from jobs.core.ports.operations import Progress

if TYPE_CHECKING:
    from uuid import UUID

    from jobs.adapters.postgres.connection.database import Database

_PROGRESS = """
select (select count(*) from {schema}.job_audit a where a.operation = cast(:id as uuid)),
  coalesce(o.unchanged, 0), coalesce(o.refused, 0), o.cursor, coalesce(o.finished, false)
from (select 1) as one left join {schema}.job_operations o on o.id = cast(:id as uuid)
"""

_ADVANCE = """
insert into {schema}.job_operations as o (id, unchanged, refused, cursor, finished)
values (cast(:id as uuid), cast(:unchanged as bigint), cast(:refused as bigint), cast(:cursor as text),
  cast(:finished as boolean))
on conflict (id) do update set unchanged = excluded.unchanged, refused = excluded.refused, cursor = excluded.cursor,
  finished = excluded.finished
where not o.finished and o.cursor is not distinct from cast(:before as text)
returning 1
"""

_WAS_CHANGED = """
select 1 from {schema}.job_audit where operation = cast(:operation as uuid) and job_id = cast(:job_id as uuid) limit 1
"""


class PostgresOperations:
    """The ``OperationStore`` port on PostgreSQL."""

    def __init__(self, database: Database, schema: str) -> None:
        self._run = database.run
        self._progress = prepare(_PROGRESS, schema)
        self._advance = prepare(_ADVANCE, schema)
        self._was_changed = prepare(_WAS_CHANGED, schema)

    def progress(self, operation: UUID) -> Progress:
        """Return how far an operation has come."""
        [row] = self._run(self._progress, {"id": operation})
        return Progress(*row)

    def advance(self, operation: UUID, before: Progress, after: Progress) -> bool:
        """Replace ``before`` by ``after``; False if another attempt has gone on since."""
        values: dict[str, Any] = {"id": operation, "before": before.cursor, **after._asdict()}
        values.pop("changed")
        return bool(self._run(self._advance, values))

    def was_changed(self, operation: UUID, job_id: UUID) -> bool:
        """Return whether the operation has changed a job."""
        return bool(self._run(self._was_changed, {"operation": operation, "job_id": job_id}))
