"""Run what is due: claim → prepare → call the handler → decide → record → set the next alarm.

No transaction and no connection is held while a handler runs. Every outcome is fenced by the token of its claim, so an
attempt that outlived its lease changes nothing, however late it comes back.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from jobs.app.leases import LeaseKeeper
from jobs.core.context import JobContext
from jobs.core.errors import InvalidInput, StoreUnavailable
from jobs.core.identifiers import AlarmName
from jobs.core.job import ClaimedRun, RecordedOutcome, RunResult
from jobs.core.ports import Alarm
from jobs.core.retry import RetryPolicy
from jobs.core.signals import Cancel, Discard, Retry, ShutdownRequested, Snooze
from jobs.core.status import AttemptOutcome
from jobs.core.verdict import UNKNOWN_HANDLER_DELAY, decide

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from pydantic import BaseModel

    from jobs.app.alarms import Alarms
    from jobs.app.injection import Injector
    from jobs.core.ports import Clock, RunStore
    from jobs.core.registry import HandlerRegistry, HandlerSpec

_logger = logging.getLogger("jobs.dispatcher")
_MAX_ERROR = 8_000
_DEFAULT_POLICY = RetryPolicy()


class Ring(StrEnum):
    """What an alarm led to."""

    RAN = "ran"
    NOTHING_TO_DO = "nothing-to-do"


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """Which process this is, for people, and for how long a claim holds without a heartbeat."""

    name: str
    lease: timedelta
    default_timeout: timedelta | None = None


class Dispatcher:
    """Executes runs; lives as long as the process, and may be called from many threads."""

    def __init__(
        self,
        runs: RunStore,
        registry: HandlerRegistry,
        injector: Injector,
        alarms: Alarms,
        clock: Clock,
        random: Random,
        identity: WorkerIdentity,
    ) -> None:
        self._runs = runs
        self._registry = registry
        self._injector = injector
        self._alarms = alarms
        self._clock = clock
        self._random = random
        self._identity = identity
        self._leases = LeaseKeeper(runs, identity.lease, self._record_timeout)

    def ring(self, name: AlarmName) -> Ring:
        """Answer an alarm: run the job it names if it is due, unpaused and of that generation; else do nothing.

        Raises ``StoreUnavailable`` when the database is away; the alarm should then ring again.
        """
        run = self._runs.claim(name, worker=self._identity.name, lease=self._identity.lease)
        if run is None:
            return Ring.NOTHING_TO_DO
        self._leases.hold([run])
        outcome = self.execute(run)
        if outcome is not None:
            self.record([outcome])
        return Ring.RAN

    def claim_due(self, limit: int) -> list[ClaimedRun]:
        """Claim up to ``limit`` due runs; each must be given to ``execute``."""
        runs = self._runs.claim_due(limit, worker=self._identity.name, lease=self._identity.lease)
        if runs:
            self._leases.hold(runs)
        return runs

    def execute(self, run: ClaimedRun) -> RecordedOutcome | None:
        """Run one attempt to its end; gives what to record, None if the lease was lost on the way."""
        started_at = self._clock.now()
        spec = self._registry.get(run.handler_name)
        result = self._attempt(run, spec, started_at)
        if not self._leases.let_go(run):
            return None
        _log_end(run, result)
        return self._decided(run, result, started_at, self._clock.now())

    def _attempt(self, run: ClaimedRun, spec: HandlerSpec | None, started_at: datetime) -> RunResult:
        if spec is None:
            return _unknown_handler(run)
        try:
            arguments = spec.read_arguments(run.payload)
        except InvalidInput as error:
            return RunResult(AttemptOutcome.INVALID_PAYLOAD, f"the payload does not fit {spec.name}: {error}")
        timeout = run.timeout_seconds or _seconds(self._identity.default_timeout)
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
        fence_after = timeout + 5 if timeout is not None and spec.is_async else timeout
        if not self._leases.begin(run, context, fence_after):
            return RunResult(AttemptOutcome.RELEASED)
        try:
            self._call(spec, arguments, context, timeout)
        except BaseException as error:  # noqa: BLE001  whatever a handler raises must end in an outcome
            return _result_of(error, spec, context)
        return RunResult(AttemptOutcome.SUCCEEDED)

    def _call(self, spec: HandlerSpec, arguments: BaseModel, context: JobContext, timeout: float | None) -> None:
        with self._injector.provide(spec) as (services, constructor_services):
            given: dict[str, Any] = {spec.arguments_parameter: arguments, **services}
            if spec.context_parameter is not None:
                given[spec.context_parameter] = context
            function = spec.target
            if spec.constructor_services is not None:
                function = function(**constructor_services).handle
            if spec.is_async:
                asyncio.run(_within(function(**given), timeout))
            else:
                function(**given)

    def record(self, outcomes: Sequence[RecordedOutcome]) -> None:
        """Write outcomes and set the alarms of what comes next.

        While the database is away it tries for as long as the leases could live; after that the runs are taken up again
        by whoever reaps them, which at-least-once allows.
        """
        give_up_at = time.monotonic() + self._identity.lease.total_seconds()
        pause = 0.1
        while True:
            try:
                self._record_once(outcomes)
            except StoreUnavailable as error:
                if time.monotonic() > give_up_at:
                    _logger.error("%d outcomes could not be recorded; the runs will be taken up again: %s",  # noqa: TRY400
                                  len(outcomes), error)  # fmt: skip
                    raise
                time.sleep(pause)
                pause = min(pause * 2, 5.0)
            else:
                return

    def _record_once(self, outcomes: Sequence[RecordedOutcome]) -> None:
        stands = {recorded.token: recorded for recorded in self._runs.record(outcomes)}
        for outcome in outcomes:
            if outcome.run.token not in stands:
                self._record_fenced(outcome)
        if self._alarms.needed:
            self._alarms.set([
                Alarm(AlarmName(recorded.job_id, recorded.generation), recorded.due_at)
                for recorded in stands.values()
                if recorded.due_at is not None
            ])  # fmt: skip

    def _record_fenced(self, outcome: RecordedOutcome) -> None:
        """Look again at an outcome that hit no row.

        Either the schedule was changed meanwhile, and the next run is the new one's, or the lease is another's now, and
        nothing is to be written.
        """
        fresh = self._runs.reread(outcome.run)
        if fresh is None:
            _logger.warning("lease-lost: the outcome of job %s run %d attempt %d came too late and changes nothing",
                            outcome.run.job_id, outcome.run.run, outcome.run.attempt)  # fmt: skip
            return
        self._record_once(
            [self._decided(fresh, outcome.result, outcome.started_at, outcome.finished_at, rescheduled=True)]
        )

    def _record_timeout(self, run: ClaimedRun) -> None:
        now = self._clock.now()
        seconds = run.timeout_seconds or _seconds(self._identity.default_timeout) or 0.0
        result = RunResult(AttemptOutcome.TIMED_OUT, f"timed out after {seconds:g} s", retry=True)
        _log_end(run, result)
        try:
            self.record([self._decided(run, result, now - timedelta(seconds=seconds), now)])
        except Exception:
            _logger.exception("the time-out of job %s could not be recorded; it will be taken up again", run.job_id)

    def _decided(
        self,
        run: ClaimedRun,
        result: RunResult,
        started_at: datetime,
        finished_at: datetime,
        *,
        rescheduled: bool = False,
    ) -> RecordedOutcome:
        spec = self._registry.get(run.handler_name)
        policy = spec.retry if spec else _DEFAULT_POLICY
        return decide(
            run, result, policy, self._random, started_at=started_at, finished_at=finished_at, rescheduled=rescheduled
        )

    def give_back(self, runs: Sequence[ClaimedRun], why: str) -> None:
        """Return runs that were claimed and not begun, or that the host's end interrupts: due again at once."""
        now = self._clock.now()
        result = RunResult(AttemptOutcome.RELEASED, why)
        mine = [run for run in runs if self._leases.let_go(run)]
        if mine:
            self.record([self._decided(run, result, now, now) for run in mine])

    def stop(self, grace_seconds: float) -> None:
        """Tell the handlers, wait for them up to ``grace_seconds``, and give back what is still running."""
        self._leases.announce_shutdown()
        until = time.monotonic() + grace_seconds
        while self._leases.held() and time.monotonic() < until:
            time.sleep(0.02)
        left = self._leases.held()
        if left:
            self.give_back(left, "the host went down while the handler was running")
        self._leases.close()


