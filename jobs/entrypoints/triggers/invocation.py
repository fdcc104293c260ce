"""Invocation scopes: log records of the app's own threads belong to the invocation that started their work.

The Functions host forwards a record only if it names a running invocation. Its Python worker reads the invocation's id
from a thread-local (3.12 and older) or a context variable (3.13). Neither follows work to another thread, and the
context variable is set for plain functions only, not for async ones.
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
    """Return a function that runs work on another thread as part of the invocation of ``context``.

    Call it within that invocation.
    """
    storage: Any = context.thread_local_storage
    invocation_id, variables = context.invocation_id, copy_context()
    variable = _invocation_variable()
    if variable is not None:
        variables.run(variable.set, invocation_id)
    adopted_records.watch(context, variable)
    variables.run(on_event_loop.set, lambda: setattr(storage, "invocation_id", invocation_id))

    def run(work: Work) -> None:
        before = getattr(storage, "invocation_id", None)
        storage.invocation_id = invocation_id
        try:
            variables.copy().run(work)  # a copy, since one cannot be entered by two threads
        finally:
            storage.invocation_id = before

    return run


def _invocation_variable() -> ContextVar[str | None] | None:
    """Return the context variable in which the 3.13 worker keeps the invocation's id; None under other hosts."""
    variable = getattr(sys.modules.get("azure_functions_runtime"), "invocation_id_cv", None)
    return variable if isinstance(variable, ContextVar) else None
