"""A unit of work: writes to the framework's database that commit together, or not at all.

with ctx.unit_of_work() as uow:
    uow.connection.execute(...)
    uow.complete()                # or uow.commit(), or uow.rollback(); one of them, or the block raises

The block's connection is in one transaction from its first statement on. A nested block joins it. COMMIT is sent when
the outermost block ends, and only if every block voted for it. A block that ran statements and ends without a vote
raises, so that nothing is lost silently. ``complete()`` writes the job's success into the same transaction, so that the
effects and the success commit together.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, TypeVar

from jobs.core.errors import MisusedUnitOfWork, UnitOfWorkError
from jobs.core.transactions.shared_transaction import SharedTransaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobs.core.ports.transactions import Transactions
    from jobs.core.transactions.completion import Completion
    from jobs.core.transactions.sql import Connection, Session

T = TypeVar("T")


class UnitOfWork:
    """One block of a unit of work. Lives until its ``with`` ends; use it only in the thread that opened it."""

    def __init__(self, shared: SharedTransaction, completion: Completion | None) -> None:
        self._shared = shared
        self._completion = completion
        self.voted = False
        self.declined = False

    @property
    def connection(self) -> Connection:
        """The connection of this transaction: a SQLAlchemy ``Connection`` on PostgreSQL.

        ``service.enqueue(..., connection=uow.connection)`` joins the transaction. Do not call the connection's own
        ``commit()`` or ``rollback()``: the end of the block does that.
        """
        connection: Connection = self._shared.open_transaction().connection
        return connection

    @property
    def session(self) -> Session:
        """A SQLAlchemy ORM ``Session`` in this transaction, created on first use and flushed at the end."""
        session: Session = self._shared.open_transaction().session
        return session

    def commit(self) -> None:
        """Vote to commit. COMMIT is sent when the outermost block ends; an exception before that rolls back.

        Raises ``UnitOfWorkError`` if a joined block ended without a vote: then the transaction cannot commit.
        """
        self._shared.require_committable()
        self.voted = True

    def rollback(self) -> None:
        """Vote to roll back the whole transaction, whatever other blocks vote. ROLLBACK is sent at the end.

        Raises ``UnitOfWorkError`` after ``complete()``: leave the block by an exception instead.
        """
        self._shared.open_transaction()
        if self._shared.completion is not None:
            raise UnitOfWorkError(
                "the job is complete in this unit of work, and would not be if it were rolled back; leave its block by "
                "an exception instead, so that the attempt fails"
            )
        self._shared.set_rollback_only("rollback() was called in it")
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

        Once that is committed the attempt has succeeded, whatever the handler does or raises afterwards. Raises
        ``LeaseLost`` if the attempt no longer holds the lease, and ``UnitOfWorkError`` if there is no attempt to
        complete or it is complete already. Then everything is rolled back.
        """
        self._shared.require_committable()
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
            self._shared.set_rollback_only(f"complete() failed with {type(error).__name__}")
            raise
        self._shared.completion = self._completion
        self.voted = True


_ambient: ContextVar[UnitOfWork | None] = ContextVar("jobs_unit_of_work", default=None)


class UnitsOfWork:
    """Opens units of work. Lives as long as the process; safe to share between threads.

    A service that joins the handler's unit of work, or opens its own outside of one, takes this class as a parameter of
    its provider.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    @contextmanager
    def begin(self, *, requires_new: bool = False, completion: Completion | None = None) -> Iterator[UnitOfWork]:
        """Join the enclosing unit of work, or open one; ``requires_new`` always opens one.

        Raises ``StoreUnavailable`` if no connection is available, or if the commit failed or may have failed.
        """
        outer = _ambient.get()
        if outer is not None and outer._shared.is_open and outer._shared.owner is self and not requires_new:  # noqa: SLF001
            with self._joined(outer._shared, completion) as block:  # noqa: SLF001  blocks of one module
                yield block
            return
        shared = SharedTransaction(self, self._transactions.begin())
        block = UnitOfWork(shared, completion)
        try:
            with _as_ambient(block):
                yield block
            if block.voted:
                shared.commit()
            else:
                shared.refuse_uncommitted_completion()
                block.require_vote()
        finally:
            shared.close()

    @contextmanager
    def _joined(self, shared: SharedTransaction, completion: Completion | None) -> Iterator[UnitOfWork]:
        block, executed = UnitOfWork(shared, completion), shared.executed
        try:
            with _as_ambient(block):
                yield block
        except BaseException as error:
            shared.set_rollback_only(f"an inner one was left by {type(error).__name__}")
            raise
        if not block.voted:
            shared.set_rollback_only("an inner one ended without commit()")
            block.require_vote(executed)


@contextmanager
def _as_ambient(block: UnitOfWork) -> Iterator[None]:
    outer = _ambient.get()
    _ambient.set(block)
    try:
        yield
    finally:
        _ambient.set(outer)  # not by reset(): a generator may be closed in a different context than it was started in


def current_unit_of_work() -> UnitOfWork | None:
    """Return the unit of work that is open in this thread or task; None if there is none."""
    block = _ambient.get()
    return block if block is not None and block._shared.is_open else None  # noqa: SLF001  blocks of one module


def outside_units_of_work(call: Callable[[], T]) -> T:
    """Call ``call`` outside any unit of work, so that an attempt started within another's does not join it."""
    if _ambient.get() is None:
        return call()

    def call_outside() -> T:
        _ambient.set(None)
        return call()

    return copy_context().run(call_outside)
