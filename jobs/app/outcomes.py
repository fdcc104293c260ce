"""Write what attempts came to: decide, record, set the next alarm, and pass turns on.

Every outcome is fenced by the token of its claim, so an attempt that outlived its lease changes nothing, however late.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from jobs.core.error_text import printable
from jobs.core.errors import StoreUnavailable
from jobs.core.identifiers import AlarmName
from jobs.core.ports import Alarm
from jobs.core.retry import RetryPolicy, policy_for
from jobs.core.verdict import decide

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime, timedelta
    from random import Random

    from jobs.app.alarms import Alarms
    from jobs.app.turns import Turns
    from jobs.core.job import ClaimedRun, RecordedOutcome, RunResult
    from jobs.core.ports import RunStore
    from jobs.core.registry import HandlerRegistry

_logger = logging.getLogger("jobs.dispatcher")
T = TypeVar("T")
_DEFAULT_POLICY = RetryPolicy()


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
        return decide(
            run, result, policy, self._random, started_at=started_at, finished_at=finished_at, rescheduled=rescheduled
        )

    def record(self, outcomes: Sequence[RecordedOutcome]) -> None:
        """Write outcomes and set the alarms of what comes next.

        While the database is away it tries for as long as the leases could live; after that the runs are taken up again
        by whoever reaps them, which at-least-once allows.
        """
        stands = {recorded.token: recorded for recorded in self.patiently(lambda: self._runs.record(outcomes))}
        alarms = []
        fenced = []
        for outcome in outcomes:
            recorded = stands.get(outcome.run.token)
            if recorded is None:
                fenced.append(outcome)
            elif recorded.due_at is not None:
                alarms.append(Alarm(AlarmName(outcome.run.job_id, recorded.generation), recorded.due_at))
        self._alarms.arm(alarms)
        self._turns.ended(outcome.run.handler_name for outcome in outcomes)
        for outcome in fenced:
            self._record_fenced(outcome)

    def patiently(self, ask: Callable[[], T]) -> T:
        """Ask the database until it answers, as long as a lease could live."""
        give_up_at = time.monotonic() + self._patience
        pause = 0.1
        while True:
            try:
                return ask()
            except StoreUnavailable as error:
                if time.monotonic() > give_up_at:
                    _logger.error("outcomes could not be recorded; the runs will be taken up again: %s", error)  # noqa: TRY400
                    raise
                time.sleep(pause)
                pause = min(pause * 2, 5.0)

    def _record_fenced(self, outcome: RecordedOutcome) -> None:
        """Look again at an outcome that hit no row.

        Either the schedule was changed meanwhile, and the next run is the new one's, or the lease is another's now, and
        nothing is to be written.
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
        self.record([self.decided(fresh, outcome.result, outcome.started_at, outcome.finished_at, rescheduled=True)])


def _policy(run: ClaimedRun, policy: RetryPolicy) -> RetryPolicy:
    try:
        return policy_for(run.retry, policy)
    except ValidationError as error:  # written by hand; the outcome must be recorded all the same
        why = printable(str(error))
        _logger.warning("job %s has retry options that cannot be read, its handler's are used: %s", run.job_id, why)
        return policy
