"""Write what attempts came to: next_state, record, set the next alarm, and pass turns on.

Every outcome is fenced by the token of its claim, so an attempt that outlived its lease changes nothing, however late.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from pydantic import ValidationError

from jobs.core.diagnostics.error_text import printable, redact
from jobs.core.diagnostics.outage import log_failure
from jobs.core.errors import ConfigurationError, StoreUnavailable
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.job import RecordedOutcome, RunResult, Tally
from jobs.core.lifecycle.retry import RetryPolicy, policy_for
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.core.lifecycle.transitions import is_rescheduled, next_state
from jobs.core.ports.scheduler import Alarm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, timedelta
    from random import Random

    from jobs.app.alarms.arming import Alarms
    from jobs.app.execution.worker.slots import Turns
    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.lifecycle.job import ClaimedRun, Recorded
    from jobs.core.ports.runs import RunStore

_logger = logging.getLogger("jobs.dispatcher")
T = TypeVar("T")
_MAX_REASON = 1_000
_DEFAULT_POLICY = RetryPolicy()


class _Written(NamedTuple):
    """What stands after outcomes were written; ``given_up`` are the tokens of those that nothing can be written of."""

    recorded: list[Recorded]
    given_up: frozenset[str] = frozenset()


class Outcomes:
    """Records outcomes; lives as long as the process, and may be called from many threads."""

    def __init__(
        self,
        runs: RunStore,
        registry: HandlerRegistry,
        alarms: Alarms,
        random: Random,
        turns: Turns,
        lease: timedelta,
    ) -> None:
        self._runs = runs
        self._registry = registry
        self._alarms = alarms
        self._random = random
        self._turns = turns
        self._patience = lease.total_seconds()

    def decided(
        self,
        run: ClaimedRun,
        result: RunResult,
        started_at: datetime,
        finished_at: datetime,
        *,
        rescheduled: bool = False,
    ) -> RecordedOutcome:
        """Decide what an attempt's result means for its job."""
        spec = self._registry.get(run.handler_name)
        policy = _policy(run, spec.retry if spec else _DEFAULT_POLICY)
        return next_state(
            run, result, policy, self._random, started_at=started_at, finished_at=finished_at, rescheduled=rescheduled
        )

    def record(self, outcomes: Sequence[RecordedOutcome]) -> None:
        """Write outcomes and set the alarms of what comes next.

        While the database is away it tries for as long as the leases could live; after that the runs are taken up again
        by whoever reaps them, which at-least-once allows.
        """
        written = self._written(outcomes)
        stands = {recorded.token: recorded for recorded in written.recorded}
        alarms = []
        fenced = []
        for outcome in outcomes:
            recorded = stands.get(outcome.run.token)
            if recorded is None:
                if outcome.run.token not in written.given_up:
                    fenced.append(outcome)
            elif recorded.due_at is not None:
                alarms.append(Alarm(AlarmName(outcome.run.job_id, recorded.generation), recorded.due_at))
        self._alarms.arm(alarms)
        self._turns.ended(outcome.run.handler_name for outcome in outcomes)
        for outcome in fenced:
            try:
                self._record_fenced(outcome)
            except (StoreUnavailable, ConfigurationError):
                raise  # it would be the same with the others
            except Exception as error:  # noqa: BLE001  what its row says by now cannot be used; the others go on
                what = "what comes next for job %s cannot be worked out; it is taken up again when its lease expires"
                log_failure(_logger, error, what, outcome.run.job_id)

    def _written(self, outcomes: Sequence[RecordedOutcome]) -> _Written:
        """Write outcomes, all in one statement where it can be: one that cannot be written is isolated by halving."""
        try:
            return _Written(self.patiently(lambda: self._runs.record(outcomes)))
        except (StoreUnavailable, ConfigurationError):
            raise  # it would be the same with any other outcome
        except Exception as error:  # noqa: BLE001  whatever it is, it must not take the other outcomes along
            if len(outcomes) == 1:
                return self._failed_instead(outcomes[0], error)
            _logger.warning("%d outcomes cannot be recorded together; looking for the one at fault", len(outcomes))
            middle = len(outcomes) // 2
            halves = self._written(outcomes[:middle]), self._written(outcomes[middle:])
            return _Written(halves[0].recorded + halves[1].recorded, halves[0].given_up | halves[1].given_up)

    def _failed_instead(self, outcome: RecordedOutcome, error: Exception) -> _Written:
        """Fail a run whose outcome cannot be written: taken up again, it would come to the same, over and over."""
        run, reason = outcome.run, f"{type(error).__name__}: {redact(str(error))}"[:_MAX_REASON]
        why = f"its attempt ended ({outcome.result.outcome}), but that cannot be recorded: {reason}"
        _logger.error(
            "job %s (%s) run %d is failed: %s", run.job_id, printable(run.handler_name), run.run, printable(why)
        )
        failed = RunResult(AttemptOutcome.FAILED, why)
        plain = RecordedOutcome(
            run, failed, JobStatus.FAILED, run.claimed_at, run.claimed_at,
            attempt=run.attempt, tally=Tally.INCREMENT, last_error=why,
        )  # fmt: skip
        for make in (lambda: self.decided(run, failed, outcome.started_at, outcome.finished_at), lambda: plain):
            try:
                return _Written(self.patiently(lambda make=make: self._runs.record([make()])))  # type: ignore[misc]
            except (StoreUnavailable, ConfigurationError):
                raise
            except Exception as fault:  # noqa: BLE001  there is another way to try, or the next line
                log_failure(_logger, fault, "job %s cannot even be failed as its schedule wants", run.job_id)
        _logger.error("job %s is taken up again when its lease expires: nothing can be recorded of it", run.job_id)
        return _Written([], frozenset([run.token]))

    def patiently(self, ask: Callable[[], T]) -> T:
        """Ask the database until it answers, as long as a lease could live."""
        give_up_at = time.monotonic() + self._patience
        pause = 0.1
        while True:
            try:
                return ask()
            except StoreUnavailable as error:
                if time.monotonic() > give_up_at:
                    _logger.debug("outcomes could not be recorded; the runs will be taken up again: %s", error)
                    raise
                time.sleep(pause)
                pause = min(pause * 2, 5.0)

    def _record_fenced(self, outcome: RecordedOutcome) -> None:
        """Look again at an outcome that hit no row.

        Either the job was changed meanwhile, and what comes next is reckoned from what it says now, or the lease is
        another's, and nothing is to be written.
        """
        fresh = self.patiently(lambda: self._runs.reread(outcome.run))
        if fresh is None:
            _logger.warning(
                "lease-lost: the outcome of job %s run %d attempt %d came too late and changes nothing",
                outcome.run.job_id,
                outcome.run.run,
                outcome.run.attempt,
            )
            return
        rescheduled = outcome.rescheduled or is_rescheduled(outcome.run, fresh, outcome.finished_at)
        fresh = fresh._replace(scheduled_for=outcome.run.scheduled_for)  # the run may stand for later ones too
        self.record(
            [self.decided(fresh, outcome.result, outcome.started_at, outcome.finished_at, rescheduled=rescheduled)]
        )


def spoiled(run: ClaimedRun, error: Exception, now: datetime) -> RecordedOutcome:
    """End a job whose row cannot be understood: no attempt would fare better. It can be mended and replayed."""
    result = RunResult(
        AttemptOutcome.FAILED, f"the job's row cannot be used: {type(error).__name__}: {redact(str(error))}"
    )
    return RecordedOutcome(
        run, result, JobStatus.FAILED, now, now, attempt=run.attempt, tally=Tally.INCREMENT, last_error=result.error
    )


def _policy(run: ClaimedRun, policy: RetryPolicy) -> RetryPolicy:
    try:
        return policy_for(run.retry, policy)
    except ValidationError as error:  # written by hand; the outcome must be recorded all the same
        why = printable(str(error))
        _logger.warning("job %s has retry options that cannot be read, its handler's are used: %s", run.job_id, why)
        return policy
