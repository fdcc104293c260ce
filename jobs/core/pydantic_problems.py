"""The problems of a value that pydantic refuses, each with its JSON Pointer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.core.errors import Problem
from jobs.core.json_pointer import pointer_step

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails


def problems_of(error: ValidationError, value: object, prefix: str = "") -> list[Problem]:
    """Convert pydantic's errors to problems. ``prefix`` is the pointer of ``value`` in the request."""
    return [
        Problem(prefix + _pointer(fault["loc"], value, absent=fault["type"] == "missing"), _message(fault))
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _message(fault: ErrorDetails) -> str:
    if fault["type"] == "missing":
        return f"the field {str(fault['loc'][-1])!r} is missing; it is required"
    return fault["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")  # a validator's own words


def _pointer(location: tuple[int | str, ...], value: Any, *, absent: bool) -> str:
    """Return the JSON Pointer of a fault's location in ``value``.

    pydantic's location also contains union members and "[key]", which are left out.
    """
    places = []
    for part in location:
        listed = isinstance(value, list | tuple) and isinstance(part, int) and part < len(value)
        if listed or (isinstance(value, dict) and part in value):
            value = value[part]
            places.append(part)
    if absent:
        places.append(location[-1])
    return "".join(f"/{pointer_step(part)}" for part in places)
