"""Wakes: what one message of a queue does in this process.

Whoever scales the app by the length of the queue takes a message for one slot. So a wake is one slot: it runs the job
of its alarm, and then claims what else is due, one run after the other, for a while. Were it to start a drain of the
whole process, the first instance would take everything, and no message would be left to start another one for. Were it
to run its own job only, each tiny job would cost the host's round trip for a message.

Where runs end so fast that a claim for each would cost more than they do, a wake claims a few at once: as many as end
within a quarter of a second. They wait where every thread of the pool finds them, so that none waits behind a slow one
while another thread is free.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import Future
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING

from jobs.app.execution.alarm_result import AlarmOutcome, AlarmResult
from jobs.app.execution.worker.in_hand import Step
from jobs.core.diagnostics.outage import log_failure

if TYPE_CHECKING:
    from jobs.app.execution.claims import Claims
    from jobs.app.execution.worker.pool import WorkerPool
    from jobs.app.execution.worker.scope import InvocationScope
    from jobs.core.lifecycle.ids import AlarmName
    from jobs.core.lifecycle.job import ClaimedRun

_logger = logging.getLogger("jobs.worker")
_AHEAD_SECONDS = 0.25
_FASTER_EACH_TIME = 4
_ENDS_AFTER = frozenset({AlarmOutcome.NOT_DUE, AlarmOutcome.SUSPECT})
"""After any other outcome a wake claims what else is due."""


class Wakes:
    """The wakes under way. Lives as long as the process; safe between threads."""

    def __init__(self, claims: Claims, pool: WorkerPool, batch: int) -> None:
        self._claims = claims
        self._pool = pool
        self._batch = batch
        self._under_way: set[AlarmName] = set()
        self._lock = threading.Lock()

    def handle(self, name: AlarmName, scope: InvocationScope, seconds: float) -> Future[AlarmResult]:
        """Run the job of an alarm, and then what else is due, until nothing is, or ``seconds`` have passed.

        The future has the result of the alarm once all of these runs have ended. It raises ``Unavailable`` when the
        database is away or the host goes down: the alarm should ring again. An alarm that rings while it is being
        handled here is already running.
        """
        with self._lock:
            if name in self._under_way:
                again: Future[AlarmResult] = Future()
                again.set_result(AlarmResult(AlarmOutcome.ALREADY_RUNNING))
                return again
            self._under_way.add(name)
        wake = _Wake(self._claims, self._pool, scope, self._batch, time.monotonic() + seconds)
        wake.ended.add_done_callback(lambda _: self._forget(name))
        wake.begin(name)
        return wake.ended

    def _forget(self, name: AlarmName) -> None:
        with self._lock:
            self._under_way.discard(name)


class _Wake:
    """One wake: at any time it either claims, or waits for the runs that it has claimed."""

    def __init__(self, claims: Claims, pool: WorkerPool, scope: InvocationScope, batch: int, until: float) -> None:
        self.ended: Future[AlarmResult] = Future()
        self._claims = claims
        self._pool = pool
        self._scope = scope
        self._most = batch
        self._until = until
        self._result = AlarmResult(AlarmOutcome.RAN)
        self._claimed = self._left = 1
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def begin(self, name: AlarmName) -> None:
        """Have the alarm handled."""
        self._pool.handle_alarm(name, self._scope).add_done_callback(self._handled)

    def _handled(self, alarm: Future[AlarmResult]) -> None:
        if (error := alarm.exception()) is not None:
            self.ended.set_exception(error)
            return
        self._result = alarm.result()
        if self._result.outcome in _ENDS_AFTER:
            self._end()
        else:
            self._count_down()

    def _count_down(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left:
                return
        # On a thread of the pool, and not on this one, which may be what records, or keeps the time of an attempt.
        self._pool.do([Step(self._scope, self._claim, withdrawn=self._end)])

    def _claim(self) -> None:
        runs: list[ClaimedRun] = []
        try:
            if self._may_go_on():
                runs = self._claims.due(self._how_many())
        except Exception as error:  # noqa: BLE001  its own job has run; what else is due has messages of its own
            log_failure(_logger, error, "nothing else that is due was claimed")
        if not runs:
            self._end()
            return
        if any(run.lost_count for run in runs):
            self._most = 1  # what may end this process is to take no others with it that have not begun
            runs.sort(key=attrgetter("lost_count"))
        self._claimed = self._left = len(runs)
        self._began = time.monotonic()
        self._pool.do([Step(self._scope, partial(self._run, run), self._count_down, run) for run in runs])

    def _run(self, run: ClaimedRun) -> None:
        self._pool.run_claimed(run, self._count_down)

    def _may_go_on(self) -> bool:
        pool = self._pool
        return bool(
            time.monotonic() < self._until and pool.in_hand.capacity and not (pool.stopping.is_set() or pool.alone.on)
        )

    def _how_many(self) -> int:
        seconds = max(time.monotonic() - self._began, 0.001)
        return max(1, min(int(self._claimed / seconds * _AHEAD_SECONDS), self._claimed * _FASTER_EACH_TIME, self._most))

    def _end(self) -> None:
        self.ended.set_result(self._result)
