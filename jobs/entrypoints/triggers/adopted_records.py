"""Assign an invocation to log records of the app's threads outside of any invocation, such as that a lease was lost.

The Functions host drops records that do not name a running invocation, so these get the latest running one.
"""

from __future__ import annotations

import logging
import threading
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import azure.functions as func

_MOST_KEPT = 1_000
_OURS = ("jobs",)


class AdoptsRecords(logging.Filter):
    """A filter that passes every record, and assigns an invocation to the framework's records without one.

    Safe to share between threads.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._running: dict[str, weakref.ref[func.Context]] = {}
        self._invocation_id: ContextVar[str | None] | None = None
        self._adopted: ContextVar[str | None] = ContextVar("jobs_adopted_invocation", default=None)

    def watch(self, context: func.Context, variable: ContextVar[str | None] | None) -> None:
        """Remember an invocation while its context lives; ``variable`` is the host's variable for its id."""
        self._invocation_id = variable
        with self._lock:
            self._running[context.invocation_id] = weakref.ref(context)
            if len(self._running) > _MOST_KEPT:
                self._running = {name: each for name, each in self._running.items() if each() is not None}
        for handler in logging.getLogger().handlers:
            if self not in handler.filters:
                handler.filters.insert(0, self)  # before filters that read the invocation

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass the record."""
        if record.name.partition(".")[0] in _OURS and (context := self._latest()) is not None:
            self._assign(context)
        return True

    def _latest(self) -> func.Context | None:
        with self._lock:
            while self._running:
                name, reference = next(reversed(self._running.items()))
                if (context := reference()) is not None:
                    return context
                del self._running[name]
        return None

    def _assign(self, context: func.Context) -> None:
        invocation_id, storage = context.invocation_id, _storage_of(context)
        if self._invocation_id is not None:
            if self._invocation_id.get() in {None, self._adopted.get()}:
                self._invocation_id.set(invocation_id)
                self._adopted.set(invocation_id)
        elif getattr(storage, "invocation_id", None) in {None, getattr(storage, "jobs_adopted", None)}:
            storage.invocation_id = storage.jobs_adopted = invocation_id


def _storage_of(context: func.Context) -> Any:
    return context.thread_local_storage


adopted_records = AdoptsRecords()
