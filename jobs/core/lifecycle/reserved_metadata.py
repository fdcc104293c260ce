"""Metadata keys reserved for the framework, ``jobs.*``: a caller who sets them could move a job to another's file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.core.errors import InvalidInput, Problem
from jobs.core.json_pointer import pointer_step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.core.lifecycle.job import Json

RESERVED_METADATA = "jobs."
_MISSING = object()


def refuse_reserved(metadata: Mapping[str, Json], existing: Mapping[str, Json] | None = None) -> None:
    """Raise ``InvalidInput`` naming each reserved key of ``metadata`` that does not have its value in ``existing``."""
    known = existing or {}
    taken = [
        name
        for name, value in metadata.items()
        if name.startswith(RESERVED_METADATA) and known.get(name, _MISSING) != value
    ]
    if taken:
        raise InvalidInput([Problem(f"/metadata/{pointer_step(name)}", _RESERVED) for name in taken])


_RESERVED = "keys that begin with 'jobs.' are the framework's own; use another key"


def reserved_of(metadata: Mapping[str, Json]) -> dict[str, Json]:
    """Return the reserved part of ``metadata``."""
    return {name: value for name, value in metadata.items() if name.startswith(RESERVED_METADATA)}
