"""Everything that runs jobs, in the test's own thread, on a store in memory and a clock that stands still."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import UUID

from pydantic import BaseModel

from jobs.core.commands import EnqueueJob
from jobs.core.errors import ConfigurationError, InvalidInput
from jobs.core.handlers.enqueuing.open_jobs import open_jobs
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.job import Job
from jobs.core.ports.jobs import Change
from jobs.testing.clock import FrozenClock, a_span, in_utc
from jobs.testing.execution import Execution
from jobs.testing.expectations import ExpectsJobs
from jobs.testing.memory.backing import MemoryBacking
from jobs.testing.parts import LEASE, check_override, check_overrides, join_parts, registry_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from jobs.app.upkeep.reconciler import Report
    from jobs.core.handlers.specs import HandlerSpec
    from jobs.core.lifecycle.job import ClaimedRun
    from jobs.core.transactions.sql import Connection
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

    ``handlers`` is the name of the package with your handlers, a ``HandlerRegistry``, or a list of what bears
    ``@handler``, ``@provider`` or ``@middleware``; left out, they are those that the app has. ``overrides`` returns
    fakes in place of services, by the type that handlers are annotated with. The clock stands at ``at`` until
    ``advance`` or ``drain(until=...)`` moves it. Retry delays are drawn from ``seed``, so that they are the same every
    time. Nothing is run unless a call here says so.

    With ``database_url`` the jobs are kept in that Postgres database, so that handlers run their SQL; it must be a
    test's own, as that of the fixture ``jobs_postgres``. It is migrated where that is needed, and in the harness's
    sessions ``now()`` is the harness's time. Without, they are kept in memory.

    While it is open, handlers that are called as ``send_invoice.enqueue(args)`` enqueue here.

    ``runtime`` holds the parts as the app has them: ``runtime.service``, ``runtime.units``, ``runtime.lock``.
    Raises ``ConfigurationError`` for handlers that the app would not start with, and for overrides that nobody takes.
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
            raise error.with_traceback(None)  # noqa: B904  the message says where; how it was found is of no interest
        check_overrides(registry, overrides or {})
        self._backing = _backing(database_url, at)
        self.clock = self._backing.clock
        self._slots = _NotedSlots(self.clock)
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
        """The store in memory; raises ``ConfigurationError`` where the jobs are in Postgres."""
        if not isinstance(self._backing, MemoryBacking):
            raise ConfigurationError("this harness keeps its jobs in Postgres; take transaction() for SQL of your own")
        return self._backing.database

    def transaction(self) -> AbstractContextManager[Connection]:
        """Open a transaction for the test's own SQL: ``with jobs.transaction() as connection``; commits at the end.

        Raises ``ConfigurationError`` where the jobs are kept in memory.
        """
        return self._backing.transaction()

    def override(self, service: type[Service], value: Service) -> None:
        """Have handlers take ``value`` in place of a service, as ``overrides`` does; before anything has run."""
        check_override(self.runtime.registry, service, value)
        self.runtime.injector.override(service, value)

    # --- enqueue and look

    def enqueue(self, command: EnqueueJob | str, payload: Any = None, **fields: Any) -> Job:
        """Enqueue a job: a whole command, or a handler's name, a payload (JSON or the arguments' model) and fields.

        ``job_name`` left out is made up. Raises as the service does, ``InvalidInput`` for a payload that does not fit.
        """
        if isinstance(command, str):
            self._named += 1
            fields = {"job_name": f"{command}-{self._named}"} | fields
            command = EnqueueJob(handler_name=command, payload=_as_json(payload), **fields)
        try:
            return self.runtime.service.enqueue(command).job
        except InvalidInput as error:
            spec = self.runtime.registry.get(command.handler_name)
            if spec is not None and any(problem.pointer.startswith("/payload") for problem in error.problems):
                error.add_note(_what_it_takes(spec))
            raise

    def job(self, which: Job | UUID | str) -> Job:
        """Read a job as it is now: by the job, its id, or its name (the newest of that name)."""
        if not isinstance(which, str):
            return self.runtime.service.get(which.id if isinstance(which, Job) else which)
        named = [job for job in self.jobs if job.job_name == which]
        if not named:
            raise LookupError(f"no job is called {which!r}; there are: {[job.job_name for job in self.jobs]}")
        return named[-1]

    @property
    def jobs(self) -> list[Job]:
        """Every job there is as it stands now, ended ones included, in the order in which they were enqueued."""
        return self._backing.jobs()

    # --- run

    def drain(self, until: datetime | None = None, *, most: int = _MOST) -> list[RanAttempt]:
        """Run whatever is due, one after the other, and what that makes due; returns what ran, in order.

        With ``until`` the clock moves on from one due job to the next, so that retries and recurring jobs run each at
        its time, and stands at ``until`` in the end. Raises ``AssertionError`` after ``most`` attempts: a handler that
        snoozes for no time, or enqueues itself, would go on for ever.
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
        """Advance time, and run whatever falls due meanwhile, each at its time. Returns what ran."""
        return self.drain(until=self.clock.now() + a_span(by))

    def _claim_throttled(self) -> list[ClaimedRun]:
        """Claim a job of a handler with limits; where its rate forbids it, note from when on it does not."""
        self._slots.rates_allow.clear()
        pipeline = self.runtime.pipeline
        claims = (pipeline.claims.throttled(name) for name in pipeline.slots.throttled())
        return list(islice(filter(None, claims), 1))

    def _next_due(self) -> datetime | None:
        """Find the first instant to come at which a job falls due, or may start by its handler's rate."""
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
        """Run one handler once, as the app would: payload checked, services made, middleware around, outcome recorded.

        ``attempt`` says which attempt of the run this is. ``deliveries`` executes that attempt that many times, all but
        the last by a worker that is lost before it can tell: what at-least-once may do to a handler. ``scheduled_for``
        is when the run was due, now if left out. ``cancelled`` has cancellation requested before it begins. The other
        fields are those of ``EnqueueJob``. A handler with a rate waits for its turn, and the clock moves on. Raises
        ``InvalidInput`` for a payload that does not fit; what the handler raises is kept, see ``RanAttempt.check``.
        """
        job, now = self.enqueue(handler_name, payload, **fields), self.clock.now()
        columns = {"attempt": attempt - 1, "next_run_at": now, "scheduled_for": in_utc(scheduled_for or now)}
        self._backing.stores.jobs.change(self.job(job), Change("test", columns))
        for lost in range(1, deliveries):
            ran = self._execution.execute(self._claim(job), lost=True)
            if ran.job.status.ended:
                return ran  # it has completed its job itself, in a unit of work
            self.clock.advance(LEASE + timedelta(seconds=1))
            self.runtime.housekeeping.reap(_MOST, max_lost=lost + 1)
            self.clock.move_to(max(self.job(job).next_run_at or self.clock.now(), self.clock.now()))
        return self._execution.execute(self._claim(job), cancelled=cancelled)

    def _claim(self, job: Job) -> ClaimedRun:
        """Claim one job; where its handler's rate does not allow that now, once it does."""
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
        """Do what the timer ``reconcile`` does: take back lost runs, prune what is old; returns what was done."""
        return self.runtime.reconciler.run()


class _NotedSlots:
    """Notes from when on rates allow another start; offered slots are taken by the test's own thread, as it drains."""

    def __init__(self, clock: FrozenClock) -> None:
        self.rates_allow: list[datetime] = []
        self._clock = clock

    def offer(self, handler_name: str) -> None:
        """Do nothing."""

    def offer_after(self, handler_name: str, seconds: float) -> None:  # noqa: ARG002  as the worker pool's
        """Note when that is."""
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
    """Run one handler once in a harness of its own; as ``JobsHarness`` and its ``run_handler``."""
    with JobsHarness(handlers, overrides=overrides, at=at) as harness:
        return harness.run_handler(handler_name, payload, **how)


def _as_json(payload: Any) -> Any:
    if isinstance(payload, BaseModel):
        return payload.model_dump(mode="json", by_alias=True)
    return {} if payload is None else payload


def _what_it_takes(spec: HandlerSpec) -> str:
    names = ", ".join(spec.arguments.model_fields) or "no fields"
    return (
        f"{spec.name} takes {spec.arguments.__qualname__} ({names}); see {spec.origin}. To test that a payload is "
        "refused, expect InvalidInput"
    )
