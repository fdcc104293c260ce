"""Write the progress of attempts to their jobs, so that people see it while the handlers run."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from jobs.core.errors import StoreUnavailable

if TYPE_CHECKING:
    from jobs.core.handlers.context import JobContext
    from jobs.core.ports.runs import RunStore

_logger = logging.getLogger("jobs.handler")
_SECONDS_BETWEEN_WRITES = 1.0


class ProgressWriter:
    """Writes progress at most once a second per attempt. Lives as long as the process; safe between threads."""

    def __init__(self, runs: RunStore) -> None:
        self._runs = runs

    def update(self, context: JobContext) -> None:
        """Write the context's progress, or leave it to the next heartbeat if it was written within the last second."""
        context.progress_pending = True
        if time.monotonic() - context.progress_written_at >= _SECONDS_BETWEEN_WRITES:
            self.write(context)

    def write(self, context: JobContext) -> None:
        """Write what is pending. Never raises: progress is for people, and no reason to fail an attempt."""
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
