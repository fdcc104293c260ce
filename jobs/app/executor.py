"""Execute one attempt: read the arguments, make the services, call the handler, and say how it ended."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from jobs.core.context import JobContext
from jobs.core.errors import InvalidInput
from jobs.core.job import ClaimedRun, RunResult
from jobs.core.signals import Cancel, Discard, Retry, ShutdownRequested, Snooze
from jobs.core.status import AttemptOutcome
from jobs.core.verdict import UNKNOWN_HANDLER_DELAY

if TYPE_CHECKING:
    from pydantic import BaseModel

    from jobs.app.injection import Injector
    from jobs.app.leases import LeaseKeeper
    from jobs.core.registry import HandlerRegistry, HandlerSpec

_MAX_ERROR = 8_000
_ASYNC_CLEAN_UP_SECONDS = 5.0
SUCCEEDED = RunResult(AttemptOutcome.SUCCEEDED)


class AttemptTimedOut(Exception):
    """An async handler was cancelled at its deadline."""


class Executor:
    """Calls handlers; lives as long as the process, and may be called from many threads."""

    def __init__(
        self, registry: HandlerRegistry, injector: Injector, leases: LeaseKeeper, default_timeout: timedelta | None
    ) -> None:
        self._registry = registry
        self._injector = injector
        self._leases = leases
        self._default_timeout = None if default_timeout is None else default_timeout.total_seconds()

    def timeout_of(self, run: ClaimedRun) -> float | None:
        """Give the seconds that an attempt of ``run`` may take; None is without end."""
        return run.timeout_seconds or self._default_timeout

    def attempt(self, run: ClaimedRun, started_at: datetime) -> RunResult:
        """Execute ``run`` once. Whatever the handler raises becomes a result; nothing is raised."""
        spec = self._registry.get(run.handler_name)
        if spec is None:
            return _unknown_handler(run)
        try:
            arguments = spec.read_arguments(run.payload)
        except InvalidInput as error:
            return RunResult(AttemptOutcome.INVALID_PAYLOAD, f"the payload does not fit {spec.name}: {error}")
        timeout = self.timeout_of(run)
        context = JobContext(
            job_id=run.job_id,
            job_name=run.job_name,
            handler_name=run.handler_name,
            run=run.run,
            attempt=run.attempt,
            scheduled_for=run.scheduled_for,
            metadata=json.loads(run.metadata) if run.metadata != "{}" else {},
            deadline=None if timeout is None else started_at + timedelta(seconds=timeout),
            trace_parent=run.trace_parent,
        )
        # An async handler is cancelled by its own loop, and gets a moment to clean up before it is fenced off.
        fence_after = timeout + _ASYNC_CLEAN_UP_SECONDS if timeout is not None and spec.is_async else timeout
        if not self._leases.begin(run, context, fence_after):
            return RunResult(AttemptOutcome.RELEASED)
        try:
            self._call(spec, arguments, context, timeout)
        except BaseException as error:  # noqa: BLE001  whatever a handler raises must end in an outcome
            return _result_of(error, spec)
        return SUCCEEDED

    def _call(self, spec: HandlerSpec, arguments: BaseModel, context: JobContext, timeout: float | None) -> None:
        given: dict[str, Any] = {spec.arguments_parameter: arguments}
        if spec.context_parameter is not None:
            given[spec.context_parameter] = context
        if not spec.services and spec.constructor_services is None and not spec.is_async:
            spec.target(**given)
            return
        with self._injector.provide(spec) as (services, constructor_services):
            given |= services
            function = spec.target
            if spec.constructor_services is not None:
                function = function(**constructor_services).handle
            if spec.is_async:
                asyncio.run(_within(function(**given), timeout))
            else:
                function(**given)


async def _within(work: Any, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds) as limit:
            await work
    except TimeoutError as error:
        if limit.expired():
            raise AttemptTimedOut from error
        raise  # of something that the handler called, and so its own failure


def _unknown_handler(run: ClaimedRun) -> RunResult:
    why = (
        f"this version of the app has no handler {run.handler_name!r}; the job is tried again every "
        f"{UNKNOWN_HANDLER_DELAY.total_seconds():.0f} s until one that has it is deployed, or the job is deleted"
    )
    return RunResult(AttemptOutcome.UNKNOWN_HANDLER, why, after_seconds=UNKNOWN_HANDLER_DELAY.total_seconds())


def _result_of(error: BaseException, spec: HandlerSpec) -> RunResult:  # noqa: PLR0911  one a kind
    match error:
        case Retry():
            return RunResult(AttemptOutcome.FAILED, error.reason, retry=True, after_seconds=error.after_seconds)
        case Snooze():
            return RunResult(AttemptOutcome.SNOOZED, error.reason, after_seconds=error.after_seconds)
        case Discard():
            return RunResult(AttemptOutcome.DISCARDED, error.reason)
        case Cancel():
            return RunResult(AttemptOutcome.CANCELLED, error.reason)
        case ShutdownRequested():
            return RunResult(AttemptOutcome.RELEASED, error.args[0])
        case AttemptTimedOut():
            return RunResult(AttemptOutcome.TIMED_OUT, "timed out", retry=True)
    return RunResult(AttemptOutcome.FAILED, describe_error(error), retry=spec.retry.retries(error))


def describe_error(error: BaseException) -> str:
    """Say what a handler raised: its type, its message, and the line of the handler that raised it, within bounds."""
    place = ""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    if frame is not None:
        code = frame.tb_frame.f_code
        place = f" (in {code.co_name}, {code.co_filename.rsplit('/', 1)[-1]}:{frame.tb_lineno})"
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001  an exception whose own text fails must not hide that the handler failed
        text = "(its message could not be read)"
    return f"{type(error).__name__}: {text}"[:_MAX_ERROR] + place
