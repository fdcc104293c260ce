"""What a handler knows about the run that it executes, and can do with it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from jobs.core.diagnostics.error_text import printable
from jobs.core.errors import ConfigurationError, InvalidInput, InvalidProgress, InvalidResult
from jobs.core.lifecycle.handler_outcomes import Cancel, ShutdownRequested
from jobs.core.strict_json import read_json, write_json
from jobs.core.transactions.lock import DEFAULT_WAIT

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from contextlib import AbstractContextManager
    from datetime import datetime, timedelta
    from uuid import UUID

    from jobs.core.commands import EnqueueJob
    from jobs.core.lifecycle.job import JsonValue, Lease
    from jobs.core.transactions.lock import DistributedLock, LockHandle
    from jobs.core.transactions.unit_of_work import Completion, UnitOfWork, UnitsOfWork

_logger = logging.getLogger("jobs.handler")
MAX_RESULT = 64 * 1024
_MAX_MESSAGE = 500


class ContextBackend(Protocol):
    """What stands behind a context while its handler is run by the framework."""

    def show_progress(self, context: JobContext) -> None:
        """Keep the context's progress on the job, at the latest with the next heartbeat. Never raises."""

    def heartbeat(self, context: JobContext) -> None:
        """Extend the attempt's lease now, and signal a cancellation or a lost lease to the context."""

    def watch(self, context: JobContext) -> None:
        """Look out for a request to cancel the context's job more often than heartbeats come."""

    def enqueue(self, command: EnqueueJob, context: JobContext) -> UUID:
        """Enqueue a follow-up of this run; returns its id."""


class _BoundLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds the job's identity to every record, so that one search finds all that a run logged."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


class AttemptServices(NamedTuple):
    """What the framework lends to the handler of one attempt."""

    units: UnitsOfWork
    lock: DistributedLock
    completion: Completion


