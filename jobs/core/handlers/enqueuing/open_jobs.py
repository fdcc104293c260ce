"""The default target of ``enqueue`` in this process: the app, the open ``connect()`` or a test's harness."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from jobs.core.errors import ConfigurationError, HandlerMistake

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from jobs.core.commands import EnqueueJob
    from jobs.core.lifecycle.job import Job
    from jobs.core.transactions.sql import Connection, Session

Result_co = TypeVar("Result_co", covariant=True)


class EnqueuedJob(Protocol):
    """The result of enqueuing a job."""

    @property
    def id(self) -> UUID:
        """The job's id."""

    @property
    def created(self) -> bool:
        """False if ``on_conflict`` is ``return_existing`` and an active job of that name is returned instead."""

    @property
    def job(self) -> Job:
        """The job as it was when it was enqueued."""

    @property
    def warnings(self) -> list[str]:
        """Warnings about the schedule: what it means here, where other systems read it differently."""


class Enqueues(Protocol[Result_co]):
    """Anything that enqueues a command: ``Jobs``, a handler's ``JobContext``, or a test's ``JobsHarness``."""

    def enqueue(self, command: EnqueueJob, /) -> Result_co:
        """Enqueue a job."""


class EnqueuesWithin(Protocol):
    """Anything that enqueues a command within a caller's transaction."""

    def enqueue(self, command: EnqueueJob, /, *, connection: Connection | Session | None = None) -> EnqueuedJob:
        """Enqueue a job, in the transaction of ``connection`` if there is one."""


class _Opened(NamedTuple):
    current: Callable[[], EnqueuesWithin]
    exclusive: bool


_opened: list[_Opened] = []

within_attempt: ContextVar[bool] = ContextVar("jobs_within_attempt", default=False)
"""Whether a handler is being executed here, whose retries would enqueue again."""


def open_jobs(current: Callable[[], EnqueuesWithin], *, exclusive: bool = False) -> Callable[[], None]:
    """Make handlers enqueue with what ``current`` returns, until the returned function is called.

    ``exclusive`` hides everything opened earlier until then, as a test needs it.
    """
    opened = _Opened(current, exclusive)
    _opened.append(opened)

    def close() -> None:
        _opened[:] = [each for each in _opened if each is not opened]

    return close


def current_jobs() -> EnqueuesWithin:
    """Return what is open in this process.

    Raises ``ConfigurationError`` if nothing is open, or more than one, and ``HandlerMistake`` within a handler.
    """
    if within_attempt.get():
        raise HandlerMistake(
            "within a handler, an enqueue without jobs= would be done again by each retry; write jobs=ctx for a "
            "follow-up, which is enqueued once for the run, or pass what connect(database_url) returned"
        )
    places = [place for place, each in enumerate(_opened) if each.exclusive]
    visible = _opened[places[-1] :] if places else _opened[:]
    if len(visible) == 1:
        return visible[0].current()
    found = f"{len(visible)} databases are connected to" if visible else "nothing is connected to"
    raise ConfigurationError(
        f"{found} in this process, so where to enqueue is not known; pass it: jobs = connect(database_url), once in a "
        "process, and enqueue(..., jobs=jobs)"
    )
