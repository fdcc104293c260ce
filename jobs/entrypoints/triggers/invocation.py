"""Invocation scopes: what the app's own threads log is part of the invocation that started their work.

The Functions host passes a record on only if it names an invocation that is going on. Its Python worker finds that name
in a thread-local (3.12 and older) or in a context variable (3.13), neither of which follows work to another thread, and
the latter it sets for plain functions only, not for async ones.
https://learn.microsoft.com/azure/azure-functions/functions-reference-python#logging-from-created-threads
"""

from __future__ import annotations

import sys
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any

from jobs.app.execution.services.event_loop import on_event_loop
from jobs.entrypoints.triggers.adopted_records import adopted_records

if TYPE_CHECKING:
    import azure.functions as func

    from jobs.app.execution.worker.scope import InvocationScope, Work


def invocation_scope(context: func.Context) -> InvocationScope:
    """Return what runs work of another thread as part of the invocation of ``context``, which the caller is part of."""
    storage: Any = context.thread_local_storage
    invocation_id, variables = context.invocation_id, copy_context()
    known_by = _known_by()
    if known_by is not None:
        variables.run(known_by.set, invocation_id)
    adopted_records.watch(context, known_by)
    variables.run(on_event_loop.set, lambda: setattr(storage, "invocation_id", invocation_id))

    def run(work: Work) -> None:
        before = getattr(storage, "invocation_id", None)
        storage.invocation_id = invocation_id
        try:
            variables.copy().run(work)  # a copy, since one cannot be entered by two threads
        finally:
            storage.invocation_id = before

    return run


def _known_by() -> ContextVar[str | None] | None:
    """Return the variable that the 3.13 worker finds an invocation by; None under another host, which has none."""
    variable = getattr(sys.modules.get("azure_functions_runtime"), "invocation_id_cv", None)
    return variable if isinstance(variable, ContextVar) else None
