"""Read the request for a new job, and name every fault of it: of its own fields and of the handler's payload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.core.commands import EnqueueRequest, read_command
from jobs.core.errors import InvalidInput
from jobs.core.strict_json import write_json
from jobs.entrypoints.http.problems import fields_of, with_own_messages

if TYPE_CHECKING:
    from jobs.app.runtime import Runtime
    from jobs.core.errors import Problem


def read_enqueue(runtime: Runtime, value: object) -> EnqueueRequest:
    """Validate ``value``, parsed JSON.

    Raises ``InvalidInput`` with one problem per fault. Those of the payload are among them where the handler's name and
    the payload can be read; where nothing else is wrong, they are found when the job is enqueued.
    """
    try:
        return read_command(EnqueueRequest, value)
    except InvalidInput as error:
        problems = [*error.problems, *_payload_problems(runtime, value, error)]
        fields = fields_of(EnqueueRequest)
        if isinstance(value, dict):
            fields = fields | payload_fields(runtime, value.get("handler_name"))
        raise with_own_messages(InvalidInput(problems), fields) from None


def payload_fields(runtime: Runtime, handler_name: Any) -> dict[str, tuple[str, ...]]:
    """Return the field names of the payload of a handler's jobs, by JSON Pointer; empty without such a handler."""
    spec = runtime.registry.get(handler_name) if isinstance(handler_name, str) else None
    return fields_of(spec.arguments, "/payload") if spec else {}


def _payload_problems(runtime: Runtime, value: object, error: InvalidInput) -> tuple[Problem, ...]:
    """Return the faults of handler and payload in a request that was refused for other fields."""
    if not isinstance(value, dict) or {"/handler_name", "/payload"} & {each.pointer for each in error.problems}:
        return ()
    try:
        spec = runtime.registry.require(value["handler_name"])
        spec.read_arguments(write_json(value.get("payload", {}), "/payload"))
    except InvalidInput as refused:
        return refused.problems
    return ()
