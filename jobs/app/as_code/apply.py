"""Make an owner's recurring jobs match a file: plan the changes, and apply them in one transaction."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.app.as_code.check import is_over
from jobs.app.as_code.plan import Action, Step, is_as_written, step_for
from jobs.app.commands.callers import Caller
from jobs.app.commands.job_changes import check_update
from jobs.core.as_code.file import OWNER_KEY
from jobs.core.errors import Conflict, InvalidInput, Problem, Unavailable
from jobs.core.lifecycle.status import JobStatus
from jobs.core.queries import MAX_PAGE, JobQuery
from jobs.core.schedules.timing import Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobs.app.commands.service import JobService
    from jobs.core.as_code.file import RecurringJob, ScheduleFile
    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.lifecycle.job import Job
    from jobs.core.ports.clock import Clock
    from jobs.core.transactions.lock import DistributedLock
    from jobs.core.transactions.unit_of_work import UnitsOfWork

_ACTIVE = (JobStatus.SCHEDULED, JobStatus.RUNNING)
_TRIES = 5
_TTL = timedelta(minutes=2)
_POLL_SECONDS = 0.5
DEFAULT_WAIT = timedelta(minutes=1)


class ScheduleChanges:
    """Plans and applies the changes between an owner's jobs and a file. Lives as long as its parts."""

    def __init__(
        self,
        service: JobService,
        registry: HandlerRegistry,
        units: UnitsOfWork,
        lock: DistributedLock,
        clock: Clock,
        *,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._service = service
        self._registry = registry
        self._units = units
        self._lock = lock
        self._clock = clock
        self._sleep = sleep

    def plan(self, file: ScheduleFile, *, adopt: bool = False) -> list[Step]:
        """Return the steps of ``apply``, sorted by name; changes nothing.

        Raises ``InvalidInput`` for names that active jobs of others hold, and for bounds that leave a job nothing to
        run. With ``adopt``, a recurring job that holds a name and belongs to no file is taken over instead.
        """
        now = self._clock.now()
        known = {job.job_name: job for job in self._jobs_of(file.owner)}
        steps: list[Step] = []
        problems: list[Problem] = []
        for place, entry in enumerate(file.jobs):
            job = known.pop(entry.job_name, None)
            if job is None and not is_over(entry, now):
                job = self._holder(entry.job_name)
                if job is not None and not (adopt and job.recurring and _owner_of(job) is None):
                    problems.append(Problem(f"/jobs/{place}/job_name", _held(job)))
                    continue
            steps.append(self._step(entry, job, file.owner, over=is_over(entry, now)))
            problems += _faults_of(steps[-1], place, self._clock)
        if problems:
            raise InvalidInput(problems)
        steps += [_removal(job) for job in known.values() if job.cancel_requested_at is None]
        return sorted(steps, key=lambda step: step.job_name)

    def apply(
        self,
        file: ScheduleFile,
        *,
        adopt: bool = False,
        wait: timedelta = DEFAULT_WAIT,
        on_step: Callable[[Step], object] = lambda _: None,
    ) -> list[Step]:
        """Make the owner's active jobs match ``file``, all in one transaction; returns the steps that were done.

        Every change goes through the service, so it is validated and audited like any caller's. ``on_step`` is called
        with each step after its commit. A job that must be recreated while it runs takes longer: it is cancelled, and
        recreated when its run has ended. If that takes longer than ``wait``, ``Conflict`` is raised, and a later call
        with the same file completes the rest. Calls for one owner are serialized by a lock.

        Raises ``InvalidInput`` as ``plan`` does, before anything has changed; ``StoreUnavailable``,
        ``LockNotAcquired``.
        """
        caller = Caller(actor=f"jobs apply, {file.owner}", may_set_reserved=True)
        polls = int(wait.total_seconds() / _POLL_SECONDS)
        # The timeout exceeds the lock's ttl, so that the lock of a process that died expires first.
        with self._lock.acquire(f"jobs.apply:{file.owner}", _TTL, timeout=_TTL + timedelta(seconds=10)) as lock:
            done, waiting = self._apply_retrying(file, caller, adopt=adopt)
            for step in done:
                on_step(step)
            while waiting:
                if polls <= 0:
                    raise Conflict(_still_running(waiting))
                polls -= 1
                self._sleep(_POLL_SECONDS)
                lock.extend(_TTL)
                steps, waiting = self._apply_retrying(file, caller, adopt=adopt)
                for step in steps:
                    if step.changes_something and step.job_name not in waiting:
                        on_step(step)
                        done.append(step)
        return done

    def _apply_retrying(self, file: ScheduleFile, caller: Caller, *, adopt: bool) -> tuple[list[Step], set[str]]:
        """Plan the steps and carry them out; start over if a concurrent change intervenes."""
        for left in range(_TRIES, 0, -1):
            steps = self.plan(file, adopt=adopt)
            try:
                return steps, self._carry_out(steps, file.owner, caller)
            except (Conflict, Unavailable):
                if left == 1:
                    raise
                self._sleep(0.05 * (_TRIES - left + 1))
        raise AssertionError

    def _carry_out(self, steps: Sequence[Step], owner: str, caller: Caller) -> set[str]:
        """Carry out all steps or none; returns the names of jobs that must end before they can be recreated."""
        todo = [step for step in steps if step.changes_something]
        if not todo:
            return set()
        waiting: set[str] = set()
        with self._units.begin(requires_new=True) as uow:
            # In the order of ids, in which every batch locks rows; new jobs in the order of names.
            for step in sorted(todo, key=lambda step: (str(step.job.id) if step.job else "new", step.job_name)):
                if not self._carry_out_one(step, owner, caller, uow.connection):
                    waiting.add(step.job_name)
            uow.commit()
        return waiting

    def _carry_out_one(self, step: Step, owner: str, caller: Caller, connection: object) -> bool:
        """Carry out one step; False if its job must end first."""
        entry, job = step.entry, step.job
        if job is not None and step.action is Action.UPDATE:
            if step.update is not None:
                self._service.update(job.id, step.update, connection=connection, caller=caller)
            if "paused" in step.changes:
                switch = self._service.pause if step.changes["paused"] else self._service.resume
                switch(job.id, connection=connection, caller=caller)
            return True
        if job is not None:
            ended = self._service.cancel(job.id, connection=connection, caller=caller).status.ended
            if entry is not None and not ended:
                return False
        if entry is not None:
            made = self._service.enqueue(entry.command(owner), connection=connection, caller=caller)
            if entry.paused:
                self._service.pause(made.id, connection=connection, caller=caller)
        return True

    def _step(self, entry: RecurringJob, job: Job | None, owner: str, *, over: bool) -> Step:
        spec = self._registry.require(entry.handler_name)
        if over:
            if job is None:
                return Step(Action.SAME, entry.job_name, entry, why=("its end_at has passed",))
            if any(getattr(job, name) != getattr(entry, name) for name in Timing.model_fields):
                return _removal(job, "its end_at has passed")
        if job is None and entry.max_runs is not None and self._has_run(entry, owner):
            return Step(Action.SAME, entry.job_name, entry, why=("its max_runs have taken place",))
        return step_for(entry, job, spec, owner)

    def _jobs_of(self, owner: str) -> list[Job]:
        query = JobQuery(status=_ACTIVE, metadata={OWNER_KEY: (owner,)}, limit=MAX_PAGE)
        page = self._service.find(query)
        jobs = list(page.jobs)
        while page.cursor is not None:
            page = self._service.find(query.model_copy(update={"cursor": page.cursor}))
            jobs += page.jobs
        return [job for job in jobs if job.recurring]

    def _holder(self, job_name: str) -> Job | None:
        return next(iter(self._service.find(JobQuery(status=_ACTIVE, job_name=job_name, limit=1)).jobs), None)

    def _has_run(self, entry: RecurringJob, owner: str) -> bool:
        """Whether the owner's latest job of that name is Completed, and is as the entry describes it."""
        query = JobQuery(job_name=entry.job_name, metadata={OWNER_KEY: (owner,)}, limit=1)
        spec = self._registry.require(entry.handler_name)
        latest = self._service.find(query).jobs
        return any(job.status is JobStatus.COMPLETED and is_as_written(entry, job, spec, owner) for job in latest)


def _faults_of(step: Step, place: int, clock: Clock) -> list[Problem]:
    if step.action is not Action.UPDATE or step.update is None or step.job is None:
        return []
    try:
        check_update(step.job, step.update, clock)
    except InvalidInput as error:
        return [Problem(f"/jobs/{place}{problem.pointer}", problem.detail) for problem in error.problems]
    return []


def _owner_of(job: Job) -> object:
    return job.metadata.get(OWNER_KEY)


def _held(job: Job) -> str:
    owner = _owner_of(job)
    if not job.recurring:
        return f"is held by the active one-time job {job.id}; use another name, or wait until that has ended"
    if owner is not None:
        return f"is held by the active job {job.id}, which belongs to {owner!r}; use another name, or remove it there"
    return f"is held by the active job {job.id}, which belongs to no file; --adopt takes it over, or use another name"


def _removal(job: Job, *why: str) -> Step:
    running = ("it runs, and is asked to end",) if job.status is JobStatus.RUNNING else ()
    return Step(Action.REMOVE, job.job_name, job=job, why=why + running)


def _still_running(names: set[str]) -> str:
    listed = ", ".join(repr(name) for name in sorted(names))
    return (
        f"asked to end, to be made anew after that, but still running: {listed}; everything else is applied. Apply the "
        "file again once they have ended, or wait longer with --wait"
    )
