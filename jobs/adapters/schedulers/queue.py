"""The queue scheduler: alarms are invisible messages of a storage queue, whose trigger starts the function ``wake``.

A message's visibility timeout is the time until its job is due. Only what is due within ``HORIZON`` is put: the
platform scales out by the number of messages, and counts invisible ones. The reconciler sets later alarms in time.
"""

from __future__ import annotations

import logging
import math
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.adapters.schedulers.circuit_breaker import CircuitBreaker
from jobs.adapters.schedulers.parallel_calls import ParallelCalls
from jobs.adapters.storage_queue.refusals import QueueRefused
from jobs.core.errors import SchedulerUnavailable
from jobs.core.ports.scheduler import Backlog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from jobs.adapters.storage_queue.queue import StorageQueue
    from jobs.core.lifecycle.ids import AlarmName
    from jobs.core.ports.scheduler import Alarm

_logger = logging.getLogger("jobs.scheduler")
HORIZON = timedelta(minutes=10)
PARALLEL_CALLS = 16
CONNECTIONS = 64
"""As many are kept open: requests set alarms as well, each by itself."""
_EARLY_SECONDS = 0.25


class QueueScheduler:
    """The ``Scheduler`` port on a storage queue. Lives as long as the process; connects on first use.

    ``now`` is the database's time, by which jobs are due, so that neither this machine's clock matters nor the storage
    account's. Timeouts are whole seconds, so a message appears up to three quarters of a second late, or a quarter of
    one early, for which ``wake`` waits.

    From the first call on that is not answered every call fails at once, until a probe in the background succeeds.
    ``on_return`` is then called, to set the alarms that could not be set. A missing queue is created.
    """

    name = "queue"
    holds_alarms = True
    horizon: timedelta | None = HORIZON

    def __init__(self, queue: StorageQueue, poison: StorageQueue, now: Callable[[], datetime]) -> None:
        self.on_return: Callable[[], object] = lambda: None
        self._queue = queue
        self._poison = poison
        self._now = now
        self._calls = ParallelCalls(PARALLEL_CALLS, "jobs-queue")
        self._breaker = self._new_breaker()

    @property
    def available(self) -> bool:
        """False while the queue is known to be unavailable."""
        return self._breaker.why_open is None

    @property
    def unavailable_reason(self) -> str | None:
        """The last error of the queue; None while it is available."""
        return self._breaker.why_open

    def arm_many(self, alarms: Sequence[Alarm]) -> set[AlarmName]:
        """Put a message for each alarm within the horizon, several in parallel; later ones are not accepted yet."""
        furthest = self._now() + HORIZON
        due = {alarm.name: alarm.due_at for alarm in alarms if alarm.due_at <= furthest}
        return self._calls.each(due, lambda name: self._put(name, (due[name] - self._now()).total_seconds()))

    def disarm_many(self, names: Iterable[AlarmName]) -> None:
        """Do nothing: a message cannot be found by its text, and an alarm of an earlier generation runs nothing."""

    def put_back(self, name: AlarmName, seconds: float) -> None:
        """Put a message for an alarm whose message the host is about to delete. Raises ``SchedulerUnavailable``.

        Beyond the horizon it puts none: the reconciler sets the alarm in time.
        """
        if seconds <= HORIZON.total_seconds() and (why := self._put(name, seconds)) is not None:
            raise SchedulerUnavailable(why)

    def backlog(self) -> Backlog | None:
        """Count the messages, those that the host has given up included. Raises ``SchedulerUnavailable``."""
        if (why := self._breaker.why_open) is not None:
            raise SchedulerUnavailable(why)
        return Backlog(self._queue.count(), self._poisoned(), self._queue.oldest())

    def close(self) -> None:
        """Close the connections; a later call connects again."""
        self._breaker.close()
        self._calls.close()
        self._queue.close()
        self._poison.close()
        self._breaker = self._new_breaker()

    def _new_breaker(self) -> CircuitBreaker:
        return CircuitBreaker("the storage queue", self._probe, on_close=self._returned)

    def _returned(self) -> None:
        self.on_return()

    def _put(self, name: AlarmName, seconds: float) -> str | None:
        """Put a message unless the breaker is open; returns the error as text, None if it is put."""
        if (why := self._breaker.why_open) is not None:
            return why
        try:
            self._put_or_create(str(name), max(math.ceil(seconds - _EARLY_SECONDS), 0))
        except SchedulerUnavailable as error:
            self._breaker.failed(str(error), open_now=not (isinstance(error, QueueRefused) and error.busy))
            return str(error)
        self._breaker.succeeded()
        return None

    def _put_or_create(self, text: str, seconds: int) -> None:
        try:
            self._queue.put(text, visible_in=seconds)
        except QueueRefused as error:
            if not error.missing:
                raise
            self._create(error)
            self._queue.put(text, visible_in=seconds)

    def _create(self, missing: QueueRefused) -> None:
        try:
            created = self._queue.create()
        except QueueRefused as error:
            if error.forbidden:
                raise missing from error  # which says that somebody else is to create it
            raise
        if created:
            _logger.info("the storage queue %s did not exist and was created", self._queue.name)

    def _poisoned(self) -> int:
        try:
            return self._poison.count()
        except QueueRefused as error:
            if error.missing:  # it is created with the first message that the host gives up
                return 0
            raise

    def _probe(self) -> None:
        """Raise unless the queue answers and exists."""
        try:
            self._queue.count()
        except QueueRefused as error:
            if not error.missing:
                raise
            self._create(error)
