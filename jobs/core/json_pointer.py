"""JSON Pointers (RFC 6901)."""

from __future__ import annotations


def pointer_step(name: str | int) -> str:
    """Return a key or an index as it is written between the slashes of a JSON Pointer."""
    return str(name).replace("~", "~0").replace("/", "~1")
