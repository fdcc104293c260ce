"""Make a command from Python arguments, with readable errors for what it does not accept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from jobs.core.command_fields import no_such_field
from jobs.core.commands import EnqueueJob
from jobs.core.errors import InvalidInput, Problem
from jobs.core.pydantic_problems import problems_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNKNOWN = "extra_forbidden"
_FIELDS = sorted(EnqueueJob.model_fields.keys() - {"handler_name", "payload"})


def checked_command(handler_name: str, payload: Any, fields: Mapping[str, Any]) -> EnqueueJob:
    """Return the command to enqueue a job. Raises ``InvalidInput`` with a problem for each field that is wrong."""
    try:
        return EnqueueJob(handler_name=handler_name, payload=payload, **fields)
    except ValidationError as error:
        unknown = [str(fault["loc"][0]) for fault in error.errors() if fault["type"] == _UNKNOWN]
        given = {"handler_name": handler_name, "payload": payload, **fields}
        raise InvalidInput([_readable(problem, unknown) for problem in problems_of(error, given)]) from None


def _readable(problem: Problem, unknown: list[str]) -> Problem:
    name = problem.pointer.removeprefix("/")
    if name not in unknown:
        return problem
    return Problem(problem.pointer, no_such_field(name, _FIELDS, "a job"))
