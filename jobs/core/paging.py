"""Pages: bounded in rows and in bytes, each ending at a place that callers hand back as a text to have the next one."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from jobs.core.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobs.core.lifecycle.job import Job

MAX_PAGE_BYTES = 1024 * 1024
"""A page that reaches this size ends there, with a cursor. One row is always on it, however large."""
ROWS_AT_ONCE = 50
"""Rows are read in as many steps as this takes, so that rows that a page has no room for are few in memory."""

Row = TypeVar("Row")


def cursor_of(job: Job) -> str:
    """Write the place of a page's last job in the order of pages: newest first, of equals the largest id first."""
    return written_place(job.created_at, job.id)


def place_of(cursor: str) -> tuple[datetime, UUID]:
    """Read a cursor back; raises ``InvalidInput`` for one that this app did not give."""
    moments, key = read_place(cursor, 1)
    return moments[0], key


def written_place(*parts: datetime | UUID) -> str:
    """Write a place in an order: instants, and an id that tells rows of the same instants apart."""
    texts = [part.isoformat() if isinstance(part, datetime) else str(part) for part in parts]
    return base64.urlsafe_b64encode(" ".join(texts).encode()).decode().rstrip("=")


def read_place(cursor: str, moments: int) -> tuple[list[datetime], UUID]:
    """Read back a place of so many instants; raises ``InvalidInput`` for one that this app did not give."""
    try:
        *texts, key = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii").split(" ")
        places = zip(texts, range(moments), strict=True)
        return [_in_utc(datetime.fromisoformat(text)) for text, _ in places], UUID(key)
    except (ValueError, OverflowError):
        raise InvalidInput.at("/cursor", "not a cursor that this API gave; take it from a page's next link") from None


def _in_utc(moment: datetime) -> datetime:
    """Return an instant in UTC: PostgreSQL takes no offset of 16 hours or more, and none with seconds in it."""
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def fill_page(
    limit: int, read: Callable[[Row | None, int], Sequence[Row]], size_of: Callable[[Row], int]
) -> tuple[list[Row], bool]:
    """Read rows until ``limit`` or the page's size is reached; returns them, and whether there are more.

    ``read`` returns so many rows after a row, None for the first. ``size_of`` returns a row's size in bytes.
    """
    rows: list[Row] = []
    size = 0
    while True:
        wanted = min(limit - len(rows), ROWS_AT_ONCE)
        found = read(rows[-1] if rows else None, wanted + 1)
        for row in found[:wanted]:
            size += size_of(row)
            if rows and size > MAX_PAGE_BYTES:
                return rows, True
            rows.append(row)
        if len(found) <= wanted or len(rows) >= limit:
            return rows, len(found) > wanted


def size_of_texts(*texts: str | None) -> int:
    """Return the size of texts in bytes, as they are sent."""
    return sum(len(text) if text.isascii() else len(text.encode()) for text in texts if text)
