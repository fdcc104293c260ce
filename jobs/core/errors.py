"""Every error that the framework raises on purpose, in one tree.

    JobsError
    ├── InvalidInput            what the caller sent is well formed but wrong; carries one Problem per fault
    │   ├── InvalidSchedule     a schedule expression, time zone or schedule option
    │   └── UnknownHandler      no handler of that name is registered
    ├── JobNotFound             no job has that id
    ├── Conflict                the job's current state does not allow it
    │   ├── JobNameTaken        an active job already holds the name; names the holder
    │   └── JobIdTaken          a job with the id that the caller supplied already exists
    ├── NotAllowed              the caller's roles do not allow it
    ├── PreconditionFailed      the job has changed since the revision that the caller named
    ├── IdempotencyKeyReused    the key was used before for another request
    ├── NotRecordable           the store cannot keep an attempt's outcome as it is
    ├── LeaseLost               another worker holds the run's lease, so this attempt must not complete it
    ├── UnitOfWorkError         a unit of work was used in a way that it cannot be committed
    ├── HandlerMistake          a mistake in a handler's code that a retry cannot fix: the run fails at once
    │   ├── InvalidProgress     a progress outside 0 to 1; a ValueError too
    │   ├── InvalidResult       a result that is not JSON, or too long; a ValueError too
    │   └── MisusedUnitOfWork   one that ended without a vote, or was completed wrongly; a UnitOfWorkError too
    ├── MiddlewareFault         a middleware did not call the handler, or called it twice
    ├── ProviderFault           a provider returned None
    ├── LockNotAcquired         others held the lock until the caller's timeout
    ├── LockLost                the lock had expired before it was released
    ├── Unavailable             a dependency is unreachable for now; retry later
    │   ├── StoreUnavailable    the database
    │   └── SchedulerUnavailable  the scheduler
    ├── ScheduleFault           the computation of a schedule's runs went wrong: a bug, not the caller's mistake
    └── ConfigurationError      the app cannot work with its configuration
        ├── InvalidSettings     settings that cannot be used; names them
        ├── NotMigrated         the database lacks the tables, or has those of an older release
        └── HandlerRegistrationError  a handler module, handler or provider is not usable

A message says what is wrong, where, and what to do. It never contains a secret or a payload's content.

Longer than other files because whoever catches an error is to find its relatives beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.core.near_names import asks_for_near

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in what a caller sent.

    ``pointer`` is a JSON Pointer (RFC 6901) into the request, such as ``/payload/to``; ``""`` is the whole of it.
    """

    pointer: str
    detail: str


class JobsError(Exception):
    """The root of every error raised on purpose; catch it to catch them all."""


class InvalidInput(JobsError):
    """The request is well formed but wrong. Nothing was written."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{p.pointer or '(request)'}: {p.detail}" for p in self.problems))

    @classmethod
    def at(cls, pointer: str, detail: str) -> InvalidInput:
        """Make the error for a single fault at ``pointer``."""
        return cls([Problem(pointer, detail)])


class InvalidSchedule(InvalidInput):
    """A schedule expression, time zone or schedule option that cannot be used."""


class UnknownHandler(InvalidInput):
    """No handler of that name is registered in this app."""

    def __init__(self, handler_name: str, known: Sequence[str], suggestion: str | None = None) -> None:
        names = ", ".join(sorted(known)) or "none"
        what = (
            f"no handler is registered as {handler_name!r}; registered are: {names}{asks_for_near(handler_name, known)}"
        )
        super().__init__([Problem("/handler_name", f"{what}; {suggestion}" if suggestion else what)])


class JobNotFound(JobsError):
    """No job has that id: it never existed, or it has ended and was pruned."""

    def __init__(self, job_id: UUID | str) -> None:
        self.job_id = job_id
        super().__init__(f"no job has the id {job_id}; it never existed, or it ended and was pruned")


class Conflict(JobsError):
    """The job's current state does not allow the request. Nothing was changed."""


class JobNameTaken(Conflict):
    """A job that is Scheduled or Running already holds the name. The name is free again once that job has ended."""

    def __init__(self, job_name: str, holder: UUID, *, running: bool = False) -> None:
        self.job_name = job_name
        self.holder = holder
        suggestion = (
            "it is running, and only a waiting job can be replaced; cancel it, wait for its end, use another name, or "
            "send on_conflict return_existing"
            if running
            else "wait until it has ended, delete it, use another name, or send on_conflict return_existing or replace"
        )
        super().__init__(f"job_name {job_name!r} is held by the active job {holder}; {suggestion}")


