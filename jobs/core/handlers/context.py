"""The context of an attempt: what a handler can read about its run, and what it can do.

Longer than other files because ``JobContext`` is one class: the whole interface that handlers see.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Protocol

from jobs.core.diagnostics.error_text import printable
from jobs.core.errors import ConfigurationError, InvalidProgress
from jobs.core.handlers.attempt_services import BoundLogger
from jobs.core.handlers.results import result_json
from jobs.core.lifecycle.handler_outcomes import Cancel, ShutdownRequested
from jobs.core.strict_json import read_json
from jobs.core.transactions.lock import DEFAULT_WAIT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime, timedelta
    from uuid import UUID

    from jobs.core.commands import EnqueueJob
    from jobs.core.handlers.attempt_services import AttemptServices
    from jobs.core.lifecycle.job import JsonValue, Lease
    from jobs.core.transactions.lock import LockHandle
    from jobs.core.transactions.unit_of_work import UnitOfWork

_logger = logging.getLogger("jobs.handler")
_MAX_MESSAGE = 500


class ContextBackend(Protocol):
    """Serves a context's calls while the framework runs its handler."""

    def show_progress(self, context: JobContext) -> None:
        """Write the context's progress to the job, with the next heartbeat at the latest. Never raises."""

    def heartbeat(self, context: JobContext) -> None:
        """Extend the attempt's lease now, and signal a cancellation or a lost lease to the context."""

    def watch(self, context: JobContext) -> None:
        """Check for cancellation of the context's job more often than heartbeats do."""

    def enqueue(self, command: EnqueueJob, context: JobContext) -> UUID:
        """Enqueue a follow-up of this run; returns its id."""


