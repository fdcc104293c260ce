"""How far operations on many jobs have come."""

from __future__ import annotations

from typing import NamedTuple, Protocol
from uuid import UUID


class Progress(NamedTuple):
    """The jobs that an operation has dealt with, and the cursor after the last whole page; None at the beginning.

    ``changed`` is counted in the audit, so it is exact whatever died meanwhile. ``unchanged`` are jobs that were no
    longer in a state that the action changes; ``refused`` those that it may not change, such as one whose name another
    job has by now.
    """

    changed: int = 0
    unchanged: int = 0
    refused: int = 0
    cursor: str | None = None
    finished: bool = False

    @property
    def done(self) -> int:
        """How many jobs were dealt with."""
        return self.changed + self.unchanged + self.refused


class OperationStore(Protocol):
    """The progress of operations, by the id of the job that runs one. It is pruned with that job."""

    def progress(self, operation: UUID) -> Progress:
        """Return how far an operation has come."""

    def advance(self, operation: UUID, before: Progress, after: Progress) -> bool:
        """Replace ``before`` by ``after``; False, and nothing written, if another attempt has gone on since."""

    def was_changed(self, operation: UUID, job_id: UUID) -> bool:
        """Return whether the operation has changed a job, by the audit."""
