"""The id and name of a follow-up, derived from its parent's run, so that every execution of that run computes the same.

The ids are UUIDs of version 8, which is for an application's own schemes (RFC 9562, section 5.8). Callers may not
supply ids of that version, so no caller can take the id of a future follow-up.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID

from jobs.core.errors import InvalidInput

if TYPE_CHECKING:
    from jobs.core.commands import EnqueueJob
    from jobs.core.handlers.context import JobContext

_VERSION = 8
_VERSION_BITS = _VERSION << 76
_VARIANT_BITS = 0b10 << 62
_FREE_BITS = ~(0xF << 76 | 0b11 << 62)


def identified(command: EnqueueJob, context: JobContext) -> EnqueueJob:
    """Return ``command`` with its id and name as a follow-up of ``context``'s run.

    A command without a name is named after the run and its position among the run's unnamed follow-ups.
    """
    if command.id is not None:
        refuse_follow_up_id(command.id)
    if command.job_name is not None:
        own = follow_up_id(context.job_id, context.run, f"name:{command.job_name}")
        return command if command.id is not None else command.model_copy(update={"id": own})
    position = context.next_unnamed()
    own = command.id or follow_up_id(context.job_id, context.run, f"position:{position}")
    return command.model_copy(update={"id": own, "job_name": f"{context.idempotency_key}/{position}"})


def follow_up_id(parent_id: UUID, run: int, which: str) -> UUID:
    """Return the id of a run's follow-up; ``which`` identifies it among the run's follow-ups."""
    digest = sha256(b"jobs.follow-up/" + parent_id.bytes + f"/{run}/{which}".encode("utf-8", "surrogatepass")).digest()
    return UUID(int=int.from_bytes(digest[:16], "big") & _FREE_BITS | _VERSION_BITS | _VARIANT_BITS)


def refuse_follow_up_id(job_id: UUID) -> None:
    """Raise ``InvalidInput`` for an id of version 8, which is reserved for follow-ups."""
    if job_id.version == _VERSION:
        raise InvalidInput.at("/id", "ids of UUID version 8 are made by the framework; send one of version 4 or 7")
