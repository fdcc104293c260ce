"""Run claimed attempts by the real pipeline, and see from outside how they went."""

from __future__ import annotations

import time
from contextvars import Context
from typing import TYPE_CHECKING

from jobs.core.lifecycle.status import AttemptOutcome
from jobs.core.strict_json import read_json
from jobs.testing.ran import RanAttempt

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.app.runtime import Runtime
    from jobs.core.handlers.context import JobContext
    from jobs.core.lifecycle.job import ClaimedRun
    from jobs.testing.backing import Backing, EndedAttempt

_OUTERMOST = -1_000_000
_TIMEOUT_IS_TOLD_WITHIN = 5.0


class Execution:
    """Runs attempts in the calling thread, one at a time."""

    def __init__(self, runtime: Runtime, backing: Backing) -> None:
        self._runtime = runtime
        self._backing = backing
        self._context: JobContext | None = None
        self._exception: BaseException | None = None
        self._cancelled = False
        runtime.registry.add_middleware(self._watch, order=_OUTERMOST)

    def _watch(self, ctx: JobContext, call_next: Callable[[], None]) -> None:
        """Keep the context, and what the attempt raises."""
        self._context = ctx
        if self._cancelled:
            self._runtime.service.cancel(ctx.job_id)
            ctx.heartbeat()
        try:
            call_next()
        except BaseException as error:
            self._exception = error
            raise

    def execute(self, run: ClaimedRun, *, lost: bool = False, cancelled: bool = False) -> RanAttempt:
        """Execute a claimed run, and record how it went unless its worker is to be ``lost`` before."""
        self._context, self._exception, self._cancelled = None, None, cancelled
        before = self._backing.job_ids()
        outcome = Context().run(self._runtime.pipeline.execute, run)  # as empty as a worker's thread
        if outcome is not None and not lost:
            self._runtime.pipeline.record([outcome])
        line = self._line_of(run, told_elsewhere=outcome is None)
        jobs = self._backing.jobs()
        context = self._context
        return RanAttempt(
            job=self._runtime.service.get(run.job_id),
            run=run.run,
            attempt=run.attempt,
            outcome=AttemptOutcome.LOST if line is None else AttemptOutcome(line.outcome),
            error=None if line is None else line.error,
            exception=self._exception,
            result=read_json(line.result) if line is not None and line.result is not None else None,
            progress=None if context is None else context.fraction,
            progress_message=None if context is None else context.message,
            enqueued=tuple(job for job in jobs if job.id not in before),
        )

    def _line_of(self, run: ClaimedRun, *, told_elsewhere: bool) -> EndedAttempt | None:
        """Find the attempt in the history; another thread writes one that has timed out, a moment later."""
        give_up_at = time.monotonic() + (_TIMEOUT_IS_TOLD_WITHIN if told_elsewhere else 0)
        while (line := self._backing.ended(run)) is None and time.monotonic() < give_up_at:
            time.sleep(0.005)
        return line
