"""Run an operation on many jobs, page by page, so that each job is changed once whatever dies meanwhile.

A change and its line in the audit, which names the operation, are one statement. So an attempt that takes over from one
that died in the middle of a page knows which jobs of the page were changed.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.app.commands.callers import Caller
from jobs.core.bulk import BULK_HANDLER, BulkAction, BulkArguments, applicable
from jobs.core.errors import Conflict, InvalidInput, JobNotFound
from jobs.core.handlers.context import JobContext
from jobs.core.lifecycle.handler_outcomes import Snooze
from jobs.core.ports.operations import Progress
from jobs.core.queries import JobQuery

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from jobs.app.commands.service import JobService
    from jobs.core.lifecycle.job import Job
    from jobs.core.ports.operations import OperationStore

_PAGE = 100
_SLICE_SECONDS = 30.0
_AT_ONCE = timedelta(milliseconds=1)


class BulkWork:
    """What the framework's own handler of operations needs. Lives as long as the process."""

    def __init__(
        self, service: JobService, store: OperationStore, *, page: int = _PAGE, slice_seconds: float = _SLICE_SECONDS
    ) -> None:
        self._service = service
        self._store = store
        self._page = page
        self._slice_seconds = slice_seconds
        self._actions: dict[BulkAction, Callable[..., Job]] = {
            BulkAction.CANCEL: service.cancel,
            BulkAction.PAUSE: service.pause,
            BulkAction.RESUME: service.resume,
            BulkAction.RUN: service.run_now,
            BulkAction.RETRY: service.retry,
        }

    def run(self, arguments: BulkArguments, ctx: JobContext) -> dict[str, int] | None:
        """Go on where the last attempt stopped, for half a minute. Returns the result at the end, None before it."""
        until = time.monotonic() + self._slice_seconds
        progress = self._store.progress(ctx.job_id)
        while not progress.finished:
            ctx.progress(_fraction(arguments, progress), f"{progress.done} jobs")
            if time.monotonic() > until or ctx.shutting_down:
                return None
            after = self._one_page(arguments, ctx, progress)
            if not self._store.advance(ctx.job_id, progress, after):
                return None  # another attempt goes on with it
            progress = after
        exact = self._store.progress(ctx.job_id)
        return {"changed": exact.changed, "unchanged": exact.unchanged, "refused": exact.refused}

    def _one_page(self, arguments: BulkArguments, ctx: JobContext, progress: Progress) -> Progress:
        wanted = applicable(arguments.action, arguments.filter, arguments.started_at)
        if wanted is None:
            return progress._replace(finished=True)
        page = self._service.find(JobQuery(**dict(wanted), payloads=False, limit=self._page, cursor=progress.cursor))
        caller = Caller(arguments.actor, reason=arguments.reason, operation=ctx.job_id)
        counts = Counter(
            self._change(arguments.action, job.id, ctx.job_id, caller)
            for job in page.jobs
            if job.handler_name != BULK_HANDLER
        )
        return Progress(
            progress.changed + counts["changed"],
            progress.unchanged + counts["unchanged"],
            progress.refused + counts["refused"],
            page.cursor or progress.cursor,
            finished=page.cursor is None,
        )

    def _change(self, action: BulkAction, job_id: UUID, operation: UUID, caller: Caller) -> str:
        """Change a job, and return what became of it."""
        try:
            self._actions[action](job_id, caller=caller)
        except (Conflict, InvalidInput):
            return "refused"
        except JobNotFound:  # it has ended and was pruned
            return "unchanged"
        return "changed" if self._store.was_changed(operation, job_id) else "unchanged"


def _fraction(arguments: BulkArguments, progress: Progress) -> float:
    return min(progress.done / arguments.matched, 1.0) if arguments.matched and not arguments.more else 0.0


def run_bulk(args: BulkArguments, ctx: JobContext, work: BulkWork) -> None:
    """Run an operation on many jobs."""
    result = work.run(args, ctx)
    if result is None:
        raise Snooze(_AT_ONCE)
    ctx.result = result
