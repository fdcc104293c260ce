"""A unit of work: writes to the framework's database that are committed as one, or not at all.

with ctx.unit_of_work() as uow:
    uow.connection.execute(...)
    uow.complete()                # or uow.commit(), or uow.rollback(); one of them, or the block raises

The block's connection is in one transaction from its first statement on. A block within a block joins it; COMMIT is
sent where the outermost ends, and only if every block voted for it; a block that ran statements and ends without a vote
raises, so that nothing is lost in silence. ``complete()`` writes the job's success into the
same transaction, so that the effects and the completion are one fact.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Protocol, TypeVar

from jobs.core.errors import MisusedUnitOfWork, Unavailable, UnitOfWorkError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from jobs.core.ports.transactions import Transaction, Transactions
    from jobs.core.transactions.sql import Connection, Session

T = TypeVar("T")


class Completion(Protocol):
    """The right to record one attempt's success within a transaction."""

    def write(self, connection: object) -> None:
        """Write the success; raises ``LeaseLost`` when it is not this attempt's to write any more."""

    def committing(self) -> AbstractContextManager[None]:
        """Keep the lease from being taken away while the block commits; it is given up if the block ends well."""

    def stands(self) -> bool:
        """Return whether the success was committed after all, when the commit's own answer was lost."""

    def committed(self) -> None:
        """Note that the success is committed, and set the next alarm."""


class UnitOfWork:
    """One block of a unit of work. Good for the thread that it was opened in, until its ``with`` ends."""

    def __init__(self, shared: _Shared, completion: Completion | None) -> None:
        self._shared = shared
        self._completion = completion
        self.voted = False
        self.declined = False

    @property
    def connection(self) -> Connection:
        """The database's connection, in this transaction: a SQLAlchemy ``Connection`` on PostgreSQL.

        ``service.enqueue(..., connection=uow.connection)`` joins it. Its own ``commit()`` and ``rollback()`` are not
        for you: the block's end does that.
        """
        connection: Connection = self._shared.open_transaction().connection
        return connection

    @property
    def session(self) -> Session:
        """A SQLAlchemy ORM ``Session`` in this transaction, made when first asked for and flushed at the end."""
        session: Session = self._shared.open_transaction().session
        return session

    def commit(self) -> None:
        """Vote to commit. COMMIT is sent when the outermost block ends; an exception before that rolls back.

        Raises ``UnitOfWorkError`` if a joined block has ended without its vote: then nothing can be committed.
        """
        self._shared.require_sound()
        self.voted = True

    def rollback(self) -> None:
        """Vote to roll back: nothing of the whole transaction is kept, whatever other blocks vote. Sent at the end.

        Raises ``UnitOfWorkError`` once the job is complete in it: leave the block by an exception then.
        """
        self._shared.open_transaction()
        if self._shared.completion is not None:
            raise UnitOfWorkError(
                "the job is complete in this unit of work, and would not be if it were rolled back; leave its block by "
                "an exception instead, so that the attempt fails"
            )
        self._shared.spoil("rollback() was called in it")
        self.voted, self.declined = False, True

    def require_vote(self, already_executed: int = 0) -> None:
        """Raise ``UnitOfWorkError`` for a block that ran statements and ended without a vote."""
        executed = self._shared.executed - already_executed
        if executed > 0 and not self.voted and not self.declined:
            statements = "a statement" if executed == 1 else f"{executed} statements"
            raise MisusedUnitOfWork(
                f"this unit of work ran {statements} and ended without commit(), complete() or rollback(), so nothing "
                "of it is kept; end its block with commit(), also before each return, or with rollback() where nothing "
                "is to be kept, as after reading only"
            )

    def complete(self) -> None:
        """Write the job's success into this transaction, and vote to commit it.

        Once that is committed the job's attempt has succeeded, whatever the handler does or raises afterwards. Raises
        ``LeaseLost`` when the run is another worker's by now, and ``UnitOfWorkError`` where there is no attempt to
        complete or it is complete already; everything is then rolled back.
        """
        self._shared.require_sound()
        if self._completion is None:
            raise MisusedUnitOfWork(
                "this unit of work belongs to no attempt; open it with ctx.unit_of_work() to complete the job in it"
            )
        if self._shared.completion is not None:
            raise MisusedUnitOfWork(
                "the job is complete in this unit of work already; call complete() once, at its end"
            )
        try:
            self._completion.write(self.connection)
        except BaseException as error:
            self._shared.spoil(f"complete() failed with {type(error).__name__}")
            raise
        self._shared.completion = self._completion
        self.voted = True