@dataclass(slots=True)
class JobContext:
    """One attempt, from inside: lives as long as the attempt.

    ``run`` counts the job's due occurrences from 1, ``attempt`` the executions of this run from 1. The same run may
    be executed more than once, so ``idempotency_key`` is there to make an effect elsewhere idempotent with.
    ``deadline`` is when the attempt times out, None without a timeout. ``trace_id`` is the attempt's own, where a
    tracer is at work.
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
        """The same for every attempt of this run, different for every other run."""
        return f"{self.job_id}/{self.run}"

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that adds the job's id, name, handler, run and attempt to every record."""
        return _BoundLogger(
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
        """Whether somebody asked to cancel this job; known within three seconds to who has asked before.

        From the first question on, by this, ``progress`` or ``raise_if_cancelled``, requests are looked for every other
        second, without the handler waiting for it.
        """
        self._watch()
        return self._cancelled

    def _watch(self) -> None:
        if not self._watched and self.backend is not None:
            self._watched = True
            self.backend.watch(self)

    @property
    def shutting_down(self) -> bool:
        """Whether the host is going down; what is not done soon is taken up again elsewhere."""
        return self._shutdown

    @property
    def lease_lost(self) -> bool:
        """Whether this attempt no longer counts: it timed out, or another worker took the run over."""
        return self._fenced

    def progress(self, fraction: float, message: str | None = None) -> None:
        """Report how far this attempt has come, from 0 to 1, and on what it is; the job shows it while it runs.

        Costs little: it is written at most once a second. Where the job is to be cancelled, or this attempt no longer
        counts, it then raises as ``raise_if_cancelled`` does, so that a handler which only shows its progress can be
        stopped as well. Raises ``ValueError`` for a fraction outside 0 to 1.
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
        """The result of this run: a JSON value that is kept on the job and in its history if the attempt succeeds.

        Setting what is no JSON, or more than 64 KiB of it, raises ``ValueError``: keep large results elsewhere, and
        here where they are.
        """
        value: JsonValue = None if self.result_text is None else read_json(self.result_text)
        return value

    @result.setter
    def result(self, value: JsonValue) -> None:
        try:
            text = write_json(value, "/result")
        except InvalidInput as error:
            raise InvalidResult(f"a result is a JSON value: {error}") from None
        if len(text.encode()) > MAX_RESULT:
            raise InvalidResult(
                f"a result has at most {MAX_RESULT} bytes of JSON, this has {len(text.encode())}; keep it elsewhere, "
                "and give here where it is"
            )
        self.result_text = text

    def heartbeat(self) -> None:
        """Extend the lease now rather than at the next third of it, and learn whether cancellation was requested.

        Leases are extended behind a handler's back; call this only from code that keeps other threads from running,
        such as a long computation in an extension module that holds the interpreter's lock.
        """
        if self.backend is not None:
            self.backend.heartbeat(self)

    def enqueue(self, command: EnqueueJob) -> UUID:
        """Enqueue a follow-up, once for this run however often the run is executed; returns its id.

        Its id is made of this run and of its ``job_name``, which may be left out: then the run and the position among
        those without a name make both. Give a name, by what it is about, to each of several that may come in another
        order in the next attempt. Within a unit of work it is enqueued when that commits. Raises as
        ``JobService.enqueue`` does, and ``InvalidInput`` where this attempt has enqueued another payload under the
        same name.
        """
        if self.backend is None:
            raise RuntimeError(
                "this context was made by hand, so it has nowhere to enqueue to; run the handler with "
                "jobs.testing.run_handler"
            )
        return self.backend.enqueue(command, self)

    @property
    def completed(self) -> bool:
        """Whether a unit of work has committed this attempt's success; nothing can change it any more."""
        return self._completed

    def unit_of_work(self, *, requires_new: bool = False) -> AbstractContextManager[UnitOfWork]:
        """Open a transaction on the framework's database, or join the one around; ``requires_new`` opens its own.

        The block says ``commit()``, ``complete()`` to commit the job's success with it, or ``rollback()``; one that ran
        statements and says none of these raises. Keep it short: it holds one of the few connections that an instance
        has for it.
        """
        services = self._provided("unit_of_work")
        return services.units.begin(requires_new=requires_new, completion=services.completion)

    def lock(self, resource: str, ttl: timedelta, timeout: timedelta = DEFAULT_WAIT) -> LockHandle:
        """Take the lock on ``resource``, to be used in a ``with``; others wait until it ends or ``ttl`` has passed.

        Waits up to ``timeout``, then raises ``LockNotAcquired``; stops waiting as ``raise_if_cancelled`` would.
        """
        lock = self._provided("lock").lock
        return lock.acquire(resource, ttl, timeout, between_tries=self.raise_if_cancelled)

    def raise_if_cancelled(self) -> None:
        """Stop here if the result is not wanted any more: cancelled, timed out, or the host is going down.

        A long handler calls this, or ``progress``, between its steps. Let what it raises pass through.
        """
        if self.lease_lost:
            raise ShutdownRequested("this attempt's lease is gone; whatever it does no longer counts")
        if self.cancelled:
            raise Cancel("cancelled on request")
        if self.shutting_down:
            raise ShutdownRequested("the host is going down")

    def next_unnamed(self) -> int:
        """Count one more follow-up without a name (called by the framework)."""
        self._unnamed += 1
        return self._unnamed

    @property
    def cancel_signalled(self) -> bool:
        """Whether ``signal_cancelled`` was called (asked by the framework, which watches by it)."""
        return self._cancelled

    def signal_cancelled(self) -> None:
        """Note that somebody asked to cancel the job (called by the framework)."""
        self._cancelled = True

    def signal_shutdown(self) -> None:
        """Note that the host is going down (called by the framework)."""
        self._shutdown = True

    def signal_lease_lost(self) -> None:
        """Note that this attempt no longer counts (called by the framework)."""
        self._fenced = True

    def signal_completed(self) -> None:
        """Note that this attempt's success is committed (called by the framework)."""
        self._completed = True

    def provide(self, services: AttemptServices) -> None:
        """Lend what units of work and locks need (called by the framework)."""
        self._services = services

    def _provided(self, wanted: str) -> AttemptServices:
        if self._services is None:
            raise ConfigurationError(
                f"ctx.{wanted}() needs a database, and this context was made without one; have the handler run by "
                "jobs.testing.run_handler or by a worker, or give the context one with ctx.provide(...)"
            )
        return self._services
