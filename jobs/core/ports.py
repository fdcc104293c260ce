"""What the core needs of the outside: a store, a scheduler, a clock. Adapters implement these and no more."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime, timedelta
    from uuid import UUID

    from jobs.core.commands import HistoryQuery, JobQuery
    from jobs.core.identifiers import AlarmName
    from jobs.core.job import Attempt, ClaimedRun, Job, Lease, Recorded, RecordedOutcome
    from jobs.core.limits import Label, LimitedClaim, Limits, Mislabelled
    from jobs.core.setback import LatestRecord, SetBack, WaitingJob, WaitingPage
    from jobs.core.waiting import LimitUsage


class Clock(Protocol):
    """The time that counts: the database's, so that workers with a wrong clock do no harm."""

    def now(self) -> datetime:
        """Give the present instant in UTC."""


class NewJob(NamedTuple):
    """A row to insert. ``due_at``, ``scheduled_for`` and ``anchor`` None are now, by the database's clock.

    ``payload``, ``metadata``, ``options`` and ``retry`` are JSON text; ``options`` holds what the timing has beside
    schedule and timezone, None when all of it is the default; ``retry`` is None where the handler's policy holds. The
    first ``OWN_FIELDS`` differ from row to row; jobs that are enqueued together mostly have the rest in common.
    """

    id: UUID
    job_name: str
    payload: str
    metadata: str
    handler_name: str
    schedule: str
    timezone: str
    options: str | None
    recurring: bool
    due_at: datetime | None
    scheduled_for: datetime | None
    anchor: datetime | None
    max_retries: int
    timeout_seconds: float | None
    created_by: str | None
    trace_parent: str | None
    payload_version: int = 1
    retry: str | None = None
    limited: bool = False
    concurrency_key: str | None = None
    parent_id: UUID | None = None


OWN_FIELDS = 4


class Inserted(NamedTuple):
    """What the database decided about an inserted row."""

    id: UUID
    created_at: datetime
    due_at: datetime
    scheduled_for: datetime


class Alarm(NamedTuple):
    """A wake-up to ask a scheduler for: call back about ``name`` at ``due_at`` (UTC)."""

    name: AlarmName
    due_at: datetime


class _Now(Enum):
    NOW = "now"


NOW = _Now.NOW
"""Stands in a ``Change`` for the database's present time."""


@dataclass(frozen=True, slots=True)
class Change:
    """Columns to set on one job, for one named action. Values are plain, JSON values text; ``NOW`` is the present."""

    action: str
    columns: dict[str, Any]
    new_generation: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """Some jobs, newest first, and the cursor of the next page, None at the end."""

    jobs: list[Job]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class AttemptPage:
    """Some of a job's attempts, newest first, and the cursor of the next page, None at the end."""

    attempts: list[Attempt]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a heartbeat found: the leases still held, and of these the ones whose cancellation was requested."""

    held: frozenset[str]
    cancel_requested: frozenset[str]


class OnceEntry(Protocol):
    """An idempotency key, held in an open transaction."""

    @property
    def answer(self) -> str | None:
        """The answer kept for the first request under this key, None if this is the first."""

    @property
    def connection(self) -> object:
        """The transaction to do the work in."""

    def keep(self, answer: str) -> None:
        """Keep the answer for repeats; it commits or rolls back with the work."""


class JobStore(Protocol):
    """Jobs as rows. Every method raises ``StoreUnavailable`` when the database cannot be reached in time.

    ``connection`` is the caller's own SQLAlchemy connection or session: the call joins its transaction.
    """

    def insert(self, job: NewJob, *, connection: object | None = None) -> Inserted | None:
        """Insert one row in one statement; None where an active job holds its name, or a job its id."""

    def insert_many(self, jobs: Iterable[NewJob], *, connection: object | None = None) -> list[Inserted | None]:
        """Insert rows, many a statement, each on its own merit. ``jobs`` may be lazy; it is read once.

        Of rows with one id only the first is tried; for the others None is given.
        """

    def replace(
        self, holder: Job, job: NewJob, *, actor: str | None = None, connection: object | None = None
    ) -> Inserted | None:
        """Cancel ``holder``, noting who did it, and insert ``job`` under its name: both, or neither, in one statement.

        None, with nothing changed, where the holder has changed since it was read or a job has the new one's id.
        Raises ``JobIdTaken`` where such a job appears in that very moment.
        """

    def get(self, job_id: UUID, *, connection: object | None = None) -> Job | None:
        """Read one job."""

    def active_holder(self, job_name: str, *, connection: object | None = None) -> Job | None:
        """Read the Scheduled or Running job of that name."""

    def find(self, query: JobQuery) -> Page:
        """List jobs, newest first; the page ends early once it is large."""

    def attempts(self, job_id: UUID) -> list[Attempt]:
        """Read a job's history, newest first."""

    def find_attempts(self, job_id: UUID, query: HistoryQuery) -> AttemptPage:
        """List a job's attempts, newest first; the page ends early once it is large."""

    def change(
        self, job: Job, change: Change, *, actor: str | None = None, connection: object | None = None
    ) -> Job | None:
        """Change a job and note who did it; None when it has changed since ``job`` was read.

        Raises ``JobNameTaken`` when the change would make it hold a name that another active job holds.
        """

    def mark_armed(self, names: Collection[AlarmName]) -> None:
        """Note that the scheduler holds these alarms; those of a past generation are passed over."""

    def forget_armed(self, name: AlarmName) -> None:
        """Take that note back, so that the alarm is set anew; nothing happens to one of a past generation."""

    def waiting_alarms(self, job_ids: Collection[UUID]) -> list[Alarm]:
        """List the alarms that these jobs wait for and no scheduler has accepted; jobs that do not exist have none."""

    def on_commit(self, connection: object, call: Callable[[], object]) -> None:
        """Have ``call`` called as the caller's transaction is about to commit, and not at all if it is rolled back.

        The rows may become visible to others a moment later, or never: the commit itself may fail.
        """

    def once(self, key: str, fingerprint: str) -> AbstractContextManager[OnceEntry]:
        """Open a transaction that holds an idempotency key; it commits when the block ends well.

        A concurrent request under the same key waits for the first. Raises ``IdempotencyKeyReused`` if the key
        belongs to another request.
        """


