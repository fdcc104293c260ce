"""Turn attempt results into job state: decide what comes next, and write it.

Every outcome is fenced by the token of its claim, so an attempt that outlived its lease changes nothing.
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
from jobs.core.lifecycle.transitions import is_rescheduled, next_state, resolve_misfire
from jobs.core.ports.scheduler import Alarm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, timedelta
    from random import Random

    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.lifecycle.job import ClaimedRun, Recorded
    from jobs.core.ports.runs import RunStore
    from jobs.core.schedules.recurrence import Occurrence

_logger = logging.getLogger("jobs.dispatcher")
T = TypeVar("T")
_MAX_REASON = 1_000
_DEFAULT_POLICY = RetryPolicy()


class Written(NamedTuple):
    """What a write of outcomes came to: the alarms of what comes next, and the outcomes that hit no row."""

    alarms: list[Alarm]
    fenced: list[RecordedOutcome]


class _Recorded(NamedTuple):
    """The outcomes that stand, and the tokens of those that cannot be written at all."""

    recorded: list[Recorded]
    given_up: frozenset[str] = frozenset()


class Outcomes:
    """Decides and writes outcomes. Lives as long as the process; safe between threads.

    While the database is away it retries for as long as ``lease``: after that other workers take the runs over.
    """

    def __init__(self, runs: RunStore, registry: HandlerRegistry, random: Random, lease: timedelta) -> None:
        self._runs = runs
        self._registry = registry
        self._random = random
        self._deadline_seconds = lease.total_seconds()

    def resolve_misfire(self, run: ClaimedRun) -> Occurrence | None:
        """Return the occurrence that a claimed run stands for, by its misfire policy; None when none is left to run.

        Raises ``InvalidSchedule`` or ``ValidationError`` for a schedule that cannot be read.
        """
        return resolve_misfire(run, self._random)

    def decide(
        self,
        run: ClaimedRun,
        result: RunResult,
        started_at: datetime,
        finished_at: datetime,
        *,
        rescheduled: bool = False,
    ) -> RecordedOutcome:
        """Return the state that a job changes to after an attempt with this result, as one outcome to write."""
        spec = self._registry.get(run.handler_name)
        policy = _policy(run, spec.retry if spec else _DEFAULT_POLICY)
        return next_state(
            run, result, policy, self._random, started_at=started_at, finished_at=finished_at, rescheduled=rescheduled
        )

    def write(self, outcomes: Sequence[RecordedOutcome]) -> Written:
        """Write outcomes in one statement, unless one of them cannot be written; that one ends its job as failed.

        Raises ``StoreUnavailable`` where the database stays away for longer than a lease lasts.
        """
        recorded, given_up = self._record(outcomes)
        by_token = {each.token: each for each in recorded}
        written = Written([], [])
        for outcome in outcomes:
            stands = by_token.get(outcome.run.token)
            if stands is None:
                if outcome.run.token not in given_up:
                    written.fenced.append(outcome)
            elif stands.due_at is not None:
                written.alarms.append(Alarm(AlarmName(outcome.run.job_id, stands.generation), stands.due_at))
        return written

    def decide_again(self, outcome: RecordedOutcome) -> RecordedOutcome | None:
        """Decide an outcome that hit no row from what the job says now; None if the lease is another worker's."""
        run = outcome.run
        fresh = self.retry_while_unavailable(lambda: self._runs.reread(run))
        if fresh is None:
            _logger.warning(
                "lease-lost: the outcome of job %s run %d attempt %d came too late and changes nothing",
                run.job_id, run.run, run.attempt,
            )  # fmt: skip
            return None
        rescheduled = outcome.rescheduled or is_rescheduled(run, fresh, outcome.finished_at)
        fresh = fresh._replace(scheduled_for=run.scheduled_for)  # the run may stand for later ones too
        return self.decide(fresh, outcome.result, outcome.started_at, outcome.finished_at, rescheduled=rescheduled)

    def retry_while_unavailable(self, call: Callable[[], T]) -> T:
        """Return what ``call`` returns. Retries it while the database is away, for as long as a lease lasts."""
        deadline = time.monotonic() + self._deadline_seconds
        pause = 0.1
        while True:
            try:
                return call()
            except StoreUnavailable as error:
                if time.monotonic() > deadline:
                    _logger.debug("outcomes could not be recorded; the runs will be taken up again: %s", error)
                    raise
                time.sleep(pause)
                pause = min(pause * 2, 5.0)

    def _record(self, outcomes: Sequence[RecordedOutcome]) -> _Recorded:
        """Write outcomes together if possible; one that cannot be written is isolated by halving the batch."""
        try:
            return _Recorded(self.retry_while_unavailable(lambda: self._runs.record(outcomes)))
        except (StoreUnavailable, ConfigurationError):
            raise  # it would be the same with any other outcome
        except Exception as error:  # noqa: BLE001  whatever it is, it must not take the other outcomes along
            if len(outcomes) == 1:
                return self._failed_instead(outcomes[0], error)
            _logger.warning("%d outcomes cannot be recorded together; looking for the one at fault", len(outcomes))
            middle = len(outcomes) // 2
            halves = self._record(outcomes[:middle]), self._record(outcomes[middle:])
            return _Recorded(halves[0].recorded + halves[1].recorded, halves[0].given_up | halves[1].given_up)

    def _failed_instead(self, outcome: RecordedOutcome, error: Exception) -> _Recorded:
        """Fail a run whose outcome cannot be written: executed again, it would end the same way, over and over."""
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
        for make in (lambda: self.decide(run, failed, outcome.started_at, outcome.finished_at), lambda: plain):
            try:
                return _Recorded(self.retry_while_unavailable(lambda make=make: self._runs.record([make()])))  # type: ignore[misc]
            except (StoreUnavailable, ConfigurationError):
                raise
            except Exception as fault:  # noqa: BLE001  there is another way to try, or the next line
                log_failure(_logger, fault, "job %s cannot even be failed as its schedule wants", run.job_id)
        _logger.error("job %s is taken up again when its lease expires: nothing can be recorded of it", run.job_id)
        return _Recorded([], frozenset([run.token]))


def unreadable(run: ClaimedRun, error: Exception, now: datetime) -> RecordedOutcome:
    """Return the outcome that fails a job whose row cannot be read. Once the row is repaired it can be retried."""
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
