"""``connect``: enqueue, look up and steer jobs from any program that reaches the database, such as a web app.

with connect("postgresql://app@db.example/shop") as jobs:
    send_invoice.enqueue(SendInvoiceArgs(invoice_id=7), jobs=jobs)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self, TypeVar
from uuid import UUID

from jobs.core.commands import EnqueueJob, UpdateJob
from jobs.core.errors import ConfigurationError, JobNotFound
from jobs.core.handlers.enqueuing.open_jobs import open_jobs
from jobs.core.queries import JobQuery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jobs.app.commands.service import JobService
    from jobs.core.errors import JobsError
    from jobs.core.handlers.enqueuing.open_jobs import EnqueuedJob
    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.lifecycle.job import Attempt, Job
    from jobs.core.ports.jobs import Page
    from jobs.core.ports.scheduler import Scheduler
    from jobs.core.transactions.sql import Connection, Session

Wanted = TypeVar("Wanted")


def connect(
    database_url: str,
    *,
    scheduler: Scheduler | Literal["dapr", "queue"] | None = None,
    queue_connection: str | None = None,
    queue: str = "jobs-wake",
    schema: str = "jobs",
    handlers: str | HandlerRegistry | None = None,
    actor: str | None = None,
    pool_size: int = 4,
    tls: bool | None = None,
    ca_file: str | None = None,
    pgbouncer: bool = False,
    password: Callable[[], str] | None = None,
) -> Jobs:
    """Return the jobs of a database; make one per process and close it, or use ``with``. Safe to share between threads.

    It reads nothing from the environment, and connects when first used. ``scheduler`` sets alarms at once: ``"dapr"``
    with a sidecar beside this process, ``"queue"`` in the app's storage queue ``queue`` (its ``JOBS_QUEUE``), where
    ``queue_connection`` is the account's connection string or ``https://ACCOUNT.queue.core.windows.net``, which signs
    in by identity. Without one a job starts once the app looks for due jobs by itself: within a second where it polls,
    within a minute under Dapr or the queue.

    Jobs are enqueued for the handlers that this process declares (``declare``) or imports; ``handlers`` names a package
    to load, or is a registry. ``actor`` is kept with each job and change as who did it. ``pool_size`` bounds the
    connections, ``password`` is called for each new one. ``tls`` left out is as ``sslmode`` in the address says, and
    on without one. Raises ``ConfigurationError``.
    """
    from jobs.bootstrap.connecting import (  # noqa: PLC0415  whoever only declares handlers needs no driver
        Address,
        Queue,
        check_actor,
        connect_service,
    )

    check_actor(actor)
    address = Address(database_url, pool_size, tls, ca_file, pgbouncer, password, schema)
    service, close = connect_service(address, scheduler, handlers, Queue(queue, queue_connection))
    return Jobs(service, actor, close)


class Jobs:
    """The jobs of one database, with the words of the HTTP API; ``connect`` returns it.

    ``connection`` is a SQLAlchemy ``Connection`` or ``Session`` to that database: the call joins its transaction, and
    takes effect if that commits. An async one is used by ``await conn.run_sync(lambda sync: jobs.enqueue(command,
    connection=sync))``. Calls block for a round trip to the database; from async code use ``asyncio.to_thread``.
    An id may be text, as a URL has it; text that is no id is the id of no job. Every call raises ``TypeError`` for a
    value of another type than it takes, ``StoreUnavailable`` while the database cannot be reached, and
    ``ConfigurationError`` once it was closed.
    """

    def __init__(self, service: JobService, actor: str | None, close: Callable[[], None]) -> None:
        from jobs.app.commands.callers import Caller  # noqa: PLC0415  as in connect

        self._service: JobService | None = service
        self._caller = Caller(actor)
        self._close = close
        self._no_longer_open = open_jobs(lambda: self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; a second call does nothing more. Any other call raises from then on."""
        self._no_longer_open()
        self._service = None
        self._close()

    @property
    def _open(self) -> JobService:
        if self._service is None:
            raise ConfigurationError(
                "these jobs are closed, by close() or at the end of their with block; keep them open for as long as "
                "the process enqueues, or connect(database_url) again"
            )
        return self._service

    def enqueue(self, command: EnqueueJob, /, *, connection: Connection | Session | None = None) -> EnqueuedJob:
        """Insert a job, and arm it once it is committed.

        Raises ``InvalidInput`` with every fault, ``UnknownHandler`` among its kinds; ``JobNameTaken`` where an active
        job holds the name and ``on_conflict`` is ``reject``; ``JobIdTaken``.
        """
        return self._open.enqueue(_instance_of(EnqueueJob, command), connection=connection, caller=self._caller)

    def enqueue_many(
        self, commands: Iterable[EnqueueJob], *, connection: Connection | Session | None = None
    ) -> list[EnqueuedJob | JobsError]:
        """Insert many jobs in few statements; returns for each, in order, the job or why it was refused."""
        wanted = (_instance_of(EnqueueJob, command) for command in commands)
        return list(self._open.enqueue_many(wanted, connection=connection, caller=self._caller))

    def get(self, job_id: UUID | str) -> Job:
        """Read a job; raises ``JobNotFound``. ``waiting_for`` is None: only the app, over HTTP, knows its handlers."""
        return self._open.get(_id_of(job_id))

    def find(self, query: JobQuery | None = None) -> Page:
        """List jobs, newest first: ``page.jobs``, and ``page.cursor`` for the next ``JobQuery``, None at the end."""
        return self._open.find(JobQuery() if query is None else _instance_of(JobQuery, query))

    def attempts(self, job_id: UUID | str) -> list[Attempt]:
        """Read a job's history, the latest attempt first; raises ``JobNotFound``."""
        return self._open.attempts(_id_of(job_id))

    def update(
        self,
        job_id: UUID | str,
        command: UpdateJob,
        *,
        revision: int | None = None,
        connection: Connection | Session | None = None,
    ) -> Job:
        """Change what ``command`` names; a new schedule takes effect at once, of a running recurring job afterwards.

        ``revision`` is that of the job as you have read it: ``PreconditionFailed`` if it has changed since. Raises
        ``InvalidInput``, ``JobNotFound``, and ``Conflict`` for a job that has ended or a one-time job that is running.
        """
        return self._open.update(
            _id_of(job_id),
            _instance_of(UpdateJob, command),
            revision=_revision_of(revision),
            connection=connection,
            caller=self._caller,
        )

    def cancel(
        self, job_id: UUID | str, *, revision: int | None = None, connection: Connection | Session | None = None
    ) -> Job:
        """End a waiting job; ask the handler of a running one to end. One that has ended stays as it is."""
        return self._open.cancel(
            _id_of(job_id), revision=_revision_of(revision), connection=connection, caller=self._caller
        )

    def pause(
        self, job_id: UUID | str, *, revision: int | None = None, connection: Connection | Session | None = None
    ) -> Job:
        """Keep a job from being run until it is resumed; a run under way goes on."""
        return self._open.pause(
            _id_of(job_id), revision=_revision_of(revision), connection=connection, caller=self._caller
        )

    def resume(
        self, job_id: UUID | str, *, revision: int | None = None, connection: Connection | Session | None = None
    ) -> Job:
        """Have a paused job run again; its misfire policy decides about what fell due meanwhile."""
        return self._open.resume(
            _id_of(job_id), revision=_revision_of(revision), connection=connection, caller=self._caller
        )

    def run_now(self, job_id: UUID | str, *, revision: int | None = None) -> Job:
        """Make a waiting job due at once; a recurring one keeps its schedule. Raises ``Conflict``."""
        return self._open.run_now(_id_of(job_id), revision=_revision_of(revision), caller=self._caller)

    def retry(self, job_id: UUID | str, *, revision: int | None = None) -> Job:
        """Run an ended job once more, with all its retries. Raises ``Conflict``, ``JobNameTaken``."""
        return self._open.retry(_id_of(job_id), revision=_revision_of(revision), caller=self._caller)


def _instance_of(kind: type[Wanted], given: object) -> Wanted:
    """Return ``given``; raises ``TypeError`` if it is of another kind, such as a dict."""
    if not isinstance(given, kind):
        raise TypeError(f"give {kind.__name__}, such as {_EXAMPLES[kind]}, and not a {type(given).__name__}")
    return given


_EXAMPLES: dict[type, str] = {
    EnqueueJob: "send_invoice.command(args) or EnqueueJob(handler_name=...)",
    UpdateJob: 'UpdateJob(schedule="@daily")',
    JobQuery: 'JobQuery(job_name="invoice-7")',
}


def _id_of(given: object) -> UUID:
    if isinstance(given, UUID):
        return given
    if not isinstance(given, str):
        raise TypeError(f"a job's id is a UUID or its text, and not a {type(given).__name__}")
    try:
        return UUID(given)
    except ValueError:
        raise JobNotFound(given) from None


def _revision_of(given: int | None) -> int | None:
    if given is not None and type(given) is not int:
        raise TypeError(f"revision is a whole number, as job.revision is, and not a {type(given).__name__}")
    return given
