"""JSON's numbers, none of them rounded: a float where it has every digit of the text, else a ``Decimal``."""

from __future__ import annotations

import re
from decimal import Decimal
from math import isinf
from typing import Any

MAX_DIGITS = 4_000

_SURELY_EXACT = 16  # characters, so 15 digits at most beside the point, which every float keeps
# Of more than 15 digits, eight stand on one side of the point. It begins with that, which is found at once.
_LONG_FRACTION = re.compile(r"\.(?<=\d\.)(?:\d{8}|(?<=\d{8}\.)\d)", re.ASCII)
_EXPONENT = re.compile(r"\de[-+](\d{2,3})(?!\d)", re.ASCII)
_ADDED_TO_ANY, _ADDED_PER_BYTE, _ADDED_TO_ONE = 8 * 1024, 4, 256 * 1024
_SURELY_SMALL = 128  # characters: six may become 326, so a text that is shorter stays below what any may have added
_SHOWN = 40
_MARK = "\0"
_MARKED = re.compile(r'"\\u0000(-?[0-9.]+)\\u0000"', re.ASCII)


class BadNumber(ValueError):
    """A number that cannot be kept as it is; the message says why and what to send instead."""


def read_fraction(text: str) -> float | Decimal:
    """Read a number with a point or an exponent exactly; raises ``BadNumber`` for one that cannot be kept."""
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
    """Read an integer; raises ``BadNumber`` for one that cannot be kept."""
    if len(text) > _SURELY_EXACT:
        _check_length(text.removeprefix("-"), "an integer")
    return int(text) or int(_zero(text))


def read_stored(text: str) -> float | Decimal:
    """Read a number that stands in the database, whoever wrote it there."""
    number = float(text)
    if len(text) <= _SURELY_EXACT:
        return number
    return Decimal(text) if isinf(number) else _exact(text, number)


def as_decimal(number: float | Decimal) -> Decimal:
    """Return a number as the decimal that its JSON shows: 0.1 is a tenth, and not the binary fraction beside it."""
    return Decimal(repr(number)) if isinstance(number, float) else Decimal(number)


def may_be_inexact(text: str) -> bool:
    """Whether JSON text, as ``write_json`` or the database writes it, may hold a number that no float has."""
    return _LONG_FRACTION.search(text) is not None


def marked(value: Any) -> str:
    """Stand for a ``Decimal`` in what a JSON encoder writes, which knows none: a text that ``unmarked`` takes out.

    Raises ``TypeError`` for what is no JSON value, ``BadNumber`` for a number that cannot be kept.
    """
    if isinstance(value, Decimal):
        return f"{_MARK}{_written(value)}{_MARK}"
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def unmarked(text: str) -> str:
    """Put the numbers in place of what ``marked`` returned. No other string in ``text`` may hold a NUL character."""
    return _MARKED.sub(r"\1", text) if "\\u0000" in text else text


def refuse_inflated(value: Any, text: str, *, decimals: bool) -> None:
    """Raise ``BadNumber`` where PostgreSQL would keep ``value``, whose JSON is ``text``, at many times its size.

    It writes numbers out: 1e308, five bytes, are 309 there, at every read. ``decimals`` says whether there may be a
    ``Decimal`` in the value.
    """
    if len(text) < _SURELY_SMALL or not (decimals or "e+" in text or "e-" in text):
        return
    if not decimals and _digits_named(text) <= _ADDED_TO_ANY:
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
    most = min(_ADDED_TO_ANY + _ADDED_PER_BYTE * (len(text) - exact), _ADDED_TO_ONE)
    if floats + exact > most:
        raise BadNumber(
            f"its numbers take {floats + exact} bytes more without exponents, as the database keeps them, and {most} "
            "are the most for its size; send such numbers as texts"
        )


def _digits_named(text: str) -> int:
    """Sum the exponents in JSON text: how many digits they would expand to. Anything that looks like one counts."""
    return sum(map(int, _EXPONENT.findall(text)))


def _written(number: Decimal) -> str:
    """Write a number as PostgreSQL does: without an exponent."""
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
    """Return the zero that ``text`` is; raises ``BadNumber`` if it is kept as a zero and is not quite one."""
    if text.lower().partition("e")[0].strip("+-0."):
        raise BadNumber(f"{_shown(text)} is too small for a double, so others would read zero; send it as a text")
    if text.startswith("-"):
        raise BadNumber(f"{_shown(text)} is a negative zero, whose sign the database does not keep; send 0")
    return 0.0


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
