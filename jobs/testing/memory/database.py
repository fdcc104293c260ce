"""Tables in memory, and transactions on them: each sees committed rows and its own.

A row written by an open transaction is locked, as on PostgreSQL: other writers wait until that transaction ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from contextlib import contextmanager
from itertools import count
from threading import Condition, RLock
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from jobs.core.errors import StoreUnavailable, UnitOfWorkError
from jobs.testing.memory import rows, worker_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from datetime import datetime
    from uuid import UUID

    from jobs.core.ports.clock import Clock
    from jobs.core.ports.operations import Progress

Key = TypeVar("Key", bound=Hashable)
Row = TypeVar("Row")
_LOCK_TIMEOUT_SECONDS = 5.0


class Table(Generic[Key, Row]):
    """Committed rows by key, in the order in which they were first committed."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: dict[Key, Row] = {}


class RowLock(NamedTuple):
    """A lock of a transaction: on a row, or on a unique value."""

    kind: str
    key: Hashable


class MemoryDatabase:
    """The tables of one database. Its clock decides what is due and what has expired. Safe to share between threads.

    With ``available`` set to False every statement raises ``StoreUnavailable``, as for an unreachable database.
    """

    def __init__(self, clock: Clock, *, lock_timeout_seconds: float = _LOCK_TIMEOUT_SECONDS) -> None:
        self.clock = clock
        self.available = True
        self.jobs: Table[UUID, rows.JobRow] = Table("job")
        self.attempts: Table[tuple[UUID, str], rows.AttemptRow] = Table("attempt")
        self.audit: Table[tuple[UUID, int], rows.AuditRow] = Table("audit")
        self.keys: Table[str, rows.KeyRow] = Table("key")
        self.locks: Table[str, rows.LockRow] = Table("lock")
        self.starts: Table[int, rows.StartRow] = Table("start")
        self.operations: Table[UUID, Progress] = Table("operation")
        self.series: Table[tuple[str, str, datetime], rows.SeriesRow] = Table("series")
        self.workers: Table[str, worker_rows.WorkerRow] = Table("worker")
        self.app_versions: Table[str, worker_rows.VersionRow] = Table("version of the app")
        self.active: dict[str, UUID] = {}
        self._lock_timeout = lock_timeout_seconds
        self._changed = Condition(RLock())
        self._lockers: dict[RowLock, MemoryTransaction] = {}
        self._numbers = count(1)

    def next_number(self) -> int:
        """Return a new unique number."""
        return next(self._numbers)

    @contextmanager
    def statement(self, connection: object | None = None) -> Iterator[MemoryTransaction]:
        """Run the block as one statement: in its own transaction, or in that of ``connection``.

        Its own transaction commits if the block does not raise. No other statement runs at the same time, except while
        the block waits for a lock.
        """
        self.require_available()
        with self._changed:
            if connection is not None:
                with self._transaction_of(connection).running() as transaction:
                    yield transaction
                return
            own = MemoryTransaction(self)
            try:
                yield own
                self.apply(own)
            finally:
                self.release(own)

    def require_available(self) -> None:
        """Raise ``StoreUnavailable`` if a test has set ``available`` to False."""
        if not self.available:
            raise StoreUnavailable("the memory store was told to be unavailable; set available to True")

    def _transaction_of(self, connection: object) -> MemoryTransaction:
        if not isinstance(connection, MemoryConnection) or connection.transaction.database is not self:
            kind = f"{type(connection).__module__}.{type(connection).__qualname__}"
            raise TypeError(
                f"the memory store cannot join a {kind}; give it the connection of a unit of work on it, or test with "
                "a real Postgres"
            )
        return connection.transaction

    def lock(self, transaction: MemoryTransaction, wanted: Collection[RowLock]) -> None:
        """Acquire all of ``wanted`` for a transaction, once no other transaction holds any of them.

        Raises ``StoreUnavailable`` after the lock timeout, and at once if the holder is of the calling thread.
        """
        give_up_at = time.monotonic() + self._lock_timeout
        while others := {self._lockers[each] for each in wanted if self._locked_by_another(transaction, each)}:
            own = any(other.thread_id == threading.get_ident() for other in others)
            if own or not self._changed.wait(max(give_up_at - time.monotonic(), 0)):
                held = ", ".join(sorted(f"{each.kind} {each.key}" for each in wanted if each in self._lockers))
                whose = "of this very thread, which would wait for itself" if own else "that did not end in time"
                raise StoreUnavailable(f"{held} is being written by an open transaction {whose}")
        self._lockers |= dict.fromkeys(wanted, transaction)

    def _locked_by_another(self, transaction: MemoryTransaction, lock: RowLock) -> bool:
        return self._lockers.get(lock, transaction) is not transaction

    def is_free(self, transaction: MemoryTransaction, row: UUID | str, kind: str = "job") -> bool:
        """Whether a row is not locked by another transaction, for SKIP LOCKED."""
        return not self._locked_by_another(transaction, RowLock(kind, row))

    def apply(self, transaction: MemoryTransaction) -> None:
        """Commit a transaction's rows to the tables."""
        with self._changed:
            for table, written in transaction.written.items():
                for key, row in written.items():
                    if table is self.jobs:
                        self._index(self.jobs.rows.get(key), row)
                    if row is None:
                        table.rows.pop(key, None)
                    else:
                        table.rows[key] = row

    def _index(self, before: rows.JobRow | None, after: rows.JobRow | None) -> None:
        if before is not None and before.status.active and self.active.get(before.job_name) == before.id:
            del self.active[before.job_name]
        if after is not None and after.status.active:
            self.active[after.job_name] = after.id

    def release(self, transaction: MemoryTransaction) -> None:
        """Release a transaction's locks, and discard its uncommitted rows."""
        with self._changed:
            transaction.written.clear()
            self._lockers = {lock: holder for lock, holder in self._lockers.items() if holder is not transaction}
            self._changed.notify_all()


