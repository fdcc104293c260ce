"""The test harness: the whole app in the test's own thread, with a store in memory and a frozen clock.

Longer than other files because ``JobsHarness`` is one class: the whole interface that tests see.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import UUID

from pydantic import BaseModel

from jobs.core.errors import ConfigurationError, InvalidInput
from jobs.core.handlers.enqueuing.checked_command import checked_command
from jobs.core.handlers.enqueuing.open_jobs import open_jobs
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.job import Job
from jobs.core.ports.jobs import Change
from jobs.testing.clock import FrozenClock, in_utc, require_timedelta
from jobs.testing.enqueued import EnqueuedInTest
from jobs.testing.execution import Execution
from jobs.testing.expectations import ExpectsJobs
from jobs.testing.memory.backing import MemoryBacking
from jobs.testing.parts import LEASE, check_override, check_overrides, join_parts, registry_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from jobs.app.upkeep.reconciler import Report
    from jobs.core.commands import EnqueueJob
    from jobs.core.handlers.specs import HandlerSpec
    from jobs.core.lifecycle.job import ClaimedRun
    from jobs.core.transactions.sql import Connection, Session
    from jobs.testing.backing import Backing
    from jobs.testing.memory.database import MemoryDatabase
    from jobs.testing.parts import Handlers
    from jobs.testing.ran import RanAttempt

Service = TypeVar("Service")
MONDAY_NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
_MOST = 1_000
_ENDLESS = (
    "a handler that snoozes for no time, or enqueues itself, comes to no end. Give drain(most=...) if so many are meant"
)


class JobsHarness(ExpectsJobs):
    """An app for a test: enqueue, advance time, see what ran. Use it in one thread, and close it or use ``with``.

    ``handlers`` is the name of the package with your handlers, a ``HandlerRegistry``, or a list of targets of
    ``@handler``, ``@provider`` and ``@middleware``; the default is the app's handlers. ``overrides`` maps service types
    to fakes. The clock stands at ``at`` until ``advance`` or ``drain(until=...)`` moves it. ``seed`` makes retry delays
    reproducible. Jobs run only within calls of the harness.

    With ``database_url`` the jobs are in that Postgres database, so that handlers can run SQL. It must be the test's
    own, as the fixture ``jobs_postgres`` provides. It is migrated if needed, and in the harness's sessions ``now()`` is
    the harness's time. Without it the jobs are in memory.

    While it is open, ``send_invoice.enqueue(args)`` enqueues in this harness.

    ``runtime`` has the parts of the app: ``runtime.service``, ``runtime.units``, ``runtime.lock``. Raises
    ``ConfigurationError`` for handlers that keep the app from starting, and for overrides that no handler uses.
    """

    def __init__(
        self,
        handlers: Handlers | None = None,
        *,
        overrides: Mapping[type, Any] | None = None,
        at: datetime = MONDAY_NOON,
        seed: int = 0,
        database_url: str | None = None,
    ) -> None:
        try:
            registry = registry_of(handlers)
        except ConfigurationError as error:
            raise error.with_traceback(None)  # noqa: B904  the message names the place; the framework's frames add nothing
        check_overrides(registry, overrides or {})
        self._backing = _backing(database_url, at)
        self.clock = self._backing.clock
        self._slots = _HarnessSlots(self.clock)
        self.runtime = join_parts(registry, self._backing, Random(seed), self._slots)  # noqa: S311  jitter, not secrets
        for service, value in (overrides or {}).items():
            self.runtime.injector.override(service, value)
        self._execution = Execution(self.runtime, self._backing)
        self._named = 0
        self._no_longer_open = open_jobs(lambda: self.runtime.service, exclusive=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Clean up the services that live as long as the app."""
        self._no_longer_open()
        self.runtime.close()

    @property
    def database(self) -> MemoryDatabase:
        """The store in memory; raises ``ConfigurationError`` if the jobs are in Postgres."""
        if not isinstance(self._backing, MemoryBacking):
            raise ConfigurationError("this harness keeps its jobs in Postgres; take transaction() for SQL of your own")
        return self._backing.database

    def transaction(self) -> AbstractContextManager[Connection]:
        """Open a transaction for the test's own SQL: ``with jobs.transaction() as connection``; commits at the end.

        Raises ``ConfigurationError`` if the jobs are in memory.
        """
        return self._backing.transaction()

    def override(self, service: type[Service], value: Service) -> None:
        """Replace a service by ``value``, as ``overrides`` does. Call it before any job has run."""
        check_override(self.runtime.registry, service, value)
        self.runtime.injector.override(service, value)

    # --- enqueue and read

    def enqueue(
        self,
        command: EnqueueJob | str,
        payload: Any = None,
        *,
        connection: Connection | Session | None = None,
        **fields: Any,
    ) -> EnqueuedInTest:
        """Enqueue a job: a command, or a handler's name with a payload (JSON or the arguments' model) and fields.

        Returns the job, with ``created``, ``job`` and ``warnings`` as ``Jobs.enqueue`` returns them. ``job_name`` has a
        generated default. With ``connection`` it joins that transaction. Raises as the service does: ``InvalidInput``
        for an invalid payload or field; and ``TypeError`` for a payload or fields beside a command, which has its own.
        """
        if isinstance(command, str):
            self._named += 1
            fields = {"job_name": f"{command}-{self._named}"} | fields
            command = checked_command(command, _as_json(payload), fields)
        elif payload is not None or fields:
            beside = ", ".join([*(["payload"] if payload is not None else []), *fields])
            raise TypeError(f"{beside} beside a command would be ignored; give it to the command")
        try:
            return EnqueuedInTest.of(self.runtime.service.enqueue(command, connection=connection))
        except InvalidInput as error:
            spec = self.runtime.registry.get(command.handler_name)
            if spec is not None and any(problem.pointer.startswith("/payload") for problem in error.problems):
                error.add_note(_arguments_note(spec))
            raise

    def job(self, which: Job | UUID | str) -> Job:
        """Return a job's current state, by the job, its id, or its name (the newest of that name)."""
        if not isinstance(which, str):
            return self.runtime.service.get(which.id if isinstance(which, Job) else which)
        named = [job for job in self.jobs if job.job_name == which]
        if not named:
            raise LookupError(f"no job is called {which!r}; there are: {[job.job_name for job in self.jobs]}")
        return named[-1]

    @property
    def jobs(self) -> list[Job]:
        """The current state of all jobs, including ended ones, in the order in which they were enqueued."""
        return self._backing.jobs()

    # --- run

    def drain(self, until: datetime | None = None, *, most: int = _MOST) -> list[RanAttempt]:
        """Run all due jobs one after the other, and those that become due thereby; returns the attempts in order.

        With ``until`` the clock moves from one due job to the next, so that retries and recurring jobs run at their
        times, and finally to ``until``. Raises ``AssertionError`` after ``most`` attempts: a handler that snoozes for
        zero seconds, or enqueues itself, would never end.
        """
        end = self.clock.now() if until is None else in_utc(until)
        if end < self.clock.now():
            raise ValueError(f"it is {self.clock.now().isoformat()} already; until={end.isoformat()} has passed")
        ran: list[RanAttempt] = []
        while True:
            if claimed := self.runtime.pipeline.claims.due(1) or self._claim_throttled():
                if len(ran) == most:
                    self.runtime.pipeline.give_back(claimed, "the test's drain has run enough")
                    raise AssertionError(
                        f"{most} attempts ran, the last of them {ran[-1]!r}, and more are due; {_ENDLESS}"
                    )
                ran += map(self._execution.execute, claimed)
                continue
            due_at = self._next_due()
            if due_at is None or due_at > end:
                break
            self.clock.move_to(due_at)
        self.clock.move_to(max(end, self.clock.now()))
        return ran

    def advance(self, by: timedelta) -> list[RanAttempt]:
        """Advance the clock by ``by``, and run each job that falls due at its time. Returns the attempts."""
        return self.drain(until=self.clock.now() + require_timedelta(by))

    def _claim_throttled(self) -> list[ClaimedRun]:
        """Claim a job of a handler with limits; if its rate does not allow one, note when it will."""
        self._slots.rates_allow.clear()
        pipeline = self.runtime.pipeline
        claims = (pipeline.claims.throttled(name) for name in pipeline.slots.throttled())
        return list(islice(filter(None, claims), 1))

    def _next_due(self) -> datetime | None:
        """Return the next instant at which a job falls due, or its handler's rate allows a start; None if none."""
        now = self.clock.now()
        due_at = self._backing.next_due()
        known = [*self._slots.rates_allow, *([] if due_at is None else [due_at])]
        return min((moment for moment in known if moment > now), default=None)

    def run_handler(
        self,
        handler_name: str,
        payload: Any = None,
        *,
        attempt: int = 1,
        deliveries: int = 1,
        scheduled_for: datetime | None = None,
        cancelled: bool = False,
        **fields: Any,
    ) -> RanAttempt:
        """Run one handler once as the app does: with validation, services, middleware and a recorded outcome.

        ``attempt`` is the number of the attempt within the run. ``deliveries`` executes the attempt that many times:
        all but the last lose their worker before the outcome is recorded, as at-least-once delivery allows.
        ``scheduled_for`` is when the run was due, by default now. ``cancelled`` requests cancellation before the start.
        The other fields are those of ``EnqueueJob``. If the handler's rate does not allow a start, the clock moves to
        when it does. Raises ``InvalidInput`` for an invalid payload. What the handler raises is in the result, see
        ``RanAttempt.check``.
        """
        job, now = self.enqueue(handler_name, payload, **fields), self.clock.now()
        columns = {"attempt": attempt - 1, "next_run_at": now, "scheduled_for": in_utc(scheduled_for or now)}
        self._backing.stores.jobs.change(self.job(job), Change("test", columns))
        for lost in range(1, deliveries):
            ran = self._execution.execute(self._claim(job), lost=True)
            if ran.job.status.ended:
                return ran  # it completed its job in a unit of work
            self.clock.advance(LEASE + timedelta(seconds=1))
            self.runtime.housekeeping.reap(_MOST, max_lost=lost + 1)
            self.clock.move_to(max(self.job(job).next_run_at or self.clock.now(), self.clock.now()))
        return self._execution.execute(self._claim(job), cancelled=cancelled)

    def _claim(self, job: Job) -> ClaimedRun:
        """Claim one job; if its handler's rate does not allow it now, move the clock until it does."""
        waiting = self.job(job)
        name = AlarmName(waiting.id, waiting.generation)
        self._slots.rates_allow.clear()
        run = self.runtime.pipeline.claims.by_alarm(name, alone=True)
        if run is None and self._slots.rates_allow:
            self.clock.move_to(max(self._slots.rates_allow))
            run = self.runtime.pipeline.claims.by_alarm(name, alone=True)
        if run is None:
            why = f"{waiting.handler_name} has limits, which other runs use up" if waiting.limited else "it is not due"
            raise AssertionError(f"job {waiting.job_name!r}, {waiting.status}, cannot be run: {why}")
        return run

    def run_reconciler(self) -> Report:
        """Run the reconciler as its timer does: reschedule lost runs, prune old rows; returns what was done."""
        return self.runtime.reconciler.run()


