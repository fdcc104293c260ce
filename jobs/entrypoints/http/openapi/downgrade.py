"""Write an OpenAPI 3.1 document as 3.0.3, for generators that read no 3.1."""

from __future__ import annotations

from typing import Any

_NOT_IN_3_0 = frozenset({
    "propertyNames", "patternProperties", "$schema", "$id", "$comment", "contentMediaType", "contentEncoding",
    "unevaluatedProperties", "unevaluatedItems", "dependentRequired", "dependentSchemas", "if", "then", "else",
    "contains", "minContains", "maxContains", "$defs", "contentSchema",
})  # fmt: skip
_BY_NAME = frozenset({"properties", "schemas", "parameters", "responses", "headers", "paths", "content", "examples"})
"""Members whose own keys are names that somebody chose, and no keywords."""
_VALUES = frozenset({"example", "default", "enum", "value", "required", "mapping"})
"""Members that hold values, in which nothing is a keyword."""


def downgraded(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document in OpenAPI 3.0.3. What 3.0 cannot say is left out, so that nothing is said wrongly."""
    found: dict[str, Any] = _converted(document)
    found["openapi"] = "3.0.3"
    for path in found["paths"].values():
        for operation in path.values():  # only OAuth has scopes there; the role stays in x-role and in the text
            operation["security"] = [{scheme: [] for scheme in each} for each in operation["security"]]
    return found


def _converted(value: Any) -> Any:
    if isinstance(value, list):
        return [_converted(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {key: _member(key, each) for key, each in value.items() if key not in _NOT_IN_3_0}
    if isinstance(found.get("examples"), list):
        found["example"] = found.pop("examples")[0]
    return _schema(found) if _is_schema(found) else found


def _member(key: str, value: Any) -> Any:
    if key in _VALUES:
        return value
    if key in _BY_NAME and isinstance(value, dict):
        return {name: _converted(each) for name, each in value.items()}
    if key == "examples":  # of a schema: a list of values
        return value
    return {} if key in {"items", "not"} and value is True else _converted(value)


def _is_schema(value: dict[str, Any]) -> bool:
    return bool(
        value.keys() & {"type", "anyOf", "oneOf", "allOf", "$ref", "const", "properties", "items", "prefixItems"}
    )


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema by the keywords of 3.0; those within it are converted already."""
    found = dict(schema)
    if "const" in found:
        found["enum"] = [found.pop("const")]
    if "prefixItems" in found:
        found.pop("prefixItems")
        found["items"] = {}
    for bound in ("minimum", "maximum"):
        exclusive = f"exclusive{bound.capitalize()}"
        if exclusive in found:
            found[bound], found[exclusive] = found[exclusive], True
    _without_null(found)
    if "$ref" in found and len(found) > 1:
        found["allOf"] = [{"$ref": found.pop("$ref")}]
    return found


def _without_null(schema: dict[str, Any]) -> None:
    """Write a type that may be null as ``nullable``."""
    kind = schema.get("type")
    if isinstance(kind, list):
        others = [each for each in kind if each != "null"]
        schema.pop("type")
        if len(others) == 1:
            schema["type"] = others[0]
        elif others:
            schema["anyOf"] = [{"type": each} for each in others]
        schema["nullable"] = True
    if kind == "null":
        schema.pop("type")
        schema["nullable"] = True
    for word in ("anyOf", "oneOf"):
        variants = schema.get(word)
        if variants is None or {"nullable": True} not in variants:
            continue
        others = [each for each in variants if each != {"nullable": True}]
        schema["nullable"] = True
        if len(others) > 1:
            schema[word] = others
            continue
        schema.pop(word)
        [only] = others
        schema.update({key: each for key, each in only.items() if key not in schema})
        if "type" not in schema and "$ref" in schema:
            schema["allOf"] = [{"$ref": schema.pop("$ref")}]
