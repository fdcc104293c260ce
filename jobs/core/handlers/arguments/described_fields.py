"""JSON Schemas that find a field by each name that a payload may have it under, and what lies within it."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic.json_schema import JsonSchemaValue, JsonSchemaWarningKind
    from pydantic_core.core_schema import CoreSchema, DataclassField, ModelField, TypedDictField

_ALIASES = "x-aliases"


class FieldsByEveryName(GenerateJsonSchema):
    """Generates schemas, ``by_alias=False``, in which each field also lists its aliases for validation.

    Of what has no JSON Schema, such as an arbitrary type, it describes nothing, and goes on with the other fields.
    """

    def model_field_schema(self, schema: ModelField) -> JsonSchemaValue:
        """Return the schema of a model's field."""
        return _with_aliases(super().model_field_schema(schema), schema)

    def dataclass_field_schema(self, schema: DataclassField) -> JsonSchemaValue:
        """Return the schema of a dataclass's field."""
        return _with_aliases(super().dataclass_field_schema(schema), schema)

    def typed_dict_field_schema(self, schema: TypedDictField) -> JsonSchemaValue:
        """Return the schema of a typed dictionary's field."""
        return _with_aliases(super().typed_dict_field_schema(schema), schema)

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """Say nothing of what a schema lacks: nobody is shown this one."""

    def handle_invalid_for_json_schema(self, schema: CoreSchema, error_info: str) -> JsonSchemaValue:  # noqa: ARG002
        """Return the schema of anything."""
        return {}


def _with_aliases(described: JsonSchemaValue, field: ModelField | DataclassField | TypedDictField) -> JsonSchemaValue:
    alias = field.get("validation_alias")
    if alias is None:
        return described
    paths: Any = [[alias]] if isinstance(alias, str) else alias if isinstance(alias[0], list) else [alias]
    aliases = [[path[0], _within(path[1:], deepcopy(described))] for path in paths]
    return {**described, _ALIASES: aliases}


def _within(path: Sequence[str | int], described: JsonSchemaValue) -> JsonSchemaValue:
    """Return the schema of a value that has the described one at ``path``; a place in a list stands for all of it."""
    for step in reversed(path):
        described = {"properties": {step: described}} if isinstance(step, str) else {"items": described}
    return described


def member_of(schemas: Iterable[dict[str, Any]], key: str) -> list[Any]:
    """Return the schemas of the member ``key`` of an object of these schemas."""
    found: list[Any] = []
    for schema in schemas:
        named = []
        for name, each in schema.get("properties", {}).items():
            named += [each] if name == key else []
            named += [within for alias, within in each.get(_ALIASES, ()) if alias == key]
        # A pattern describes the keys that a dictionary accepts, so each of its keys matches.
        found += named or [schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()]
    return found


def items_of(schemas: Iterable[dict[str, Any]], place: int) -> list[Any]:
    """Return the schemas of the item at ``place`` of a list of these schemas."""
    found = []
    for schema in schemas:
        first = schema.get("prefixItems", [])
        found.append(first[place] if place < len(first) else schema.get("items"))
    return found
