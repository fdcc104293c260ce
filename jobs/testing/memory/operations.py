"""The progress of operations on many jobs, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.core.ports.operations import Progress

if TYPE_CHECKING:
    from uuid import UUID

    from jobs.testing.memory.database import MemoryDatabase


class MemoryOperations:
    """The ``OperationStore`` port in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def progress(self, operation: UUID) -> Progress:
        """Return how far an operation has come."""
        with self._database.statement() as transaction:
            changed = sum(row.operation == operation for row in transaction.all(self._database.audit))
            known = transaction.get(self._database.operations, operation) or Progress()
        return known._replace(changed=changed)

    def advance(self, operation: UUID, before: Progress, after: Progress) -> bool:
        """Replace ``before`` by ``after``; False if another attempt has gone on since."""
        with self._database.statement() as transaction:
            known = transaction.get(self._database.operations, operation)
            if known is not None and (known.finished or known.cursor != before.cursor):
                return False
            transaction.put(self._database.operations, operation, after)
        return True

    def was_changed(self, operation: UUID, job_id: UUID) -> bool:
        """Return whether the operation has changed a job."""
        with self._database.statement() as transaction:
            rows = transaction.all(self._database.audit)
            return any(row.operation == operation and row.job_id == job_id for row in rows)