class Conviction(NamedTuple):
    """A lost run of a recurring job that is what ended its worker, under a lease of the caller's."""

    run: ClaimedRun
    error: str


class RunStore(Protocol):
    """Claims, leases and outcomes: each a single statement, fenced by the lease's token.

    Jobs of handlers with limits are claimed by ``claim_limited`` alone. The other claims pass them over: rows that are
    marked as such, and those of the handlers named in ``apart``, whose mark may not be up to date.
    """

    def claim(
        self, alarm: AlarmName, *, worker: str, lease: timedelta, apart: Collection[str] = (), alone: bool = False
    ) -> ClaimedRun | None:
        """Claim the job of ``alarm`` if it is due, unpaused and of that generation; None otherwise.

        Suspects are claimed ``alone`` only: the caller starts nothing else beside such a run until ``end_alone``.
        """

    def claim_due(self, limit: int, *, worker: str, lease: timedelta, apart: Collection[str] = ()) -> list[ClaimedRun]:
        """Claim up to ``limit`` due jobs, the longest due first, passing over rows that others are claiming."""

    def claim_limited(
        self,
        handler_name: str,
        limits: Limits,
        limit: int,
        *,
        worker: str,
        lease: timedelta,
        alarm: AlarmName | None = None,
        alone: bool = False,
    ) -> LimitedClaim:
        """Claim up to ``limit`` due jobs of one handler, the longest due first, as far as its limits allow.

        What runs and what was started is read from the rows themselves, while no other claim of that handler is under
        way: so the limits hold whatever dies. With ``alarm``, only the job that it names is claimed, and with ``alone``
        also if it is a suspect.
        """

    def due_in(self, alarm: AlarmName) -> float | None:
        """Seconds until the job of ``alarm`` is due, by the clock that claims go by; zero or less once it is.

        None unless it is Scheduled and of that generation.
        """

    def due_suspects(self, limit: int) -> list[AlarmName]:
        """List suspects that are due, the longest due first; no other claim takes them. See ``jobs.core.suspects``."""

    def end_alone(self, lease: Lease) -> bool:
        """Note that others start beside a suspect from now on, so that its loss convicts it no more."""

    def claim_convicted(self, limit: int, *, max_lost: int, lease: timedelta) -> list[Conviction]:
        """Take over lost runs of recurring jobs that are what ends their workers, to record that they failed."""

    def waiting_handlers(self, handler_names: Collection[str]) -> list[str]:
        """Give those of these handlers that have due jobs marked as waiting for their turn, suspects left out."""

    def limit_usage(self, periods: Mapping[str, timedelta]) -> LimitUsage:
        """Count what runs, and what was started within a period, of handlers with limits, by their names."""

    def extend(self, leases: Collection[Lease], lease: timedelta) -> Heartbeat:
        """Push the expiry of these leases out to now + ``lease``."""

    def look(self, leases: Collection[Lease]) -> Heartbeat:
        """Read, without extending them, which of these leases are held and whose jobs are to be cancelled."""

    def record(self, outcomes: Sequence[RecordedOutcome], *, connection: object | None = None) -> list[Recorded]:
        """Write outcomes, history and next occurrences; gives those that stand.

        One that is missing was fenced off: its lease is another's now, or the job's schedule has changed meanwhile.
        ``connection`` is that of a unit of work, whose transaction the call joins. Raises, and writes nothing, when an
        outcome among them cannot be kept.
        """

    def report_progress(self, lease: Lease, fraction: float, message: str | None) -> bool:
        """Note how far an attempt has come; False, and nothing noted, if its lease is another's now.

        Raises ``StoreUnavailable``, without waiting, while a transaction is writing the job's row.
        """

    def reread(self, run: ClaimedRun, *, connection: object | None = None) -> ClaimedRun | None:
        """Give the run with the job's present schedule and generation if its lease is still held, else None."""

    def recorded(self, run: ClaimedRun) -> Recorded | None:
        """Give what stands of the outcome that was recorded for this very attempt, None if none was.

        Waits for a transaction that may be about to record one.
        """