class _HarnessSlots:
    """The slots of a harness: it drains jobs itself, so this only notes when rates allow another start."""

    def __init__(self, clock: FrozenClock) -> None:
        self.rates_allow: list[datetime] = []
        self._clock = clock

    def offer(self, handler_name: str) -> None:
        """Do nothing."""

    def offer_after(self, handler_name: str, seconds: float) -> None:  # noqa: ARG002  as the worker pool's
        """Note the instant at which the rate allows another start."""
        self.rates_allow.append(self._clock.now() + timedelta(seconds=seconds))

    def close(self) -> None:
        """Do nothing."""


def _backing(database_url: str | None, at: datetime) -> Backing:
    if database_url is None:
        return MemoryBacking(FrozenClock(at))
    from jobs.testing.postgres.backing import PostgresBacking  # noqa: PLC0415  a harness in memory needs no driver

    return PostgresBacking(database_url, at)


def run_handler(
    handler_name: str,
    payload: Any = None,
    *,
    handlers: Handlers | None = None,
    overrides: Mapping[type, Any] | None = None,
    at: datetime = MONDAY_NOON,
    **how: Any,
) -> RanAttempt:
    """Run one handler once in a harness of its own, with the arguments of ``JobsHarness`` and its ``run_handler``."""
    with JobsHarness(handlers, overrides=overrides, at=at) as harness:
        return harness.run_handler(handler_name, payload, **how)


def _as_json(payload: Any) -> Any:
    if isinstance(payload, BaseModel):
        return payload.model_dump(mode="json", by_alias=True)
    return {} if payload is None else payload


def _arguments_note(spec: HandlerSpec) -> str:
    names = ", ".join(spec.arguments.model_fields) or "no fields"
    return (
        f"{spec.name} takes {spec.arguments.__qualname__} ({names}); see {spec.origin}. To test that a payload is "
        "refused, expect InvalidInput"
    )
