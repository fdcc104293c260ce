"""Pages: bounded in rows and in bytes. A cursor, an opaque text, continues after a page's last row."""

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
"""A page that reaches this size ends there, with a cursor. It has at least one row, however large."""
ROWS_AT_ONCE = 50
"""Rows are read in steps of this size, so that few rows that do not fit the page are in memory."""

_LONGEST_REVISION = 18  # so many digits fit a bigint, whatever they are

Row = TypeVar("Row")


def cursor_of(job: Job) -> str:
    """Return the cursor after ``job`` in the order of pages: newest first, of equals the largest id first."""
    return encode_cursor(job.created_at, job.id)


def position_of(cursor: str) -> tuple[datetime, UUID]:
    """Return the position of a cursor of ``cursor_of``; raises ``InvalidInput`` for any other text."""
    moments, key = decode_cursor(cursor, 1)
    return moments[0], key


def encode_cursor(*parts: datetime | UUID) -> str:
    """Return the cursor of a position: instants, and an id that distinguishes rows of the same instants."""
    texts = [part.isoformat() if isinstance(part, datetime) else str(part) for part in parts]
    return base64.urlsafe_b64encode(" ".join(texts).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, moments: int) -> tuple[list[datetime], UUID]:
    """Return the ``moments`` instants and the id of a cursor; raises ``InvalidInput`` for any other text."""
    try:
        *texts, key = _text_of(cursor).split(" ")
        places = zip(texts, range(moments), strict=True)
        return [_in_utc(datetime.fromisoformat(text)) for text, _ in places], UUID(key)
    except (ValueError, OverflowError):
        raise _no_cursor() from None


def encode_change(at: datetime, job_id: UUID, revision: int) -> str:
    """Return the cursor of a place in the audit."""
    return base64.urlsafe_b64encode(f"{at.isoformat()} {revision} {job_id}".encode()).decode().rstrip("=")


def decode_change(cursor: str) -> tuple[datetime, UUID, int]:
    """Return the place of a cursor of ``encode_change``; raises ``InvalidInput`` for any other text."""
    try:
        at, revision, job_id = _text_of(cursor).split(" ")
        place = _in_utc(datetime.fromisoformat(at)), UUID(job_id), int(revision[:_LONGEST_REVISION])
    except (ValueError, OverflowError):
        raise _no_cursor() from None
    return place


def _text_of(cursor: str) -> str:
    return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")


def _no_cursor() -> InvalidInput:
    return InvalidInput.at("/cursor", "not a cursor that this API gave; take it from a page's next link")


def _in_utc(moment: datetime) -> datetime:
    """Return an instant in UTC: PostgreSQL refuses offsets of 16 hours or more, and offsets with seconds."""
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def fill_page(
    limit: int, read: Callable[[Row | None, int], Sequence[Row]], size_of: Callable[[Row], int]
) -> tuple[list[Row], bool]:
    """Read rows until ``limit`` or the page's size is reached; returns them, and whether there are more.

    ``read(after, count)`` returns up to ``count`` rows after a row, or the first ones for None. ``size_of`` returns a
    row's size in bytes.
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
    """Return the total size of texts in UTF-8 bytes."""
    return sum(len(text) if text.isascii() else len(text.encode()) for text in texts if text)
