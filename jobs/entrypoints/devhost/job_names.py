"""Name the job in what its handler logs, so that lines of handlers that run at once can be told apart."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from copy import copy
from typing import TYPE_CHECKING

from jobs.core.diagnostics.error_text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.core.handlers.context import JobContext

_running: ContextVar[str] = ContextVar("jobs_dev_running", default="")
_OURS, _HANDLERS_OWN = "jobs", "jobs.handler"


def name_job(context: JobContext, call_next: Callable[[], None]) -> None:
    """Middleware: note on this thread, and for what it awaits, whose attempt it is."""
    token = _running.set(_name(context.handler_name, context.job_name, context.job_id))
    try:
        call_next()
    finally:
        _running.reset(token)


def _name(handler_name: object, job_name: object, job_id: object) -> str:
    return f"{printable(str(handler_name))}/{printable(str(job_name))}/{job_id}"


class JobNamingFormatter(logging.Formatter):
    """Writes ``[handler/job name/id]`` before what a handler logs. The framework's own lines name their job already."""

    def __init__(self, plain: logging.Formatter | None) -> None:
        super().__init__()
        self._plain = plain or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and its traceback, as the formatter in use before would."""
        name = _name_in(record)
        if name:
            record = copy(record)
            record.msg, record.args = f"[{name}] {record.getMessage()}", None
        return self._plain.format(record)


def _name_in(record: logging.LogRecord) -> str:
    if record.name == _HANDLERS_OWN and hasattr(record, "job_id"):  # also on a thread that the handler started
        values = record.__dict__
        return _name(values.get("handler_name"), values.get("job_name"), values["job_id"])
    ours = record.name == _OURS or record.name.startswith(f"{_OURS}.")
    return "" if ours and record.name != _HANDLERS_OWN else _running.get()
