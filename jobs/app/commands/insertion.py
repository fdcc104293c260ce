"""Validate commands, insert their rows, and resolve names and ids that are taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.app.commands.callers import Caller, Enqueued
from jobs.app.commands.new_job_row import new_job_row
from jobs.app.commands.replacing import refuse_to_replace
from jobs.app.commands.timeout_limit import refuse_timeout
from jobs.core.command_fields import OnConflict
from jobs.core.errors import Conflict, InvalidInput, JobIdTaken, JobNameTaken, UnknownHandler
from jobs.core.handlers.follow_ups import refuse_follow_up_id
from jobs.core.lifecycle.reserved_metadata import refuse_reserved
from jobs.core.lifecycle.status import JobStatus

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta
    from random import Random

    from jobs.core.commands import EnqueueJob
    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.lifecycle.job import Job
    from jobs.core.ports.clock import Clock
    from jobs.core.ports.jobs import Inserted, JobStore, NewJob

_TRIES_FOR_A_NAME = 100
"""Of several calls that replace one job at the same time, each round all but one must try again."""


class NewJobs:
    """Inserts jobs. Lives as long as the process; safe to share between threads."""

    def __init__(
        self,
        store: JobStore,
        registry: HandlerRegistry,
        clock: Clock,
        random: Random,
        longest_run: timedelta | None,
        withdraw: Callable[[Job, object | None], None],
    ) -> None:
        """``withdraw`` withdraws the alarm of a replaced job, within the caller's transaction if there is one."""
        self._store = store
        self._registry = registry
        self._clock = clock
        self._random = random
        self._longest_run = longest_run
        self._withdraw = withdraw

    def insert(self, command: EnqueueJob, connection: object | None, caller: Caller) -> Enqueued:
        """Insert one job. Raises ``InvalidInput``, ``JobNameTaken``, ``JobIdTaken``."""
        new_job = self.new_row(command, caller)
        inserted = self._store.insert(new_job, connection=connection)
        if inserted is None:
            return self.resolve_conflict(command, new_job, connection, caller)
        return Enqueued.new(command, new_job, inserted)

    def new_row(self, command: EnqueueJob, caller: Caller) -> NewJob:
        """Validate a command and return its row. Raises ``InvalidInput`` with every fault."""
        try:
            spec = self._registry.require(command.handler_name, own=caller.may_set_reserved)
        except UnknownHandler as error:
            if others := command.problems():
                raise InvalidInput([*error.problems, *others]) from None
            raise
        if not caller.may_set_reserved:
            refuse_reserved(command.metadata)
        if command.id is not None and caller.parent_id is None:
            refuse_follow_up_id(command.id)
        refuse_timeout(command.timeout, self._longest_run)
        return new_job_row(
            command,
            spec,
            self._clock,
            self._random,
            actor=caller.actor,
            trace_parent=caller.trace_parent,
            parent_id=caller.parent_id,
        )

    def resolve_conflict(
        self, command: EnqueueJob, new_job: NewJob, connection: object | None, caller: Caller
    ) -> Enqueued:
        """Resolve a taken id or name by ``on_conflict``, for its current holder."""
        for _ in range(_TRIES_FOR_A_NAME):
            if command.id is not None and self._store.get(command.id, connection=connection) is not None:
                raise JobIdTaken(command.id)
            holder = self._store.active_holder(new_job.job_name, connection=connection)
            if holder is not None and command.on_conflict is OnConflict.RETURN_EXISTING:
                return Enqueued.existing(holder)
            if holder is not None and command.on_conflict is OnConflict.REPLACE:
                inserted = self._replace(holder, new_job, connection, caller)
            elif holder is not None:
                raise JobNameTaken(new_job.job_name, holder.id, running=holder.status is JobStatus.RUNNING)
            else:
                inserted = self._store.insert(new_job, connection=connection)
            if inserted is not None:
                return Enqueued.new(command, new_job, inserted)
        raise Conflict(f"job_name {new_job.job_name!r} changes hands faster than this call can follow; try again")

    def _replace(self, holder: Job, new_job: NewJob, connection: object | None, caller: Caller) -> Inserted | None:
        """Replace a waiting holder by ``new_job``; None if the holder has changed in the meantime."""
        refuse_to_replace(holder, caller)
        inserted = self._store.replace(holder, new_job, actor=caller.actor, connection=connection)
        if inserted is not None:
            self._withdraw(holder, connection)
        return inserted
