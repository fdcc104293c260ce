"""Fields of a handler's arguments that are shown to nobody: ``card: Annotated[str, Sensitive()]``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic.errors import PydanticUserError

from jobs.core.errors import InvalidInput, Problem
from jobs.core.handlers.arguments.described_fields import FieldsByEveryName, items_of, member_of
from jobs.core.json_pointer import pointer_step

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
    return _walk(value, value, model, lambda _new, _old, _place: MASK)


def refuse_mask(model: type[BaseModel], value: Any) -> None:
    """Raise ``InvalidInput`` if a new payload of ``model`` has a mask in place of a sensitive value."""
    unmasked(model, value, None)


def unmasked(model: type[BaseModel], value: Any, stored: Any) -> Any:
    """Return a payload of ``model``, which is JSON, with the ``stored`` values where ``value`` has only their mask.

    Raises ``InvalidInput`` for a mask with no stored value in its place.
    """
    problems: list[Problem] = []

    def choose(new: Any, old: Any, place: str) -> Any:
        if new != MASK:
            return new
        if old is None:
            problems.append(Problem(f"/payload{place}", _NOTHING_BEHIND))
        return old

    whole = _walk(value, stored, model, choose)
    if problems:
        raise InvalidInput(problems)
    return whole


_NOTHING_BEHIND = "this is the mask of a sensitive value, and no value is stored in this place; send the value itself"


def _walk(value: Any, stored: Any, model: type[BaseModel], choose: Callable[[Any, Any, str], Any]) -> Any:
    schema = _schema_of(model)
    return value if schema is None else _Walk(schema, choose).walk(value, stored, [schema], "")


@lru_cache(maxsize=1024)
def _schema_of(model: type[BaseModel]) -> dict[str, Any] | None:
    """Return the JSON Schema of a model that has sensitive fields; None if it has none."""
    try:
        schema = model.model_json_schema(by_alias=False, schema_generator=FieldsByEveryName)
    except PydanticUserError:  # where its sensitive values are is not known, so none of it is shown
        marked = any(isinstance(each, Sensitive) for field in model.model_fields.values() for each in field.metadata)
        return {_MARK: True} if marked else None
    return schema if _has_mark(schema) else None


def _has_mark(value: Any) -> bool:
    if isinstance(value, dict):
        return _MARK in value or any(map(_has_mark, value.values()))
    return isinstance(value, list) and any(map(_has_mark, value))


class _Walk:
    """Goes through a value along its schema. A place that several schemas describe is sensitive if one says so."""

    def __init__(self, root: dict[str, Any], choose: Callable[[Any, Any, str], Any]) -> None:
        self._definitions: dict[str, Any] = root.get("$defs", {})
        self._choose = choose

    def walk(self, value: Any, stored: Any, schemas: list[Any], place: str) -> Any:
        known = [each for schema in schemas for each in self._variants(schema)]
        if any(_MARK in each for each in known):
            return value if value is None else self._choose(value, stored, place)
        if isinstance(value, dict):
            old = stored if isinstance(stored, dict) else {}
            return {
                key: self.walk(each, old.get(key), member_of(known, key), f"{place}/{pointer_step(key)}")
                for key, each in value.items()
            }
        if isinstance(value, list | tuple):
            before = stored if isinstance(stored, list) and len(stored) == len(value) else [None] * len(value)
            return [
                self.walk(new, old, items_of(known, index), f"{place}/{index}")
                for index, (new, old) in enumerate(zip(value, before, strict=True))
            ]
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
