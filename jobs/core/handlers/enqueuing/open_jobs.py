"""What this process enqueues with where nothing is passed: the app, the open ``connect()`` or a test's harness."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from jobs.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from jobs.core.commands import EnqueueJob
    from jobs.core.lifecycle.job import Job
    from jobs.core.transactions.sql import Connection, Session

Result_co = TypeVar("Result_co", covariant=True)


class EnqueuedJob(Protocol):
    """What enqueuing returns."""

    @property
    def id(self) -> UUID:
        """The job's id."""

    @property
    def created(self) -> bool:
        """False where ``on_conflict`` is ``return_existing`` and an active job of that name is returned instead."""

    @property
    def job(self) -> Job:
        """The job as it was when it was enqueued."""

    @property
    def warnings(self) -> list[str]:
        """What the schedule means here and not where people copy it from."""


class Enqueues(Protocol[Result_co]):
    """What a command can be given to: ``Jobs``, a handler's ``JobContext``, or a test's ``JobsHarness``."""

    def enqueue(self, command: EnqueueJob, /) -> Result_co:
        """Enqueue a job."""


class EnqueuesWithin(Protocol):
    """What can enqueue within a caller's transaction."""

    def enqueue(self, command: EnqueueJob, /, *, connection: Connection | Session | None = None) -> EnqueuedJob:
        """Enqueue a job, in the transaction of ``connection`` if there is one."""


class _Opened(NamedTuple):
    current: Callable[[], EnqueuesWithin]
    alone: bool


_opened: list[_Opened] = []


def open_jobs(current: Callable[[], EnqueuesWithin], *, alone: bool = False) -> Callable[[], None]:
    """Have handlers enqueue with what ``current`` returns, until the returned function is called.

    With ``alone`` what was opened before counts no more until then, as in a test.
    """
    opened = _Opened(current, alone)
    _opened.append(opened)

    def close() -> None:
        _opened[:] = [each for each in _opened if each is not opened]

    return close


def current_jobs() -> EnqueuesWithin:
    """Return what is open in this process; raises ``ConfigurationError`` where that is nothing, or more than one."""
    places = [place for place, each in enumerate(_opened) if each.alone]
    counting = _opened[places[-1] :] if places else _opened[:]
    if len(counting) == 1:
        return counting[0].current()
    found = f"{len(counting)} databases are connected to" if counting else "nothing is connected to"
    raise ConfigurationError(
        f"{found} in this process, so where to enqueue is not known; pass it: jobs = connect(database_url), once in a "
        "process, and enqueue(..., jobs=jobs)"
    )
