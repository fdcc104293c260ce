"""Find the known name that a misspelt one probably stands for."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_COMPARED = 200
"""The most characters of a name that are compared, since the time grows with their square."""


def near_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like ``name``, whatever its case; None if none is alike."""
    by_lower_case = {each.lower(): each for each in known}
    close = get_close_matches(name[:_COMPARED].lower(), by_lower_case, n=1)
    return by_lower_case[close[0]] if close else None


def asks_for_near(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about ``name`` that asks whether a known one is meant; empty if none is alike."""
    near = near_name(name, known)
    return f"; is {near!r} meant?" if near is not None else ""