class _Shared:
    """The transaction that a block and those joined to it have in common."""

    def __init__(self, owner: UnitsOfWork, transaction: Transaction) -> None:
        self.owner = owner
        self.is_open = True
        self.completion: Completion | None = None
        self._transaction = transaction
        self._spoiled: str | None = None

    def open_transaction(self) -> Transaction:
        if not self.is_open:
            raise UnitOfWorkError("this unit of work has ended; use it within its with block only")
        return self._transaction

    @property
    def executed(self) -> int:
        return self._transaction.executed

    def spoil(self, why: str) -> None:
        self._spoiled = self._spoiled or why

    def require_sound(self) -> None:
        self.open_transaction()
        if self._spoiled is not None:
            raise UnitOfWorkError(f"this unit of work can only be rolled back, because {self._spoiled}")

    def end(self, block: UnitOfWork) -> None:
        """Commit if that was voted for. What is not committed is rolled back by closing."""
        if not block.voted:
            if self.completion is not None:
                raise MisusedUnitOfWork(
                    "the job was completed in an inner unit of work, and the outer one ended without commit(), so that "
                    "all is rolled back; let the outer one call commit() too"
                )
            block.require_vote()
            return
        self.require_sound()
        if self.completion is None:
            self._transaction.commit()
            return
        with self.completion.committing():
            try:
                self._transaction.commit()
            except Unavailable:  # its answer may have been lost; only the row can tell
                if not self.completion.stands():
                    raise
        self.completion.committed()

    def close(self) -> None:
        self.is_open = False
        self._transaction.close()


_ambient: ContextVar[UnitOfWork | None] = ContextVar("jobs_unit_of_work", default=None)


class UnitsOfWork:
    """Opens units of work; lives as long as the process and is safe to share between threads.

    A service that wants to join the handler's unit of work, or have its own where there is none, takes one of these
    as a parameter of its provider.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    @contextmanager
    def begin(self, *, requires_new: bool = False, completion: Completion | None = None) -> Iterator[UnitOfWork]:
        """Join the unit of work around, or open one; ``requires_new`` opens one whatever is around.

        Raises ``StoreUnavailable`` when no connection is to be had, or when the commit failed or may have failed.
        """
        outer = _ambient.get()
        if outer is not None and outer._shared.is_open and outer._shared.owner is self and not requires_new:  # noqa: SLF001
            with self._joined(outer._shared, completion) as block:  # noqa: SLF001  blocks of one module
                yield block
            return
        shared = _Shared(self, self._transactions.begin())
        block = UnitOfWork(shared, completion)
        try:
            with _as_ambient(block):
                yield block
            shared.end(block)
        finally:
            shared.close()

    @contextmanager
    def _joined(self, shared: _Shared, completion: Completion | None) -> Iterator[UnitOfWork]:
        block, executed = UnitOfWork(shared, completion), shared.executed
        try:
            with _as_ambient(block):
                yield block
        except BaseException as error:
            shared.spoil(f"an inner one was left by {type(error).__name__}")
            raise
        if not block.voted:
            shared.spoil("an inner one ended without commit()")
            block.require_vote(executed)


@contextmanager
def _as_ambient(block: UnitOfWork) -> Iterator[None]:
    outer = _ambient.get()
    _ambient.set(block)
    try:
        yield
    finally:
        _ambient.set(outer)  # not by reset(): a generator may be closed in another context than it began in


def current_unit_of_work() -> UnitOfWork | None:
    """Return the unit of work that is open around the caller, in this thread or task; None where there is none."""
    block = _ambient.get()
    return block if block is not None and block._shared.is_open else None  # noqa: SLF001  blocks of one module


def outside_units_of_work(call: Callable[[], T]) -> T:
    """Call ``call`` where no unit of work is around, as an attempt begun amid another's must be."""
    if _ambient.get() is None:
        return call()

    def alone() -> T:
        _ambient.set(None)
        return call()

    return copy_context().run(alone)