@dataclass(slots=True)
class JobContext:
    """One attempt as its handler sees it. Lives as long as the attempt.

    ``run`` counts the job's due occurrences from 1, ``attempt`` the executions of this run from 1. The same run may
    be executed more than once; pass ``idempotency_key`` to other systems to make your effects there idempotent.
    ``deadline`` is when the attempt times out, None without a timeout. ``trace_id`` is None without a tracer.
    """

    job_id: UUID
    job_name: str
    handler_name: str
    run: int
    attempt: int
    scheduled_for: datetime
    metadata: Mapping[str, JsonValue]
    deadline: datetime | None = None
    trace_parent: str | None = None
    trace_id: str | None = field(default=None, init=False)
    fraction: float | None = field(default=None, init=False)
    message: str | None = field(default=None, init=False)
    result_text: str | None = field(default=None, init=False)
    lease: Lease | None = field(default=None, repr=False)
    backend: ContextBackend | None = field(default=None, repr=False)
    enqueued_here: set[UUID] = field(default_factory=set, init=False, repr=False)
    progress_pending: bool = field(default=False, init=False, repr=False)
    progress_written_at: float = field(default=-inf, init=False, repr=False)
    _watched: bool = field(default=False, init=False, repr=False)
    _unnamed: int = field(default=0, init=False, repr=False)
    _cancelled: bool = field(default=False, init=False, repr=False)
    _shutdown: bool = field(default=False, init=False, repr=False)
    _fenced: bool = field(default=False, init=False, repr=False)
    _completed: bool = field(default=False, init=False, repr=False)
    _services: AttemptServices | None = field(default=None, init=False, repr=False)

    @property
    def idempotency_key(self) -> str:
        """A key that is the same for every attempt of this run, and different for every other run."""
        return f"{self.job_id}/{self.run}"

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that adds the job's id, name, handler, run and attempt to every record."""
        return BoundLogger(
            _logger,
            {
                "job_id": str(self.job_id),
                "job_name": printable(self.job_name),
                "handler_name": self.handler_name,
                "run": self.run,
                "attempt": self.attempt,
            },
        )

    @property
    def cancelled(self) -> bool:
        """Whether cancellation of this job was requested.

        The first use of this, ``progress`` or ``raise_if_cancelled`` starts a check in the background, every other
        second. From then on a request is visible within three seconds.
        """
        self._watch()
        return self._cancelled

    def _watch(self) -> None:
        if not self._watched and self.backend is not None:
            self._watched = True
            self.backend.watch(self)

    @property
    def shutting_down(self) -> bool:
        """Whether the host is shutting down. An attempt that does not end soon is started again on another instance."""
        return self._shutdown

    @property
    def lease_lost(self) -> bool:
        """Whether this attempt no longer counts: it timed out, or another worker took the run over."""
        return self._fenced

    def progress(self, fraction: float, message: str | None = None) -> None:
        """Report this attempt's progress, from 0 to 1, and the current step; the job shows both while it runs.

        Costs little: it is written at most once a second. If cancellation was requested, or this attempt no longer
        counts, it raises as ``raise_if_cancelled`` does, so that a handler that only reports progress can be stopped
        as well. Raises ``ValueError`` for a fraction outside 0 to 1.
        """
        if not 0 <= fraction <= 1:
            raise InvalidProgress(
                f"progress is a fraction from 0 to 1, not {fraction!r}; divide what is done by all there is"
            )
        self._watch()
        self.fraction = float(fraction)
        self.message = None if message is None else str(message)[:_MAX_MESSAGE]
        if self.backend is not None:
            self.backend.show_progress(self)
        if (self._cancelled or self._fenced) and not self._completed:
            self.raise_if_cancelled()

    @property
    def result(self) -> JsonValue:
        """The result of this run: a JSON value, stored with the job and in its history if the attempt succeeds.

        Setting a value that is not JSON, or has more than 64 KiB of it, raises ``ValueError``. Store a large result
        elsewhere, and its location here.
        """
        value: JsonValue = None if self.result_text is None else read_json(self.result_text)
        return value

    @result.setter
    def result(self, value: JsonValue) -> None:
        self.result_text = result_json(value)

    def heartbeat(self) -> None:
        """Extend the lease now, and check whether cancellation was requested.

        The framework extends leases in the background, every third of their length. Call this only from code that stops
        all other threads, such as an extension module that holds the interpreter's lock for long.
        """
        if self.backend is not None:
            self.backend.heartbeat(self)

    def enqueue(self, command: EnqueueJob) -> UUID:
        """Enqueue a follow-up, once per run however often the run is executed; returns its id.

        The id derives from this run and the ``job_name``. Without a ``job_name``, the name and the id derive from this
        run and the follow-up's position among those without a name. So name your follow-ups if the next attempt may
        enqueue them in another order. Within a unit of work the follow-up is enqueued when that commits. Raises as
        ``JobService.enqueue`` does, and ``InvalidInput`` if this attempt enqueued another payload under the same name.
        """
        if self.backend is None:
            raise RuntimeError(
                "this context was made by hand, so it has nowhere to enqueue to; run the handler with "
                "jobs.testing.run_handler"
            )
        return self.backend.enqueue(command, self)

    @property
    def completed(self) -> bool:
        """Whether a unit of work has committed this attempt's success, which is then final."""
        return self._completed

    def unit_of_work(self, *, requires_new: bool = False) -> AbstractContextManager[UnitOfWork]:
        """Open a transaction on the framework's database, or join the enclosing one; ``requires_new`` opens its own.

        The block calls ``commit()``, ``rollback()``, or ``complete()``, which commits the job's success with it. A
        block that ran statements and calls none of them raises. Keep it short: it holds one of the instance's few
        connections for units of work.
        """
        services = self._provided("unit_of_work")
        return services.units.begin(requires_new=requires_new, completion=services.completion)

    def lock(self, resource: str, ttl: timedelta, timeout: timedelta = DEFAULT_WAIT) -> LockHandle:
        """Acquire the lock on ``resource`` and return a context manager that holds it for ``ttl`` at most.

        Waits up to ``timeout``, then raises ``LockNotAcquired``; while waiting it raises as ``raise_if_cancelled``.
        """
        lock = self._provided("lock").lock
        return lock.acquire(resource, ttl, timeout, between_tries=self.raise_if_cancelled)

    def raise_if_cancelled(self) -> None:
        """Raise if this attempt should stop: the job is cancelled, the attempt timed out, or the host is shutting down.

        A long handler calls this, or ``progress``, between its steps. Do not catch what it raises.
        """
        if self.lease_lost:
            raise ShutdownRequested("this attempt's lease is gone; whatever it does no longer counts")
        if self.cancelled:
            raise Cancel("cancelled on request")
        if self.shutting_down:
            raise ShutdownRequested("the host is going down")

    def next_unnamed(self) -> int:
        """Return the position of the next follow-up without a name, from 1 (called by the framework)."""
        self._unnamed += 1
        return self._unnamed

    @property
    def cancel_signalled(self) -> bool:
        """Whether ``signal_cancelled`` was called (read by the framework; unlike ``cancelled`` it starts no check)."""
        return self._cancelled

    def signal_cancelled(self) -> None:
        """Note that cancellation was requested (called by the framework)."""
        self._cancelled = True

    def signal_shutdown(self) -> None:
        """Note that the host is shutting down (called by the framework)."""
        self._shutdown = True

    def signal_lease_lost(self) -> None:
        """Note that the attempt no longer counts (called by the framework)."""
        self._fenced = True

    def signal_completed(self) -> None:
        """Note that this attempt's success is committed (called by the framework)."""
        self._completed = True

    def provide(self, services: AttemptServices) -> None:
        """Set what units of work and locks need (called by the framework)."""
        self._services = services

    def _provided(self, wanted: str) -> AttemptServices:
        if self._services is None:
            raise ConfigurationError(
                f"ctx.{wanted}() needs a database, and this context was made without one; have the handler run by "
                "jobs.testing.run_handler or by a worker, or give the context one with ctx.provide(...)"
            )
        return self._services
