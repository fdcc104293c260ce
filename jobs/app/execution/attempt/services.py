"""What stands behind a handler's context: its progress, its lease, and the follow-ups that it enqueues."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from jobs.core.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from jobs.app.commands.follow_ups import FollowUps
    from jobs.app.execution.attempt.cancellations import CancellationWatch
    from jobs.core.commands import EnqueueJob
    from jobs.core.handlers.context import JobContext
    from jobs.core.lifecycle.job import Lease
    from jobs.core.ports.runs import RunStore


_logger = logging.getLogger("jobs.handler")
_SECONDS_BETWEEN_WRITES = 1.0


class AttemptBench:
    """The ``ContextBackend`` of every attempt in this process; lives as long as the process."""

    def __init__(
        self, runs: RunStore, follow_ups: FollowUps, beat: Callable[[Lease], None], watch: CancellationWatch
    ) -> None:
        self._runs = runs
        self._follow_ups = follow_ups
        self._beat = beat
        self._watch = watch

    def show_progress(self, context: JobContext) -> None:
        """Write the context's progress, unless it was written a moment ago: then a heartbeat or the end does."""
        context.progress_pending = True
        if time.monotonic() - context.progress_written_at >= _SECONDS_BETWEEN_WRITES:
            self.write_progress(context)

    def write_progress(self, context: JobContext) -> None:
        """Write what is pending. Progress is for people: while the database is away the handler goes on without."""
        if not context.progress_pending or context.lease is None or context.fraction is None:
            return
        context.progress_pending = False
        context.progress_written_at = time.monotonic()
        try:
            self._runs.report_progress(context.lease, context.fraction, context.message)
        except StoreUnavailable as error:
            _logger.debug("progress of job %s not written: %s", context.job_id, error)
        except Exception:
            _logger.exception("progress of job %s not written", context.job_id)

    def heartbeat(self, context: JobContext) -> None:
        """Extend the context's lease, and have the context told what the heartbeat finds."""
        if context.lease is not None:
            self._beat(context.lease)

    def watch(self, context: JobContext) -> None:
        """Look out for a request to cancel the context's job."""
        self._watch.add(context)

    def enqueue(self, command: EnqueueJob, context: JobContext) -> UUID:
        """Enqueue a follow-up under an id that every execution of this run arrives at."""
        return self._follow_ups.enqueue(command, context)