class Transaction(Protocol):
    """An open transaction of the store's own, on a connection that nothing else uses meanwhile."""

    @property
    def connection(self) -> Any:
        """What the store's calls take as ``connection``; on PostgreSQL a SQLAlchemy ``Connection``."""

    @property
    def session(self) -> Any:
        """An ORM session within it, made when first asked for; ``UnitOfWorkError`` where there is no such thing."""

    @property
    def executed(self) -> int:
        """How many statements were run in it so far; more than none, too, where the session has something to flush."""

    def commit(self) -> None:
        """Commit; may be called once. Raises ``StoreUnavailable`` when it was not committed, or nobody knows."""

    def close(self) -> None:
        """Roll back what was not committed and let go of the connection. Never raises."""


class Transactions(Protocol):
    """Opens transactions for units of work; what nesting, votes and completion mean is settled above it."""

    def begin(self) -> Transaction:
        """Open a transaction, which must be closed; raises ``StoreUnavailable`` when no connection is to be had."""


class LockStore(Protocol):
    """Named locks that expire by the store's clock. Each call is a single statement, committed when it returns."""

    def take(self, resource: str, token: str, *, holder: str, ttl: timedelta) -> int | None:
        """Take a lock that is free or has expired under ``token``, for ``ttl``; None while another token holds it.

        Gives its fencing token: a number larger than that of every holder of ``resource`` before.
        """

    def extend(self, resource: str, token: str, ttl: timedelta) -> bool:
        """Push the expiry out to now + ``ttl``; False if ``token`` no longer holds the lock."""

    def free(self, resource: str, token: str) -> bool:
        """Let go of the lock; False if ``token`` no longer held it."""


class Wait(NamedTuple):
    """How many jobs are due and not yet running, and for how many seconds the latest of them has been."""

    due: int
    seconds: float


class Failures(NamedTuple):
    """Attempts that ended badly: by their handler, and by the loss of their worker."""

    failed: int
    lost: int


class JobPlace(NamedTuple):
    """A job's place among all, by when it was created."""

    created_at: datetime
    id: UUID


class HistoryLimit(NamedTuple):
    """How far one call goes: jobs to look at, and lines of history to delete, of attempts as well as of the audit."""

    jobs: int
    rows: int


class PrunedHistory(NamedTuple):
    """How much was deleted, and the ``after`` of the next call; ``more`` is False once all jobs were looked at."""

    attempts: int
    audit: int
    after: JobPlace | None
    more: bool


