"""Inline constraints of route parameters, such as ``:guid`` and ``:length(2,8)``, with ASP.NET Core's semantics."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Predicate = Callable[[str], bool]

_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,40}\s*")
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


def constraint(name: str, argument: str | None) -> Predicate:
    """Return a test of whether a route value satisfies the constraint.

    Raises ``ValueError`` for an unknown constraint or an invalid argument.
    """
    name = name.casefold()
    try:
        return _PLAIN[name] if argument is None else _WITH_ARGUMENT[name](argument)
    except KeyError:
        known = ", ".join([*_PLAIN, *(f"{each}(…)" for each in _WITH_ARGUMENT)])
        raise ValueError(f"the constraint {name!r} is none of: {known}") from None
    except (ValueError, re.error) as error:
        raise ValueError(f"the constraint {name!r} cannot use the argument {argument!r}: {error}") from None


def _fully(pattern: str) -> Predicate:
    compiled = re.compile(pattern, re.IGNORECASE)
    return lambda value: compiled.fullmatch(value) is not None


def _between(low: int, high: int) -> Predicate:
    return lambda value: _INTEGER.fullmatch(value) is not None and low <= int(value) <= high


def _sized(low: int, high: int) -> Predicate:
    return lambda value: low <= len(value) <= high


def _is_guid(value: str) -> bool:
    # uuid.UUID also reads urn:uuid: and hyphens anywhere, which .NET does not.
    bare = value[1:-1] if value[:1] + value[-1:] in {"{}", "()"} else value
    try:
        parsed = uuid.UUID(bare)
    except ValueError:
        return False
    return bare.casefold() in {str(parsed), parsed.hex}


def _length(argument: str) -> Predicate:
    low, _, high = argument.partition(",")
    return _sized(int(low), int(high or low))


def _range(argument: str) -> Predicate:
    low, high = argument.split(",")
    return _between(int(low), int(high))


def _regex(argument: str) -> Predicate:
    # Braces are doubled inside a template. The host searches for the pattern without anchoring it.
    compiled = re.compile(argument.replace("{{", "{").replace("}}", "}"), re.IGNORECASE)
    return lambda value: compiled.search(value) is not None


_PLAIN: dict[str, Predicate] = {
    "guid": _is_guid,
    "int": _between(-(2**31), 2**31 - 1),
    "long": _between(_LOWEST, _HIGHEST),
    "bool": _fully("true|false"),
    "alpha": _fully("[a-z]*"),
    "decimal": _fully(r"[+-]?(\d+\.?\d*|\.\d+)"),
    "double": _fully(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?"),
    "float": _fully(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?"),
    "required": bool,
}
_WITH_ARGUMENT: dict[str, Callable[[str], Predicate]] = {
    "length": _length,
    "minlength": lambda argument: _sized(int(argument), _HIGHEST),
    "maxlength": lambda argument: _sized(0, int(argument)),
    "min": lambda argument: _between(int(argument), _HIGHEST),
    "max": lambda argument: _between(_LOWEST, int(argument)),
    "range": _range,
    "regex": _regex,
}
