"""Callbacks at the commit of a caller's transaction, so that the alarms of the jobs it enqueued are set."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from sqlalchemy import event
from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection

_watched: WeakKeyDictionary[Connection, list[Callable[[], object]]] = WeakKeyDictionary()


def on_commit(connection: object, call: Callable[[], object]) -> None:
    """Call ``call`` once, just before the transaction of ``connection`` commits; never if it is rolled back.

    SQLAlchemy's event for a connection's commit, which a session's commit emits as well, comes before COMMIT is sent.
    Rollbacks to a savepoint and two-phase commits are not detected.
    """
    core: Connection = connection.connection() if isinstance(connection, Session) else connection  # type: ignore[assignment]
    calls = _watched.get(core)
    if calls is None:
        calls = _watched[core] = []
        event.listen(core, "commit", lambda _: _call_all(calls))
        event.listen(core, "rollback", lambda _: calls.clear())
    calls.append(call)


def _call_all(calls: list[Callable[[], object]]) -> None:
    now, calls[:] = list(calls), []
    for call in now:
        call()
