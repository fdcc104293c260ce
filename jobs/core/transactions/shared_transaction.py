"""The transaction that a unit of work shares with those joined to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.core.errors import MisusedUnitOfWork, Unavailable, UnitOfWorkError

if TYPE_CHECKING:
    from jobs.core.ports.transactions import Transaction
    from jobs.core.transactions.completion import Completion


class SharedTransaction:
    """One transaction and its completion. Lives as long as the outermost block; ``owner`` opened it."""

    def __init__(self, owner: object, transaction: Transaction) -> None:
        self.owner = owner
        self.is_open = True
        self.completion: Completion | None = None
        self._transaction = transaction
        self._rollback_only: str | None = None

    def open_transaction(self) -> Transaction:
        """Return the transaction; raises ``UnitOfWorkError`` once the outermost block has ended."""
        if not self.is_open:
            raise UnitOfWorkError("this unit of work has ended; use it within its with block only")
        return self._transaction

    @property
    def executed(self) -> int:
        """The number of statements executed so far."""
        return self._transaction.executed

    def set_rollback_only(self, why: str) -> None:
        """Allow only a rollback from now on. The first reason is kept for the error message."""
        self._rollback_only = self._rollback_only or why

    def require_committable(self) -> None:
        """Raise ``UnitOfWorkError`` if the transaction has ended or can only be rolled back."""
        self.open_transaction()
        if self._rollback_only is not None:
            raise UnitOfWorkError(f"this unit of work can only be rolled back, because {self._rollback_only}")

    def refuse_uncommitted_completion(self) -> None:
        """Raise ``MisusedUnitOfWork`` if the job is completed in it; called if the outermost block does not commit."""
        if self.completion is not None:
            raise MisusedUnitOfWork(
                "the job was completed in an inner unit of work, and the outer one ended without commit(), so that "
                "all is rolled back; let the outer one call commit() too"
            )

    def commit(self) -> None:
        """Commit, and mark the completion as committed if there is one.

        Raises ``UnitOfWorkError`` if it can only be rolled back, ``StoreUnavailable`` if the commit may have failed.
        """
        self.require_committable()
        if self.completion is None:
            self._transaction.commit()
            return
        with self.completion.committing():
            try:
                self._transaction.commit()
            except Unavailable:  # the response to COMMIT may be lost; the row shows whether it committed
                if not self.completion.is_recorded():
                    raise
        self.completion.committed()

    def close(self) -> None:
        """Roll back unless committed, and return the connection to the pool."""
        self.is_open = False
        self._transaction.close()
