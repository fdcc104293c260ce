"""Execute one attempt: read the arguments, make the services, call the handler, and return its result."""

from __future__ import annotations

import asyncio
import sys
from contextvars import copy_context
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from jobs.app.execution.attempt.log import log_too_late
from jobs.app.execution.attempt.middleware import through
from jobs.app.execution.attempt.result import SUCCEEDED, refuse_returned, result_of
from jobs.app.execution.services.event_loop import attempt_on_loop
from jobs.core.diagnostics.error_text import stack_of
from jobs.core.errors import InvalidInput
from jobs.core.handlers.arguments.versions import NewerPayload
from jobs.core.handlers.context import JobContext
from jobs.core.handlers.enqueuing.open_jobs import within_attempt
from jobs.core.lifecycle.handler_outcomes import AttemptTimedOut
from jobs.core.lifecycle.job import ClaimedRun, Lease, RunResult
from jobs.core.lifecycle.status import AttemptOutcome
from jobs.core.lifecycle.transitions import UNKNOWN_HANDLER_DELAY
from jobs.core.strict_json import read_json
from jobs.core.transactions.unit_of_work import outside_units_of_work

if TYPE_CHECKING:
    from pydantic import BaseModel

    from jobs.app.execution.attempt.backend import AttemptBackend
    from jobs.app.execution.leases.keeper import LeaseKeeper, OnTimeout
    from jobs.app.execution.services.injection import Injector
    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.handlers.specs import HandlerSpec

_ASYNC_CLEAN_UP_SECONDS = 5.0


class Executor:
    """Calls handlers. Lives as long as the process; safe between threads."""

    def __init__(
        self,
        registry: HandlerRegistry,
        injector: Injector,
        leases: LeaseKeeper,
        backend: AttemptBackend,
        default_timeout: timedelta | None,
    ) -> None:
        self._registry = registry
        self._injector = injector
        self._leases = leases
        self._backend = backend
        self._default_timeout = None if default_timeout is None else default_timeout.total_seconds()

    def stack_in(self, thread: int) -> str | None:
        """Return where the handler that ``thread`` executes is now; None if that cannot be seen."""
        frame = sys._current_frames().get(thread)  # noqa: SLF001  Python has no other way to look
        stack = None if frame is None else stack_of(frame, within=__file__)
        return None if stack is None else f"it went on at its time-out, here (most recent call last):\n{stack}"

    def timeout_of(self, run: ClaimedRun) -> float | None:
        """Return the seconds that an attempt of ``run`` may take; None means without end."""
        return run.timeout_seconds or self._default_timeout

    def attempt(self, run: ClaimedRun, started_at: datetime, on_timeout: OnTimeout) -> RunResult:
        """Execute ``run`` once. Whatever the handler raises becomes a result; nothing is raised."""
        spec = self._registry.get(run.handler_name)
        if spec is None:
            return too_early(f"this version of the app has no handler {run.handler_name!r}")
        try:
            arguments = spec.read_arguments(run.payload, run.payload_version)
        except NewerPayload as error:
            return too_early(f"{spec.name} is of an older version here: {error}")
        except InvalidInput as error:
            return RunResult(AttemptOutcome.INVALID_PAYLOAD, f"the payload does not fit {spec.name}: {error}")
        timeout = self.timeout_of(run)
        context = self._context(run, started_at, timeout)
        # An async handler is cancelled by its own loop, and gets a moment to clean up before it is fenced off.
        fence_after = timeout + _ASYNC_CLEAN_UP_SECONDS if timeout is not None and spec.is_async else timeout
        if not self._leases.start(run, context, fence_after, on_timeout):
            return RunResult(AttemptOutcome.RELEASED)
        result = self._result(spec, run, arguments, context, timeout)
        if context.progress_pending:
            self._backend.write_progress(context)
        if context.trace_id is not None or context.result_text is not None:
            kept = context.result_text if result.outcome is AttemptOutcome.SUCCEEDED else None
            return result._replace(result=kept, trace_id=context.trace_id)
        return result

    def close(self) -> None:
        """Stop the threads that serve running attempts."""
        self._backend.close()

    def _context(self, run: ClaimedRun, started_at: datetime, timeout: float | None) -> JobContext:
        context = JobContext(
            job_id=run.job_id,
            job_name=run.job_name,
            handler_name=run.handler_name,
            run=run.run,
            attempt=run.attempt,
            scheduled_for=run.scheduled_for,
            metadata=read_json(run.metadata) if run.metadata != "{}" else {},
            deadline=None if timeout is None else started_at + timedelta(seconds=timeout),
            trace_parent=run.trace_parent,
            lease=Lease(run.job_id, run.token),
            backend=self._backend,
        )
        self._backend.provide(context, run, started_at)
        return context

    def _result(
        self, spec: HandlerSpec, run: ClaimedRun, arguments: BaseModel, context: JobContext, timeout: float | None
    ) -> RunResult:
        try:
            handler = partial(self._call, spec, arguments, context, timeout)
            call = through(self._registry.middleware, context, handler)
            copy_context().run(outside_units_of_work, call)  # what it sets is not there in the thread's next attempt
        except BaseException as error:  # noqa: BLE001  whatever a handler raises must end in an outcome
            if not context.completed:
                return result_of(error, spec)
            log_too_late(run, error)
        return SUCCEEDED

    def _call(self, spec: HandlerSpec, arguments: BaseModel, context: JobContext, timeout: float | None) -> None:
        within_attempt.set(True)
        given: dict[str, Any] = {spec.arguments_parameter: arguments}
        if spec.context_parameter is not None:
            given[spec.context_parameter] = context
        if not spec.services and spec.constructor_services is None and not spec.is_async:
            if (returned := spec.target(**given)) is not None:
                refuse_returned(returned, spec)
            return
        loop = self._injector.loops.pick() if spec.is_async else None
        if loop is not None:
            attempt_on_loop.set(context)
        with self._injector.provide(spec, loop) as (services, constructor_services):
            given |= services
            function = spec.target
            if spec.constructor_services is not None:
                function = function(**constructor_services).handle
            returned = function(**given) if loop is None else loop.run(_with_timeout(function(**given), timeout))
            if returned is not None:
                refuse_returned(returned, spec)


async def _with_timeout(work: Any, seconds: float | None) -> Any:
    try:
        async with asyncio.timeout(seconds) as limit:
            return await work
    except TimeoutError as error:
        if limit.expired():
            raise AttemptTimedOut from error
        raise  # from something that the handler called, and so its own failure


def too_early(why: str) -> RunResult:
    """Return the result of a run that only a newer release can execute: the job waits for that release."""
    seconds = UNKNOWN_HANDLER_DELAY.total_seconds()
    then = f"the job is tried again every {seconds:.0f} s until a release that can is deployed, or the job is deleted"
    return RunResult(AttemptOutcome.UNKNOWN_HANDLER, f"{why}; {then}", after_seconds=seconds)
