"""Fields of a handler's arguments that are shown to nobody: ``card: Annotated[str, Sensitive()]``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic.errors import PydanticUserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydantic import BaseModel, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

MASK = "**********"
"""What stands in place of a sensitive value. Sent back in a change of the payload, the value stays as it is."""
_MARK = "x-sensitive"


@dataclass(frozen=True, slots=True)
class Sensitive:
    """Marks a field whose value the API and the dashboard mask, for every role. The handler gets the value."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the field's schema with the mark, which also has forms hide what is typed."""
        return {**handler(schema), "writeOnly": True, _MARK: True}


def masked(model: type[BaseModel], value: Any) -> Any:
    """Return a payload of ``model``, as JSON, with a mask in place of each sensitive value."""
    return _walk(value, value, model, lambda _new, _old: MASK)


def unmasked(model: type[BaseModel], value: Any, stored: Any) -> Any:
    """Return a payload of ``model`` with the ``stored`` values where ``value`` has only their mask."""
    return _walk(value, stored, model, lambda new, old: old if new == MASK else new)


def _walk(value: Any, stored: Any, model: type[BaseModel], choose: Callable[[Any, Any], Any]) -> Any:
    schema = _schema_of(model)
    return value if schema is None else _Walk(schema, choose).walk(value, stored, [schema])


@lru_cache(maxsize=1024)
def _schema_of(model: type[BaseModel]) -> dict[str, Any] | None:
    """Return the JSON Schema of a model that has sensitive fields; None if it has none."""
    try:
        schema = model.model_json_schema()
    except PydanticUserError:  # nothing is known of its fields but their own marks
        marked = {
            field.alias or name: {_MARK: True}
            for name, field in model.model_fields.items()
            if any(isinstance(each, Sensitive) for each in field.metadata)
        }
        return {"properties": marked} if marked else None
    return schema if _has_mark(schema) else None


def _has_mark(value: Any) -> bool:
    if isinstance(value, dict):
        return _MARK in value or any(map(_has_mark, value.values()))
    return isinstance(value, list) and any(map(_has_mark, value))


class _Walk:
    """Goes through a value along its schema. A place that several schemas describe is sensitive if one says so."""

    def __init__(self, root: dict[str, Any], choose: Callable[[Any, Any], Any]) -> None:
        self._definitions: dict[str, Any] = root.get("$defs", {})
        self._choose = choose

    def walk(self, value: Any, stored: Any, schemas: list[Any]) -> Any:
        known = [each for schema in schemas for each in self._variants(schema)]
        if any(_MARK in each for each in known):
            return value if value is None else self._choose(value, stored)
        if isinstance(value, dict):
            old = stored if isinstance(stored, dict) else {}
            return {key: self.walk(each, old.get(key), _members(known, key)) for key, each in value.items()}
        if isinstance(value, list):
            before = stored if isinstance(stored, list) and len(stored) == len(value) else [None] * len(value)
            pairs = enumerate(zip(value, before, strict=True))
            return [self.walk(new, old, _items(known, place)) for place, (new, old) in pairs]
        return value

    def _variants(self, schema: Any) -> Iterator[dict[str, Any]]:
        if not isinstance(schema, dict):
            return
        yield schema
        for word in ("anyOf", "oneOf", "allOf"):
            for each in schema.get(word, ()):
                yield from self._variants(each)
        if "$ref" in schema:
            yield from self._variants(self._definitions.get(schema["$ref"].rpartition("/")[2]))


def _members(schemas: list[dict[str, Any]], key: str) -> list[Any]:
    return [schema.get("properties", {}).get(key, schema.get("additionalProperties")) for schema in schemas]


def _items(schemas: list[dict[str, Any]], place: int) -> list[Any]:
    found = []
    for schema in schemas:
        first = schema.get("prefixItems", [])
        found.append(first[place] if place < len(first) else schema.get("items"))
    return found
