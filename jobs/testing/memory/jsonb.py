"""JSON with the semantics of PostgreSQL's ``jsonb``: its order of keys, expanded numbers, and containment (``@>``)."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NoReturn


def as_stored(text: str) -> str:
    """Return JSON text as a ``jsonb`` column returns it; raises ``ValueError`` if it is not JSON."""
    return _written(parsed(text))


def parsed(text: str) -> Any:
    """Parse JSON text exactly, with fractions as ``Decimal``."""
    return json.loads(text, parse_float=Decimal, parse_constant=_refuse)


def contains(whole: Any, part: Any) -> bool:
    """Whether ``whole`` contains ``part``, both parsed: an object by its keys, an array by its members, in any order.

    Within an object or array a scalar is contained only in an equal scalar, not in an array that contains it.
    """
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            key in whole and contains(whole[key], value) for key, value in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and all(any(contains(member, value) for member in whole) for value in part)
    # True equals 1 in Python, but not in JSON.
    return isinstance(whole, bool) is isinstance(part, bool) and not isinstance(whole, dict | list) and whole == part


def _written(value: Any) -> str:
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return "{" + ", ".join(f"{_written(key)}: {_written(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    if isinstance(value, Decimal):
        return format(abs(value) if value.is_zero() else value, "f")
    return json.dumps(value, ensure_ascii=False)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