class Housekeeping(Protocol):
    """What the reconciler asks of the store. Each call is one bounded statement."""

    def reap(self, limit: int, *, max_lost: int) -> list[tuple[AlarmName, Alarm | None]]:
        """Take back runs whose lease has expired; a one-time job that is what ends its workers is failed.

        That it is if it was lost ``max_lost`` times in a row, and alone when it last was. A recurring one is left to
        ``RunStore.claim_convicted``. Gives each job with its next alarm, None where it has ended.
        """

    def unarmed(self, limit: int, within: timedelta, *, after: Alarm | None = None) -> list[Alarm]:
        """List alarms that no scheduler has accepted, due within that time, the earliest first and behind ``after``."""

    def overdue(self, limit: int, grace: timedelta, *, after: Alarm | None = None) -> list[Alarm]:
        """List alarms that should have rung longer than ``grace`` ago, the earliest first and behind ``after``."""

    def prune(self, limit: int, retention: timedelta, *, keep: int) -> int:
        """Delete jobs that ended longer than ``retention`` ago, with their history; gives how many.

        Those with more than ``keep`` attempts wait until ``prune_history`` has deleted the rest.
        """

    def prune_history(
        self, limit: HistoryLimit, retention: timedelta, *, keep: int, after: JobPlace | None
    ) -> PrunedHistory:
        """Delete attempts and audit older than ``retention``, of any job, but never a job's newest ``keep`` attempts.

        Goes from job to job, the first created first, beginning behind ``after``. Deletes nothing while another does.
        """

    def prune_keys(self, limit: int, retention: timedelta) -> int:
        """Delete idempotency keys older than ``retention``; gives how many."""

    def prune_locks(self, limit: int, retention: timedelta) -> int:
        """Delete locks that were released or expired longer than ``retention`` ago; gives how many."""

    def mislabelled(
        self, limit: int, *, limited: Collection[str], known: Collection[str], grace: timedelta
    ) -> list[Mislabelled]:
        """List running and due jobs whose mark is not what this release's handlers make of it.

        Those of ``limited`` handlers must be marked, those of other ``known`` ones must not; nor must those of unknown
        ones that are due longer than ``grace`` ago, which nobody seems to claim.
        """

    def label(self, labels: Sequence[Label]) -> int:
        """Mark active jobs; gives how many there still were."""

    def longest_wait(self, limit: int) -> Wait:
        """Count due jobs, up to ``limit``, and tell how late the latest is.

        Paused jobs are not due; jobs of a handler with a limit are left out, since they may wait because of it.
        """

    def recent_failures(self, window: timedelta) -> Failures:
        """Count the attempts that ended badly within ``window``, also those that are tried again."""

    def stats(self) -> dict[str, Any]:
        """Count jobs by status and handler, with lateness and recent rates."""

    def ping(self) -> None:
        """Check that the database answers, is migrated and takes writes; raises what says which of these it is not."""


class Setbacks(Protocol):
    """What there is to mend once the store's clock, having been ahead, was set back. Each call is one statement."""

    def latest_record(self) -> LatestRecord:
        """Give the present time, and the latest instant at which a job, an attempt or a change is noted."""

    def waiting(self, limit: int, after: WaitingJob | None) -> WaitingPage:
        """List unpaused Scheduled jobs that are not due yet, the soonest due first, from behind ``after`` on."""

    def set_back(self, moves: Sequence[SetBack]) -> list[Alarm]:
        """Give waiting jobs other times under a new generation; gives the alarms of those that still waited so."""

    def shorten_leases(self, lease: timedelta) -> int:
        """Have leases that last longer than two of ``lease`` expire after one; gives how many."""


class Scheduler(Protocol):
    """An alarm clock, no more. Losing every alarm costs lateness, never a run."""

    @property
    def name(self) -> str:
        """The word that chooses it in ``JOBS_SCHEDULER``."""

    @property
    def holds_alarms(self) -> bool:
        """Whether alarms live outside the database and so must be set; False where due rows are polled for."""

    @property
    def available(self) -> bool:
        """False while it is known not to take alarms, so that due jobs must be looked for. Costs nothing."""

    @property
    def why_away(self) -> str | None:
        """Why it takes no alarms, in words for people; None while it is available. Costs nothing."""

    on_return: Callable[[], object]
    """Called, on a thread of the scheduler's own, as soon as it takes alarms again after it was away."""

    def arm_many(self, alarms: Sequence[Alarm]) -> set[AlarmName]:
        """Ask for wake-ups; gives the names that were accepted. Setting the same alarm twice is harmless.

        Raises ``SchedulerUnavailable`` when none could be set.
        """

    def disarm_many(self, names: Iterable[AlarmName]) -> None:
        """Withdraw wake-ups; one that is missing or rings all the same is harmless."""

    def close(self) -> None:
        """Let go of connections."""
