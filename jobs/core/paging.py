"""Where a page of jobs ends, as a text that callers hand back to have the next one."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from jobs.core.errors import InvalidInput

if TYPE_CHECKING:
    from jobs.core.job import Job


def cursor_of(job: Job) -> str:
    """Write the place of a page's last job in the order of pages: newest first, of equals the largest id first."""
    return base64.urlsafe_b64encode(f"{job.created_at.isoformat()} {job.id}".encode()).decode().rstrip("=")


def place_of(cursor: str) -> tuple[datetime, UUID]:
    """Read a cursor back; raises ``InvalidInput`` for one that this app did not give."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        moment, _, job_id = text.partition(" ")
        after = datetime.fromisoformat(moment)
        # In UTC, for PostgreSQL takes no offset of more than 16 hours, and none with seconds in it.
        return after.astimezone(UTC) if after.tzinfo else after.replace(tzinfo=UTC), UUID(job_id)
    except (ValueError, OverflowError):
        raise InvalidInput.at("/cursor", "not a cursor that this API gave; take it from a page's next link") from None
