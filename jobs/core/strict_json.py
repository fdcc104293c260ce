"""Strict parsing and writing of JSON. Errors have a pointer to the place.

RFC 8259 leaves open how a parser treats duplicate keys, huge numbers and deep nesting. JSON that is accepted here means
the same to every reader, and PostgreSQL can store it.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

from jobs.core.errors import InvalidInput, Problem
from jobs.core.json_pointer import pointer_step
from jobs.core.numbers import (
    MAX_DIGITS,
    BadNumber,
    as_decimal,
    marked,
    read_fraction,
    read_integer,
    read_stored,
    refuse_inflated,
    unmarked,
)

if TYPE_CHECKING:
    from collections.abc import Collection

MAX_DEPTH = 64
MAX_INTEGER_DIGITS = MAX_DIGITS
_MAX_TEXT = 9_000  # keeps rows of the history small
MAX_TRACEBACK = 16_000

_SUSPECT = re.compile(r"\\u0000|[\ud800-\udfff]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=marked)
# The encoder that json otherwise creates for every call, which is half of a small payload's cost. It does not track
# open containers, so a circular value ends in a RecursionError.
_MAKE_ENCODER: Any = getattr(json.encoder, "c_make_encoder", None)
_QUICK_ENCODER = _MAKE_ENCODER and _MAKE_ENCODER(
    None, _ENCODER.default, json.encoder.encode_basestring, None, ":", ",", False, False, False
)
_NESTING = (dict, list, tuple)


class MalformedJson(ValueError):
    """The text is not JSON, or is JSON that strict parsing refuses; the message says why and where."""


def parse_json(text: bytes | str) -> Any:
    """Parse strictly: no NaN or Infinity, no key twice in one object, no number of over 4,000 digits, depth up to 64.

    No number is rounded: one that a float cannot represent becomes a ``Decimal``; one that the database cannot store is
    refused. Raises ``MalformedJson``, and ``InvalidInput`` for strings that cannot be stored.
    """
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedJson(f"the text is not UTF-8: byte {error.start} cannot be read") from None
    try:
        value = json.loads(
            decoded,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=read_integer,
            parse_float=read_fraction,
        )
    except json.JSONDecodeError as error:
        raise MalformedJson(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except BadNumber as error:
        raise MalformedJson(str(error)) from None
    except RecursionError:
        raise MalformedJson(f"nested deeper than {MAX_DEPTH} levels") from None
    check_depth(decoded, value)
    if _SUSPECT.search(decoded) or "\\u" in decoded:
        refuse_unstorable(value)
    return value


def write_json(value: Any, pointer: str = "") -> str:
    """Return ``value`` as compact JSON with exact numbers.

    Raises ``InvalidInput`` if it is not JSON, cannot be stored, or would take many times its size in the database.
    """
    try:
        text = _encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        if isinstance(error, TypeError) and (foreign := _foreign(value, pointer)):
            place, kind = foreign
            raise InvalidInput.at(place, f"not a JSON value: a {kind}; write it as text or as a number") from None
        raise InvalidInput.at(pointer, f"not a JSON value: {error}") from None
    if (not text.isascii() or "\\u0000" in text) and _SUSPECT.search(text):
        refuse_unstorable(value, pointer)
    decimals = "\\u0000" in text
    if decimals:
        text = unmarked(text)
    try:
        check_depth(text, value)
        refuse_inflated(value, text, decimals=decimals)
    except (MalformedJson, BadNumber) as error:
        raise InvalidInput.at(pointer, str(error)) from None
    return text


def exact_json(value: Any) -> str:
    """Return a value as compact, exact JSON, without checks: for values from the database or checked before."""
    return unmarked(_encode(value))


def read_json(text: str) -> Any:
    """Parse JSON text written by ``write_json`` or the database, without rounding numbers. Raises ``ValueError``."""
    return json.loads(text, parse_float=read_stored)


def _encode(value: Any) -> str:
    if _QUICK_ENCODER is None:
        return _ENCODER.encode(value)
    return "".join(_QUICK_ENCODER(value, 0))


def _foreign(value: Any, pointer: str) -> tuple[str, str] | None:
    """Return the place and type name of the first value in ``value`` that JSON does not have; None if there is none."""
    if pointer.count("/") > MAX_DEPTH:
        return None  # perhaps circular
    if isinstance(value, dict):
        parts = ((f"{pointer}/{_shown(str(key))}", child) for key, child in value.items())
    elif isinstance(value, list | tuple):
        parts = ((f"{pointer}/{index}", child) for index, child in enumerate(value))
    else:
        return (
            None if value is None or isinstance(value, str | int | float | Decimal) else (pointer, type(value).__name__)
        )
    return next((found for place, child in parts if (found := _foreign(child, place))), None)


def refuse_unstorable(value: Any, pointer: str = "") -> None:
    """Raise ``InvalidInput`` naming every string in ``value`` that PostgreSQL cannot store."""
    problems = [
        Problem(
            place, "a NUL character or half a surrogate pair cannot be stored; remove it or encode it, as base64 say"
        )
        for place, text in _strings(value, pointer)
        if _UNSTORABLE.search(text)
    ]
    if problems:
        raise InvalidInput(problems)


def refuse_unstorable_text(text: str, pointer: str) -> None:
    """Raise ``InvalidInput`` if PostgreSQL cannot store ``text``."""
    if (not text.isascii() or "\x00" in text) and _UNSTORABLE.search(text):
        refuse_unstorable(text, pointer)


def storable(text: str | None, longest: int = _MAX_TEXT) -> str | None:
    """Return ``text`` cut to ``longest``, with characters replaced that PostgreSQL cannot store.

    An error's text must never prevent the outcome from being recorded.
    """
    if text is None:
        return None
    return text[:longest].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _strings(value: Any, pointer: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    waiting = [(pointer, value)]
    while waiting:
        place, item = waiting.pop()
        if isinstance(item, str):
            found.append((place, item))
        elif isinstance(item, dict):
            found += [(place, str(key)) for key in item]
            waiting += [(f"{place}/{_shown(str(key))}", child) for key, child in item.items()]
        elif isinstance(item, list | tuple):
            waiting += [(f"{place}/{index}", child) for index, child in enumerate(item)]
    return found


def _shown(key: str) -> str:
    return pointer_step(key.replace("\x00", "\ufffd").encode("utf-8", "replace").decode())


def check_depth(text: str, value: Any) -> None:
    """Raise ``MalformedJson`` if ``value``, parsed from ``text``, is nested too deep.

    The depth is measured only if the text has enough brackets.
    """
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    level, depth = [value], 0
    while level:
        level = [child for item in level if isinstance(item, _NESTING) for child in _children(item)]
        depth += 1
        if depth >= MAX_DEPTH and any(isinstance(item, _NESTING) for item in level):
            raise MalformedJson(f"nested deeper than {MAX_DEPTH} levels")


def _children(item: dict[str, Any] | list[Any] | tuple[Any, ...]) -> Collection[Any]:
    return item.values() if isinstance(item, dict) else item


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise MalformedJson(f"the key {json.dumps(twice)} stands twice in one object")
    return found


def _constant(name: str) -> NoReturn:
    raise MalformedJson(f"{name} is not JSON")


def same_json(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal to PostgreSQL, which stores numbers as decimals: 1e22 returns as digits.

    Unlike in Python, True and 1 are different.
    """
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same_json, one, other))
    if isinstance(one, int | float | Decimal) and isinstance(other, int | float | Decimal):
        return as_decimal(one) == as_decimal(other)
    return bool(one == other)
