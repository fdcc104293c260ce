"""Exact JSON numbers: a float if it represents the text exactly, else a ``Decimal``."""

from __future__ import annotations

import re
from decimal import Decimal
from math import isinf
from typing import Any

MAX_DIGITS = 4_000

_SURELY_EXACT = 16  # characters, so at most 15 digits and the point, which a float represents exactly
# A number of more than 15 digits has at least eight on one side of the point. The pattern starts with the point, which
# a search finds fast.
_LONG_FRACTION = re.compile(r"\.(?<=\d\.)(?:\d{8}|(?<=\d{8}\.)\d)", re.ASCII)
_EXPONENT = re.compile(r"\de[-+](\d{2,3})(?!\d)", re.ASCII)
_GROWTH_BASE, _GROWTH_PER_BYTE, _GROWTH_LIMIT = 8 * 1024, 4, 256 * 1024
_SURELY_SMALL = 128  # characters: six can become 326, so a shorter text cannot grow by more than the base
_SHOWN = 40
_MARK = "\0"
_MARKED = re.compile(r'"\\u0000(-?[0-9.]+)\\u0000"', re.ASCII)


class BadNumber(ValueError):
    """A number that cannot be stored exactly; the message says why and what to send instead."""


def read_fraction(text: str) -> float | Decimal:
    """Read a number with a point or an exponent exactly; raises ``BadNumber`` for one that cannot be stored."""
    number = float(text)
    if len(text) <= _SURELY_EXACT and number and "e" not in text and "E" not in text:
        return number
    _check_length(text, "a number")
    if isinf(number):
        raise BadNumber(f"{_shown(text)} is too large for a double, so others would read infinity; send it as a text")
    if not number:
        return _zero(text)
    return _exact(text, number)


def read_integer(text: str) -> int:
    """Read an integer; raises ``BadNumber`` for one that cannot be stored."""
    if len(text) > _SURELY_EXACT:
        _check_length(text.removeprefix("-"), "an integer")
    return int(text) or int(_zero(text))


def read_stored(text: str) -> float | Decimal:
    """Read a number from the database; accepts every number, since other programs may have written it."""
    number = float(text)
    if len(text) <= _SURELY_EXACT:
        return number
    return Decimal(text) if isinf(number) else _exact(text, number)


def as_decimal(number: float | Decimal) -> Decimal:
    """Return the decimal that a number's JSON shows: 0.1 is a tenth, not the nearest binary fraction."""
    return Decimal(repr(number)) if isinstance(number, float) else Decimal(number)


def may_be_inexact(text: str) -> bool:
    """Whether JSON text from ``write_json`` or the database may contain a number that a float cannot represent."""
    return _LONG_FRACTION.search(text) is not None


def marked(value: Any) -> str:
    """Return a marked string in place of a ``Decimal``, which JSON encoders do not support; ``unmarked`` replaces it.

    Raises ``TypeError`` for a value that is not JSON, ``BadNumber`` for a number that cannot be stored.
    """
    if isinstance(value, Decimal):
        return f"{_MARK}{_written(value)}{_MARK}"
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def unmarked(text: str) -> str:
    """Replace the marked strings by their numbers. No other string in ``text`` may contain a NUL character."""
    return _MARKED.sub(r"\1", text) if "\\u0000" in text else text


def refuse_inflated(value: Any, text: str, *, decimals: bool) -> None:
    """Raise ``BadNumber`` if PostgreSQL would expand ``value``, whose JSON is ``text``, to many times its size.

    PostgreSQL returns numbers without exponents: 1e308, five bytes, is 309 bytes at every read. ``decimals`` is whether
    the value may contain a ``Decimal``.
    """
    if len(text) < _SURELY_SMALL or not (decimals or "e+" in text or "e-" in text):
        return
    if not decimals and _digits_named(text) <= _GROWTH_BASE:
        return
    floats = exact = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, float):
            floats += _digits_named(repr(item))
        elif isinstance(item, Decimal):
            exact += max(item.adjusted() + 1 - len(item.as_tuple().digits), -item.adjusted(), 0)
        elif isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list | tuple):
            waiting += item
    most = min(_GROWTH_BASE + _GROWTH_PER_BYTE * (len(text) - exact), _GROWTH_LIMIT)
    if floats + exact > most:
        raise BadNumber(
            f"its numbers take {floats + exact} bytes more without exponents, as the database keeps them, and {most} "
            "are the most for its size; send such numbers as texts"
        )


def _digits_named(text: str) -> int:
    """Return the sum of the exponents in JSON text, which is the digits they expand to. Lookalikes in strings count."""
    return sum(map(int, _EXPONENT.findall(text)))


def _written(number: Decimal) -> str:
    """Return a number as PostgreSQL writes it: without an exponent."""
    if not number.is_finite():
        raise BadNumber(f"{number} is not JSON")
    if not number:
        return "0.0"
    if isinf(float(number)) or not float(number):
        raise BadNumber(f"{_shown(str(number))} is beyond what a double can be; make it a text")
    text = format(number, "f")
    _check_length(text.lstrip("-0."), "a number")
    return text


def _exact(text: str, number: float) -> float | Decimal:
    exact = Decimal(text)
    return number if Decimal(repr(number)) == exact else exact


def _check_length(text: str, what: str) -> None:
    if len(text) > MAX_DIGITS:
        raise BadNumber(f"{what} of {len(text)} digits; {MAX_DIGITS} are the most; send it as a text")


def _zero(text: str) -> float:
    """Return zero for ``text``; raises ``BadNumber`` if ``text`` is a tiny number that would be stored as zero."""
    if text.lower().partition("e")[0].strip("+-0."):
        raise BadNumber(f"{_shown(text)} is too small for a double, so others would read zero; send it as a text")
    if text.startswith("-"):
        raise BadNumber(f"{_shown(text)} is a negative zero, whose sign the database does not keep; send 0")
    return 0.0


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
