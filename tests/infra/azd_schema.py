"""What azd accepts in ``azure.yaml``: of its own JSON schema, what is written there and what that refers to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WRITTEN = {"name", "requiredVersions", "infra", "services", "hooks"}
_PROSE = {"title", "description", "examples", "default", "comment", "$comment"}
_NAMED = {"properties", "definitions", "patternProperties"}  # below these stand names, which may be "title" too


def azd_facts(repository: Path) -> dict[str, Any]:
    """Read the schema without its prose. Every other property of a project is known by its name only."""
    schema = _bare(json.loads((repository / "schemas/v1.0/azure.yaml.json").read_text()))
    properties = {name: one if name in WRITTEN else True for name, one in schema["properties"].items()}
    definitions: dict[str, Any] = {}
    open_names = set(_references(properties))
    while open_names:
        name = open_names.pop()
        definitions[name] = schema["definitions"][name]
        open_names |= set(_references(definitions[name])) - set(definitions)
    return {
        "source": "the repository Azure/azure-dev, schemas/v1.0",
        "$schema": schema["$schema"],
        "type": "object",
        "required": schema["required"],
        "properties": properties,
        "definitions": dict(sorted(definitions.items())),
    }


def _bare(value: Any, *, named: bool = False) -> Any:
    if isinstance(value, dict):
        return {
            key: _bare(inner, named=key in _NAMED and not named)
            for key, inner in value.items()
            if named or key not in _PROSE
        }
    if isinstance(value, list):  # the rules for hosts that extensions bring refer to schemas of their own
        return [_bare(item) for item in value if all(target.startswith("#/") for target in _targets(item))]
    return value


def _references(value: Any) -> Iterator[str]:
    return (target.rsplit("/", maxsplit=1)[-1] for target in _targets(value))


def _targets(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref" and isinstance(inner, str):
                yield inner
            else:
                yield from _targets(inner)
    elif isinstance(value, list):
        for item in value:
            yield from _targets(item)
