"""Reading the audit. It is written along with each change, by ``JobStore``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from jobs.core.lifecycle.audit import AuditEntry
from jobs.core.queries import AuditQuery


@dataclass(frozen=True, slots=True)
class AuditPage:
    """One page of changes, newest first, and the cursor of the next page, None at the end."""

    entries: list[AuditEntry]
    cursor: str | None


class AuditLog(Protocol):
    """The changes that were made to jobs that still exist."""

    def find(self, query: AuditQuery) -> AuditPage:
        """Return a page of changes, newest first; it ends early once it is large in bytes.

        Raises ``InvalidInput`` for an invalid cursor.
        """
