"""The commands on jobs: enqueue, update, cancel, pause, resume, run now, retry. Each changes one row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.app.commands.callers import NOBODY, Caller, Enqueued, OnceAnswer
from jobs.app.commands.insertion import NewJobs
from jobs.app.commands.job_changes import cancel, pause, replay, resume, run_now, update
from jobs.app.commands.timeout_limit import refuse_timeout
from jobs.core.commands import EnqueueJob, HistoryQuery, JobQuery, UpdateJob
from jobs.core.errors import (
    Conflict,
    JobNotFound,
    JobsError,
    PreconditionFailed,
)
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.ports.scheduler import Alarm

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
    """Every command about jobs; lives as long as the process and is safe to share between threads."""

    def __init__(
        self,
        store: JobStore,
        alarms: Alarms,
        registry: HandlerRegistry,
        clock: Clock,
        random: Random,
        longest_run: timedelta | None = None,
    ) -> None:
        """Join the parts; ``longest_run`` is how long the host lets an attempt run, None without end."""
        self._store = store
        self._alarms = alarms
        self._registry = registry
        self._clock = clock
        self._random = random
        self._longest_run = longest_run
        self._new_jobs = NewJobs(store, registry, clock, random, longest_run, self._withdraw_alarm_of)

    def enqueue(self, command: EnqueueJob, *, connection: object | None = None, caller: Caller = NOBODY) -> Enqueued:
        """Insert a job. With ``connection``, a SQLAlchemy connection or session, it joins the caller's transaction.

        Without, it is committed when this returns, and armed. Within a caller's transaction the job exists once that
        commits, and is armed right after; if the process dies in between, by the next reconciliation.
        Raises ``InvalidInput``, ``JobNameTaken``, ``JobIdTaken``.
        """
        enqueued = self._new_jobs.insert(command, connection, caller)
        self._arm([enqueued], connection)
        return enqueued

    def enqueue_many(
        self, commands: Iterable[EnqueueJob], *, connection: object | None = None, caller: Caller = NOBODY
    ) -> list[Enqueued | JobsError]:
        """Insert many jobs, each on its own: a faulty one does not stop the others.

        Up to 1,000 make one transaction; of these, either all that can be are inserted or, when this raises, none.
        ``commands`` may be a generator: then they are made while the database works on the ones before.
        """
        self._clock.now()  # set before a connection is held, since making rows may read it
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
        self._arm([result for result in results if isinstance(result, Enqueued)], connection)
        return [result for result in results if result is not None]

    def enqueue_once(
        self,
        command: EnqueueJob,
        *,
        key: str,
        fingerprint: str,
        render: Callable[[Enqueued], str],
        caller: Caller = NOBODY,
    ) -> OnceAnswer:
        """Enqueue under an idempotency key: the rendered answer is kept in the same transaction, and repeated.

        Raises ``IdempotencyKeyReused`` if the key belongs to another ``fingerprint``.
        """
        self._clock.now()  # set before a connection is held, since making rows may read it
        with self._store.once(key, fingerprint) as entry:
            if entry.response is not None:
                return OnceAnswer(entry.response, replayed=True)
            enqueued = self._new_jobs.insert(command, entry.connection, caller)
            answer = render(enqueued)
            entry.keep(answer)
        self._arm([enqueued], None)
        return OnceAnswer(answer, replayed=False)

    def get(self, job_id: UUID) -> Job:
        """Read a job; raises ``JobNotFound``."""
        job = self._store.get(job_id)
        if job is None:
            raise JobNotFound(job_id)
        return job

    def attempts(self, job_id: UUID) -> list[Attempt]:
        """Read a job's history, newest first; raises ``JobNotFound``."""
        attempts = self._store.attempts(job_id)
        if not attempts:
            self.get(job_id)
        return attempts

    def find_attempts(self, job_id: UUID, query: HistoryQuery) -> AttemptPage:
        """List a job's attempts, newest first; raises ``JobNotFound``."""
        page = self._store.find_attempts(job_id, query)
        if not page.attempts:
            self.get(job_id)
        return page

    def find(self, query: JobQuery) -> Page:
        """List jobs, newest first."""
        return self._store.find(query)

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

        A schedule that means what the job's does, in other words or the same, leaves the pending run as it is.
        With ``connection`` this, like ``cancel``, ``pause`` and ``resume``, joins the caller's transaction.
        Raises ``InvalidInput``, ``JobNotFound``, ``PreconditionFailed`` when ``revision`` is not the job's;
        ``Conflict`` for a one-time job that is running or a job that has ended.
        """

        def decide(job: Job) -> Change | None:
            refuse_timeout(command.timeout, self._longest_run)
            return update(job, command, self._registry, self._clock, self._random, may_mark=caller.may_mark)

        return self._revise(job_id, decide, caller, revision, connection)

    def cancel(
        self, job_id: UUID, *, revision: int | None = None, connection: object | None = None, caller: Caller = NOBODY
    ) -> Job:
        """Cancel a job: at once if it waits; a running one's handler is signalled. An ended job stays as it is."""
        return self._revise(job_id, cancel, caller, revision, connection)

    def pause(
        self, job_id: UUID, *, revision: int | None = None, connection: object | None = None, caller: Caller = NOBODY
    ) -> Job:
        """Keep a job from being run until it is resumed; a run under way goes on."""
        return self._revise(job_id, pause, caller, revision, connection)

    def resume(
        self, job_id: UUID, *, revision: int | None = None, connection: object | None = None, caller: Caller = NOBODY
    ) -> Job:
        """Resume a paused job. Its misfire policy decides about runs that fell due meanwhile."""
        return self._revise(job_id, lambda job: resume(job, self._clock, self._random), caller, revision, connection)

    def run_now(self, job_id: UUID, *, revision: int | None = None, caller: Caller = NOBODY) -> Job:
        """Make a waiting job due at once; a recurring one keeps its schedule afterwards."""
        return self._revise(job_id, run_now, caller, revision, None)

    def retry(self, job_id: UUID, *, revision: int | None = None, caller: Caller = NOBODY) -> Job:
        """Run an ended job once more, with all its retries. Raises ``JobNameTaken`` if its name is in use again."""
        return self._revise(job_id, lambda job: replay(job, self._clock, self._random), caller, revision, None)

    def _arm(self, enqueued: Iterable[Enqueued], connection: object | None) -> None:
        if not self._alarms.needed:
            return
        alarms = [one.alarm for one in enqueued if one.alarm is not None]
        if connection is None:
            self._alarms.arm(alarms)
        else:
            self._alarms.arm_after_commit([alarm.name for alarm in alarms], connection)

    def _revise(
        self,
        job_id: UUID,
        decide: Callable[[Job], Change | None],
        caller: Caller,
        revision: int | None,
        connection: object | None,
    ) -> Job:
        """Read, decide, and write if nobody else has written in between; else decide again on what stands then."""
        for _ in range(_TRIES):
            job = self._store.get(job_id, connection=connection)
            if job is None:
                raise JobNotFound(job_id)
            if revision is not None and job.revision != revision:
                raise PreconditionFailed(job_id, revision, job.revision)
            change = decide(job)
            if change is None:
                return job
            changed = self._store.change(job, change, actor=caller.actor, connection=connection)
            if changed is not None:
                if changed.generation != job.generation:
                    self._rearm(job, changed, connection)
                elif changed.paused and not job.paused:
                    self._withdraw_alarm_of(job, connection)
                return changed
        raise Conflict(f"job {job_id} changes faster than this call can follow; try again")

    def _rearm(self, before: Job, after: Job, connection: object | None) -> None:
        alarms = _alarms_of(after)
        self._withdraw_alarm_of(before, connection)
        if connection is None:
            self._alarms.arm(alarms)
        else:
            self._alarms.arm_after_commit([alarm.name for alarm in alarms], connection)

    def _withdraw_alarm_of(self, job: Job, connection: object | None) -> None:
        """Withdraw the alarm that a job waited for; within a caller's transaction, only once that has committed."""
        names = [AlarmName(job.id, job.generation)]
        if connection is None:
            self._alarms.withdraw(names)
        else:
            self._alarms.withdraw_after_commit(names, connection)


def _alarms_of(job: Job) -> list[Alarm]:
    due: Any = job.next_run_at
    return [] if due is None or job.paused or job.status.ended else [Alarm(AlarmName(job.id, job.generation), due)]
