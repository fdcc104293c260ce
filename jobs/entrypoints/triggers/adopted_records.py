"""Pass on what threads of the app's own log outside of any invocation, such as that a lease was lost.

The Functions host drops a record that names no invocation which is going on, so these name the latest that is.
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
    """Passes every record, and assigns an invocation to those of ours that have none. Safe to share."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._going_on: dict[str, weakref.ref[func.Context]] = {}
        self._known_by: ContextVar[str | None] | None = None
        self._adopted: ContextVar[str | None] = ContextVar("jobs_adopted_invocation", default=None)

    def watch(self, context: func.Context, known_by: ContextVar[str | None] | None) -> None:
        """Remember an invocation for as long as its context lives; ``known_by`` is the host's variable for it."""
        self._known_by = known_by
        with self._lock:
            self._going_on[context.invocation_id] = weakref.ref(context)
            if len(self._going_on) > _MOST_KEPT:
                self._going_on = {name: each for name, each in self._going_on.items() if each() is not None}
        for handler in logging.getLogger().handlers:
            if self not in handler.filters:
                handler.filters.insert(0, self)  # before any that asks which invocation it is

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass the record."""
        if record.name.partition(".")[0] in _OURS and (context := self._latest()) is not None:
            self._name(context)
        return True

    def _latest(self) -> func.Context | None:
        with self._lock:
            while self._going_on:
                name, reference = next(reversed(self._going_on.items()))
                if (context := reference()) is not None:
                    return context
                del self._going_on[name]
        return None

    def _name(self, context: func.Context) -> None:
        invocation_id, storage = context.invocation_id, _storage_of(context)
        if self._known_by is not None:
            if self._known_by.get() in {None, self._adopted.get()}:
                self._known_by.set(invocation_id)
                self._adopted.set(invocation_id)
        elif getattr(storage, "invocation_id", None) in {None, getattr(storage, "jobs_adopted", None)}:
            storage.invocation_id = storage.jobs_adopted = invocation_id


def _storage_of(context: func.Context) -> Any:
    return context.thread_local_storage


adopted_records = AdoptsRecords()
