"""Who may replace a job that holds the name of a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.core.errors import JobNameTaken, NotAllowed
from jobs.core.lifecycle.status import JobStatus

if TYPE_CHECKING:
    from jobs.app.commands.callers import Caller
    from jobs.core.lifecycle.job import Job


def refuse_to_replace(holder: Job, caller: Caller) -> None:
    """Raise if ``caller`` may not replace ``holder``, which cancels it.

    Raises ``JobNameTaken`` for a running job. Raises ``NotAllowed`` for a job that someone else enqueued, unless the
    caller's roles allow deleting it: the role for enqueuing allows replacing one's own jobs only.
    """
    if holder.status is JobStatus.RUNNING:
        raise JobNameTaken(holder.job_name, holder.id, running=True)
    if not caller.may_manage and (caller.actor is None or holder.created_by != caller.actor):
        raise NotAllowed(
            f"on_conflict replace would cancel job {holder.id}, which was not enqueued by you; that needs the role "
            "Jobs.Manage, as deleting it does. Have it assigned to you, use another job_name, or send return_existing"
        )
