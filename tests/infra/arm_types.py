"""Hold a resource, as it is handed to Azure, to Azure's own description of its type."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from tests.infra.bicep_evaluation import Unknown

FACTS = Path(__file__).parent / "facts" / "bicep.json"


@lru_cache
def arm_types() -> dict[str, Any]:
    """Give the known types by name and API version."""
    return dict(json.loads(FACTS.read_text())["types"])


def faults_of(kind: str, version: str, body: dict[str, Any]) -> list[str]:
    """Tell what Azure's types do not know or do not allow. A value that only Azure knows passes."""
    described = arm_types().get(f"{kind}@{version}")
    if described is None:
        return [f"{kind}@{version}: no such type and version among the facts; add it to extract_facts.py if it is real"]
    return [f"{kind}{fault}" for fault in _faults(described["objects"], {"object": described["body"]}, body, "")]


def _faults(objects: dict[str, Any], kind: Any, value: Any, path: str) -> Iterator[str]:
    if value is None or kind == "any" or isinstance(value, Unknown):
        return
    match kind:
        case {"object": name}:
            yield from _object_faults(objects, objects[name], value, path)
        case {"array": element}:
            if not isinstance(value, list):
                yield f"{path}: {value!r} is not a list"
                return
            for number, item in enumerate(value):
                yield from _faults(objects, element, item, f"{path}[{number}]")
        case {"values": values}:
            if value not in values:
                yield f"{path}: {value!r} is not one of {values}"
        case _:
            wanted = {"string": str, "int": (int, float), "bool": bool}[kind]
            if not isinstance(value, wanted) or (kind == "int" and isinstance(value, bool)):
                yield f"{path}: {value!r} is not a {kind}"


def _object_faults(objects: dict[str, Any], described: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is not an object"
        return
    properties = dict(described["properties"])
    required = set(described.get("required", []))
    if "discriminator" in described:
        name = described["discriminator"]
        variant = described["variants"].get(value.get(name))
        if variant is None:
            yield f"{path}.{name}: {value.get(name)!r} is not one of {sorted(described['variants'])}"
            return
        properties |= objects[variant]["properties"]
        required |= set(objects[variant].get("required", []))
    for name in sorted(required - set(value)):
        yield f"{path}.{name} is missing"
    for name, item in value.items():
        if name in properties:
            yield from _faults(objects, properties[name], item, f"{path}.{name}")
        elif "others" in described:
            yield from _faults(objects, described["others"], item, f"{path}.{name}")
        else:
            yield f"{path}.{name} is not known; there are {sorted(properties)}"