class JobIdTaken(Conflict):
    """A job with the id that the caller supplied already exists, ended or not."""

    def __init__(self, job_id: UUID) -> None:
        self.job_id = job_id
        super().__init__(f"a job with the id {job_id} already exists; ids are never used again")


class NotAllowed(JobsError):
    """The caller's roles do not allow the request. Nothing was changed."""


class PreconditionFailed(JobsError):
    """The job has changed since the revision that the caller sent in ``If-Match``."""

    def __init__(self, job_id: UUID, wanted: int, found: int) -> None:
        self.found = found
        super().__init__(f"job {job_id} is at revision {found}, not {wanted}; read it again and decide anew")


class IdempotencyKeyReused(JobsError):
    """The idempotency key was used before, with another request body."""

    def __init__(self) -> None:
        super().__init__("this Idempotency-Key was used with another request body; use a fresh key for a new request")


class NotRecordable(JobsError):
    """The store cannot write an attempt's outcome, however often it is tried. Nothing was written."""


class LeaseLost(JobsError):
    """The attempt lost its lease by a timeout or to another worker. The unit of work is rolled back."""

    def __init__(self, job_id: UUID, run: int) -> None:
        super().__init__(
            f"run {run} of job {job_id} is no longer this attempt's to complete: it timed out, or was taken over after "
            "its worker had been silent for too long; what this unit of work wrote is rolled back"
        )


class UnitOfWorkError(JobsError):
    """A unit of work was used in a way that it cannot be committed. It is rolled back."""


class HandlerMistake(JobsError):
    """A mistake in a handler's code that a retry cannot fix: the run fails at once, whatever retries are left.

    An ``UnknownHandler`` that a handler raises, for a follow-up, is treated alike.
    """


class InvalidProgress(HandlerMistake, ValueError):
    """A progress that is not a fraction from 0 to 1."""


class InvalidResult(HandlerMistake, ValueError):
    """A result that is not JSON, or too long."""


class MisusedUnitOfWork(HandlerMistake, UnitOfWorkError):
    """A unit of work ended without a vote, or ``complete()`` was called without an attempt to complete."""


class MiddlewareFault(JobsError):
    """A middleware did not call the handler, or called it twice; the message names it and the fix."""


class ProviderFault(JobsError):
    """A provider returned None in place of its service; the message names it and the fix."""


class LockNotAcquired(JobsError):
    """Others held the lock until the caller's timeout."""

    def __init__(self, resource: str, seconds: float) -> None:
        self.resource = resource
        super().__init__(f"the lock on {resource!r} was held by others for {seconds:g} s; try again, or wait longer")


class LockLost(JobsError):
    """The lock had expired before it was released, so that others may have held it at the same time."""

    def __init__(self, resource: str) -> None:
        self.resource = resource
        super().__init__(
            f"the lock on {resource!r} had expired before it was released, so others may have worked at the same time; "
            "give it a longer ttl, or extend it between steps"
        )


class Unavailable(JobsError):
    """A dependency is unreachable for now; the same call may succeed later."""


class StoreUnavailable(Unavailable):
    """The database is unreachable, or out of connections or resources. A write may or may not have happened."""


class StoreTakesNoWrites(StoreUnavailable):
    """The database responds but refuses writes: its disk is full, or it is read-only. Nothing was written."""


class SchedulerUnavailable(Unavailable):
    """The scheduler did not accept the alarm. The job is stored, and the reconciler sets its alarm later."""


class ScheduleFault(JobsError):
    """The computation of a schedule's next run returned a time that would run the job again and again.

    The fix is another release of the cron library, after which the job can be retried. Or change the job's schedule.
    """


class ConfigurationError(JobsError):
    """The app cannot work with its configuration; the message names the setting or the file, and the fix."""


class InvalidSettings(ConfigurationError):
    """Invalid settings; ``names`` lists them. Their values may be secret, so the message does not contain them."""

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        self.faults = tuple(faults)
        self.names = tuple(dict.fromkeys(name for name, _ in faults))
        super().__init__(
            "the app cannot start with these settings: " + "; ".join(f"{name}: {why}" for name, why in faults)
        )


class NotMigrated(ConfigurationError):
    """The database lacks the tables, or has those of an older release. Nothing was written."""


class HandlerRegistrationError(ConfigurationError):
    """A handler module, a handler or a provider is unusable; the message names the file and the fix."""
