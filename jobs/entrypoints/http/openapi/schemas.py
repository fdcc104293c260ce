"""The schemas of the document: those of the models, completed with units, examples and what an answer always has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from jobs.core.commands import EnqueueRequest
from jobs.entrypoints.http.openapi.examples import EXAMPLES
from jobs.entrypoints.http.openapi.units import UNITS

if TYPE_CHECKING:
    from collections.abc import Iterable

Schema = dict[str, Any]
REF = "#/components/schemas/"
_NUMBERS = {"integer", "number"}


def schemas_of(bodies: Iterable[type[BaseModel]], answers: Iterable[type[BaseModel]]) -> dict[str, Schema]:
    """Return the schemas of what calls read and what they answer, by name, with those that they refer to.

    An object that is both sent and answered, such as ``DstOptions``, is ``DstOptionsOfJob`` in answers: there it has
    all of its fields.
    """
    sent = _made(bodies, "validation")
    answered = _made(answers, "serialization")
    shared = {name for name in sent.keys() & answered.keys() if "enum" not in answered[name]}
    names = {name: f"{name}OfJob" if name in shared else name for name in answered}
    answered = {names[name]: _renamed(schema, names) for name, schema in answered.items()}
    for schema in answered.values():
        _require_all(schema)
    texts = {name: str(field.description) for name, field in EnqueueRequest.model_fields.items()}
    found = sent | answered
    for name, schema in found.items():
        _complete(name, schema, texts)
    for schema in found.values():
        _describe_references(schema, found)
    return dict(sorted(found.items()))


def _made(models: Iterable[type[BaseModel]], mode: Literal["validation", "serialization"]) -> dict[str, Schema]:
    wanted: list[Any] = [(model, mode) for model in models]
    found: dict[str, Schema] = models_json_schema(wanted, ref_template=REF + "{model}")[1]["$defs"]
    return found


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: REF + names[each.removeprefix(REF)] if key == "$ref" else _renamed(each, names)
            for key, each in value.items()
        }
    return [_renamed(each, names) for each in value] if isinstance(value, list) else value


def _complete(name: str, schema: Schema, texts: dict[str, str]) -> None:
    """Add examples and units, and the descriptions that fields of the same name have elsewhere."""
    schema.pop("title", None)
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].replace("``", "`").split())
    variants = schema.get("anyOf", [schema])
    for each in variants:
        each.pop("title", None)
        example = EXAMPLES.get(name, {})
        for field, described in each.get("properties", {}).items():
            described.pop("title", None)
            if "description" not in described and field in texts:
                described["description"] = texts[field]
            if isinstance(example, dict) and field in example:
                described["examples"] = [example[field]]
            if field in UNITS and _has_number(described):
                described["x-unit"] = UNITS[field]
        if "properties" in each and example:
            schema["examples"] = [example]


def _describe_references(schema: Schema, schemas: dict[str, Schema]) -> None:
    """Give fields the description of their type, of which pydantic leaves out what would be the same."""
    for described in schema.get("properties", {}).values():
        if "description" not in described and "$ref" in described:
            described["description"] = schemas[described["$ref"].removeprefix(REF)]["description"]


def _has_number(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return False
    inner = [*schema.get("anyOf", []), schema.get("additionalProperties"), schema.get("items")]
    return schema.get("type") in _NUMBERS or any(map(_has_number, inner))


def _require_all(schema: Schema) -> None:
    """Mark the fields of an answer as required, but for those that it may lack."""
    properties = schema.get("properties", {})
    absent = [field for field, described in properties.items() if described.pop("x-absent", False)]
    for field in properties:
        properties[field].pop("default", None)
    if properties:
        schema["required"] = [field for field in properties if field not in absent]
