"""The commands on jobs: enqueue, update, cancel, pause, resume, run now, retry. Each changes one row."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jobs.app.commands.alarms_of_commands import AlarmsOfCommands
from jobs.app.commands.callers import NOBODY, Caller, Enqueued, IdempotentResponse
from jobs.app.commands.insertion import NewJobs
from jobs.app.commands.job_changes import cancel, pause, resume, retry, run_now, update
from jobs.app.commands.timeout_limit import refuse_timeout
from jobs.core.commands import EnqueueJob, UpdateJob
from jobs.core.errors import Conflict, JobNotFound, JobsError, PreconditionFailed
from jobs.core.queries import HistoryQuery, JobFilter, JobQuery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import timedelta
    from random import Random
    from uuid import UUID

    from jobs.app.alarms.arming import Alarms
    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.lifecycle.job import Attempt, Job
    from jobs.core.ports.clock import Clock
    from jobs.core.ports.jobs import AttemptPage, Change, JobStore, NewJob, Page

_TRIES = 10


class JobService:
    """The commands on jobs. Lives as long as the process; safe to share between threads."""

    def __init__(
        self,
        store: JobStore,
        alarms: Alarms,
        registry: HandlerRegistry,
        clock: Clock,
        random: Random,
        longest_run: timedelta | None = None,
        was_changed: Callable[[UUID, UUID], bool] = lambda _operation, _job_id: False,
    ) -> None:
        """``longest_run`` is the host's limit on the duration of an attempt, None for no limit.

        ``was_changed`` returns whether an operation on many jobs has changed a job.
        """
        self._store = store
        self._alarms = AlarmsOfCommands(alarms)
        self._registry = registry
        self._clock = clock
        self._random = random
        self._longest_run = longest_run
        self._was_changed = was_changed
        self._new_jobs = NewJobs(store, registry, clock, random, longest_run, self._alarms.withdraw)

    def enqueue(self, command: EnqueueJob, *, connection: object | None = None, caller: Caller = NOBODY) -> Enqueued:
        """Insert a job. With ``connection``, a SQLAlchemy connection or session, it joins the caller's transaction.

        Without it, the job is committed and its alarm set when this returns. In a caller's transaction the job exists
        once that commits, and its alarm is set right after; if the process dies in between, the reconciler sets it.
        Raises ``InvalidInput``, ``JobNameTaken``, ``JobIdTaken``.
        """
        enqueued = self._new_jobs.insert(command, connection, caller)
        self._alarms.set_of([enqueued], connection)
        return enqueued

    def enqueue_many(
        self, commands: Iterable[EnqueueJob], *, connection: object | None = None, caller: Caller = NOBODY
    ) -> list[Enqueued | JobsError]:
        """Insert many jobs, each independently: the result for a faulty one is its error.

        Each transaction has up to 1,000 jobs; if this raises, none of the current transaction is inserted. ``commands``
        may be a generator, which is consumed while the database works on the previous batch.
        """
        self._clock.now()  # set before a connection is held, since building rows may read it
        results: list[Enqueued | JobsError | None] = []
        new_jobs: list[tuple[int, EnqueueJob, NewJob]] = []

        def rows() -> Iterator[NewJob]:
            for place, command in enumerate(commands):
                results.append(None)
                try:
                    new_job = self._new_jobs.new_row(command, caller)
                except JobsError as error:
                    results[place] = error
                else:
                    new_jobs.append((place, command, new_job))
                    yield new_job

        inserted = self._store.insert_many(rows(), connection=connection)
        for (place, command, new_job), row in zip(new_jobs, inserted, strict=True):
            if row is not None:
                results[place] = Enqueued.new(command, new_job, row)
                continue
            try:
                results[place] = self._new_jobs.resolve_conflict(command, new_job, connection, caller)
            except JobsError as error:
                results[place] = error
        self._alarms.set_of([result for result in results if isinstance(result, Enqueued)], connection)
        return [result for result in results if result is not None]

    def enqueue_once(
        self,
        command: EnqueueJob,
        *,
        key: str,
        fingerprint: str,
        render: Callable[[Enqueued], str],
        caller: Caller = NOBODY,
    ) -> IdempotentResponse:
        """Enqueue under an idempotency key: the rendered response is stored in the same transaction, and repeated.

        Raises ``IdempotencyKeyReused`` if the key belongs to another ``fingerprint``.
        """
        self._clock.now()  # set before a connection is held, since building rows may read it
        with self._store.once(key, fingerprint) as entry:
            if entry.response is not None:
                return IdempotentResponse(entry.response, replayed=True)
            enqueued = self._new_jobs.insert(command, entry.connection, caller)
            response = render(enqueued)
            entry.keep(response)
        self._alarms.set_of([enqueued], None)
        return IdempotentResponse(response, replayed=False)

    def get(self, job_id: UUID) -> Job:
        """Return a job; raises ``JobNotFound``."""
        job = self._store.get(job_id)
        if job is None:
            raise JobNotFound(job_id)
        return job

    def attempts(self, job_id: UUID) -> list[Attempt]:
        """Return a job's history, newest first; raises ``JobNotFound``."""
        attempts = self._store.attempts(job_id)
        if not attempts:
            self.get(job_id)
        return attempts

    def find_attempts(self, job_id: UUID, query: HistoryQuery) -> AttemptPage:
        """Return a page of a job's attempts, newest first; raises ``JobNotFound``."""
        page = self._store.find_attempts(job_id, query)
        if not page.attempts:
            self.get(job_id)
        return page

    def find(self, query: JobQuery) -> Page:
        """Return a page of jobs, newest first."""
        return self._store.find(query)

    def count(self, wanted: JobFilter, limit: int) -> int:
        """Count the jobs that a filter selects, up to ``limit``."""
        return self._store.count(wanted, limit)

    def update(
        self,
        job_id: UUID,
        command: UpdateJob,
        *,
        revision: int | None = None,
        connection: object | None = None,
        caller: Caller = NOBODY,
    ) -> Job:
        """Change a job. A new schedule takes effect at once, or from the next run of a recurring job that is running.

        A schedule with the same meaning, however it is written, leaves the pending run as it is.
        With ``connection`` this, like ``cancel``, ``pause`` and ``resume``, joins the caller's transaction.
        Raises ``InvalidInput``, ``JobNotFound``, ``PreconditionFailed`` if ``revision`` is not the job's;
        ``Conflict`` for a one-time job that is running or a job that has ended.
        """

        def decide(job: Job) -> Change | None:
            refuse_timeout(command.timeout, self._longest_run)
            return update(
                job, command, self._registry, self._clock, self._random, may_set_reserved=caller.may_set_reserved
            )

        return self._revise(job_id, decide, caller, revision, connection)

    def cancel(
        self, job_id: UUID, *, revision: int | None = None, connection: object | None = None, caller: Caller = NOBODY
    ) -> Job:
        """Cancel a job: a waiting one at once, a running one by a signal to its handler. An ended one stays so."""
        return self._revise(job_id, cancel, caller, revision, connection)

    def pause(
        self, job_id: UUID, *, revision: int | None = None, connection: object | None = None, caller: Caller = NOBODY
    ) -> Job:
        """Pause a job until it is resumed; a current run continues."""
        return self._revise(job_id, pause, caller, revision, connection)

    def resume(
        self, job_id: UUID, *, revision: int | None = None, connection: object | None = None, caller: Caller = NOBODY
    ) -> Job:
        """Resume a paused job. Its misfire policy applies to runs that fell due in the meantime."""
        return self._revise(job_id, lambda job: resume(job, self._clock, self._random), caller, revision, connection)

    def run_now(self, job_id: UUID, *, revision: int | None = None, caller: Caller = NOBODY) -> Job:
        """Make a waiting job due at once; a recurring one keeps its schedule afterwards."""
        return self._revise(job_id, run_now, caller, revision, None)

    def retry(
        self, job_id: UUID, edit: UpdateJob | None = None, *, revision: int | None = None, caller: Caller = NOBODY
    ) -> Job:
        """Run an ended job again, with all its retries. Raises ``JobNameTaken`` if another active job has its name.

        ``edit`` may have another payload: then it is a new run, with an idempotency key of its own.
        """

        def decide(job: Job) -> Change | None:
            return retry(job, self._clock, self._random, self._registry, edit=edit)

        return self._revise(job_id, decide, caller, revision, None)

    def _revise(
        self,
        job_id: UUID,
        decide: Callable[[Job], Change | None],
        caller: Caller,
        revision: int | None,
        connection: object | None,
    ) -> Job:
        """Read the job, decide on a change, and write it if the revision is unchanged; otherwise start over."""
        for _ in range(_TRIES):
            job = self._store.get(job_id, connection=connection)
            if job is None:
                raise JobNotFound(job_id)
            if revision is not None and job.revision != revision:
                raise PreconditionFailed(job_id, revision, job.revision)
            # Whoever changes the job after this look makes the change below miss, so that it is looked at again.
            done = caller.operation is not None and self._was_changed(caller.operation, job_id)
            change = None if done else decide(job)
            if change is None:
                return job
            change = replace(change, reason=caller.reason, operation=caller.operation)
            changed = self._store.change(job, change, actor=caller.actor, connection=connection)
            if changed is not None:
                if changed.generation != job.generation:
                    self._alarms.replace(job, changed, connection)
                elif changed.paused and not job.paused:
                    self._alarms.withdraw(job, connection)
                return changed
        raise Conflict(f"job {job_id} changes faster than this call can follow; try again")
