"""The body of an enqueue for each handler: its name, with the schema of its arguments as payload."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pydantic.errors import PydanticUserError

from jobs.entrypoints.http.openapi.schemas import REF, Schema

if TYPE_CHECKING:
    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.handlers.specs import HandlerSpec

_UNNAMEABLE = re.compile(r"[^A-Za-z0-9_.-]+")


def arguments_schema(spec: HandlerSpec, ref_template: str = "#/$defs/{model}") -> Schema:
    """Return the JSON Schema of a handler's arguments; of a model that has none, what stands in its way."""
    try:
        return spec.arguments.model_json_schema(ref_template=ref_template)
    except PydanticUserError as error:  # one such model must not hide the other handlers
        return {"description": f"no JSON Schema can be made of {spec.arguments.__qualname__}: {error.message}"}


def handler_bodies(registry: HandlerRegistry, body: str) -> tuple[Schema, dict[str, Schema]]:
    """Return the schema of an enqueue's body, by handler, and the schemas that it refers to.

    ``body`` names the schema that all handlers' have in common, and which is returned where there is no handler.
    """
    schemas: dict[str, Schema] = {}
    mapping: dict[str, str] = {}
    for spec in registry.all():
        name = _free_name(f"Enqueue_{_UNNAMEABLE.sub('_', spec.name)}", schemas)
        schemas |= _body_of(spec, name, body)
        mapping[spec.name] = REF + name
    if not mapping:
        return {"$ref": REF + body}, {}
    one_of = [{"$ref": reference} for reference in mapping.values()]
    return {"oneOf": one_of, "discriminator": {"propertyName": "handler_name", "mapping": mapping}}, schemas


def _free_name(name: str, taken: dict[str, Schema]) -> str:
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def _body_of(spec: HandlerSpec, name: str, body: str) -> dict[str, Schema]:
    prefix = f"{name}_"
    arguments = arguments_schema(spec, f"{REF}{prefix}{{model}}")
    inner = {prefix + each: schema for each, schema in arguments.pop("$defs", {}).items()}
    properties: dict[str, Any] = {
        "handler_name": {"const": spec.name, "type": "string", "description": "Which registered handler runs the job."},
        "payload": {"$ref": f"{REF}{prefix}payload"},
    }
    required = ["handler_name", *(["payload"] if arguments.get("required") else [])]
    own = {"type": "object", "properties": properties, "required": required}
    first_line = (spec.target.__doc__ or "").strip().partition("\n")[0]
    described = {"description": first_line or f"A job of the handler {spec.name}."}
    return {
        name: {**described, "allOf": [{"$ref": REF + body}, own]},
        f"{prefix}payload": arguments,
        **inner,
    }
