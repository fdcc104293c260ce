"""Which id and name a follow-up has: made of its parent's run, so that every execution of that run arrives at the same.

The ids are of UUID version 8, which is for what an application makes up itself (RFC 9562, section 5.8) and which no
caller may supply: so nobody can take the id of a follow-up that is yet to come.
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
    """Return ``command`` with the id and the name that it has as a follow-up of ``context``'s run.

    One without a name is called after the run and its position among the run's unnamed ones, and is known by that.
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
    """Make the id of a run's follow-up."""
    digest = sha256(b"jobs.follow-up/" + parent_id.bytes + f"/{run}/{which}".encode("utf-8", "surrogatepass")).digest()
    return UUID(int=int.from_bytes(digest[:16], "big") & _FREE_BITS | _VERSION_BITS | _VARIANT_BITS)


def refuse_follow_up_id(job_id: UUID) -> None:
    """Raise ``InvalidInput`` for an id of the kind that follow-ups have."""
    if job_id.version == _VERSION:
        raise InvalidInput.at("/id", "ids of UUID version 8 are made by the framework; send one of version 4 or 7")