async def _within(work: Any, seconds: float | None) -> None:
    async with asyncio.timeout(seconds):
        await work


def _unknown_handler(run: ClaimedRun) -> RunResult:
    why = (
        f"this version of the app has no handler {run.handler_name!r}; the job is tried again every "
        f"{UNKNOWN_HANDLER_DELAY.total_seconds():.0f} s until one that has it is deployed, or the job is deleted"
    )
    return RunResult(AttemptOutcome.UNKNOWN_HANDLER, why, after_seconds=UNKNOWN_HANDLER_DELAY.total_seconds())


def _result_of(error: BaseException, spec: HandlerSpec, context: JobContext) -> RunResult:  # noqa: PLR0911  one a kind
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
        case TimeoutError() if spec.is_async and context.deadline is not None:
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
    except Exception:  # noqa: BLE001  an exception whose own text fails must not hide that the handler failed
        text = "(its message could not be read)"
    return f"{type(error).__name__}: {text}"[:_MAX_ERROR] + place


def _log_end(run: ClaimedRun, result: RunResult) -> None:
    level = logging.INFO if result.outcome is AttemptOutcome.SUCCEEDED else logging.WARNING
    if _logger.isEnabledFor(level):
        _logger.log(
            level,
            "job %s (%s, %s) run %d attempt %d: %s%s",
            run.job_id, run.handler_name, run.job_name, run.run, run.attempt, result.outcome,
            f", {result.error}" if result.error else "",
            extra={"job_id": str(run.job_id), "handler_name": run.handler_name, "outcome": str(result.outcome)},
        )  # fmt: skip


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()