class MemoryConnection:
    """The ``connection`` of a transaction, to pass to the store's calls; it runs no SQL."""

    def __init__(self, transaction: MemoryTransaction) -> None:
        self.transaction = transaction

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"the connection of the memory store has no {name!r}, since it runs no SQL; test what writes SQL itself "
            "with a real Postgres, or put the SQL into a service and give the test another one"
        )


class MemoryTransaction:
    """An open transaction: its uncommitted rows on top of the committed ones."""

    def __init__(self, database: MemoryDatabase) -> None:
        self.database = database
        self.connection = MemoryConnection(self)
        self.thread_id = threading.get_ident()
        self.written: dict[Table[Any, Any], dict[Any, Any]] = {}
        self.calls: list[Callable[[], object]] = []
        self.ended = False
        self.failed = False
        self.executed = 0
        self._began_at: datetime | None = None

    @property
    def now(self) -> datetime:
        """The time of the transaction's first statement, like ``now()`` in SQL."""
        if self._began_at is None:
            self._began_at = self.database.clock.now()
        return self._began_at

    @contextmanager
    def running(self) -> Iterator[MemoryTransaction]:
        """Run a statement; after a failure the transaction can only be rolled back."""
        self.require_open()
        if self.failed:
            raise UnitOfWorkError("a statement of this transaction has failed, so it can only be rolled back")
        self.executed += 1
        try:
            yield self
        except BaseException:
            self.failed = True
            raise

    def require_open(self) -> None:
        """Raise ``UnitOfWorkError`` if the transaction has ended."""
        if self.ended:
            raise UnitOfWorkError("this transaction has ended; its connection can be used within its block only")

    def get(self, table: Table[Key, Row], key: Key) -> Row | None:
        """Return one row; None if there is none."""
        written = self.written.get(table, {})
        found: Row | None = written[key] if key in written else table.rows.get(key)
        return found

    def all(self, table: Table[Key, Row]) -> Iterable[Row]:
        """Return all rows."""
        written = self.written.get(table)
        return table.rows.values() if not written else [row for row in (table.rows | written).values() if row]

    def put(self, table: Table[Key, Row], key: Key, row: Row | None) -> None:
        """Write one row; None deletes it."""
        self.written.setdefault(table, {})[key] = row

    def lock(self, *wanted: RowLock) -> None:
        """Lock rows and unique values, waiting for other holders."""
        self.database.lock(self, wanted)

    def job(self, job_id: UUID, *, lock: bool = False) -> rows.JobRow | None:
        """Return one job; with ``lock`` it is locked first, so that its state is current."""
        if lock:
            self.lock(RowLock("job", job_id))
        return self.get(self.database.jobs, job_id)

    def put_job(self, row: rows.JobRow) -> rows.JobRow:
        """Write a job that is locked."""
        self.put(self.database.jobs, row.id, rows.require_whole(row))
        return row

    def holder_of(self, job_name: str) -> rows.JobRow | None:
        """Return the active job of that name; None if there is none."""
        for row in self.written.get(self.database.jobs, {}).values():
            if row is not None and row.status.active and row.job_name == job_name:
                found: rows.JobRow = row
                return found
        holder = self.database.active.get(job_name)
        row = None if holder is None else self.get(self.database.jobs, holder)
        return row if row is not None and row.status.active else None
