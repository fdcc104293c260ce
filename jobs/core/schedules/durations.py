"""Lengths of time as text: read from ISO 8601 (``PT1H30M``) or Go (``1h30m``), written as ISO 8601 or in words."""

from __future__ import annotations

import re
from datetime import timedelta

_MAX_LENGTH = 128
_SECOND = 1_000_000_000
_NANOSECONDS = {
    "w": 7 * 86_400 * _SECOND,
    "d": 86_400 * _SECOND,
    "h": 3_600 * _SECOND,
    "m": 60 * _SECOND,
    "s": _SECOND,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
_DATE_UNITS = "wd"
_TIME_UNITS = "hms"
_PART = re.compile(r"(\d+(?:[.,]\d+)?)([WDHMS])", re.ASCII)
_ISO = re.compile(r"P(?=\d|T\d)((?:[\d.,]+[WD])*)(?:T((?:[\d.,]+[HMS])+))?", re.ASCII)
_CALENDAR = re.compile(r"P[\d.,WD]*[YM].*", re.ASCII)
_GO_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ms|us|ns|h|m|s)", re.ASCII)
_GO = re.compile(rf"(?:{_GO_PART.pattern})+", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """Read a duration of zero or more, such as ``PT1H30M``, ``P1D``, ``PT0.5S``, ``1h30m`` or ``250ms``.

    ISO 8601: weeks, days, hours, minutes, seconds, each at most once and in this order; the last may have a fraction.
    Go (``time.ParseDuration``): h, m, s, ms, us and ns, with fractions. Fractions of a microsecond are cut off.

    Raises ``ValueError`` with a message for the caller.
    """
    if len(text) > _MAX_LENGTH:
        raise ValueError(f"a duration has at most {_MAX_LENGTH} characters")
    if _CALENDAR.fullmatch(text):
        raise ValueError("years and months have no fixed length; give weeks (P2W), days (P30D) or less")
    nanoseconds = _read_iso(text) if text.startswith("P") else _read_go(text)
    if nanoseconds is None:
        raise ValueError("not a duration; write ISO 8601 such as PT30S, PT1H30M or P1D, or h, m and s such as 1h30m")
    try:
        return timedelta(microseconds=nanoseconds // 1_000)
    except OverflowError:
        raise ValueError("the duration is too long; at most 999999999 days can be kept") from None


def format_duration(duration: timedelta) -> str:
    """Write ``duration`` as ISO 8601, in days, hours, minutes and seconds: ``P1DT2H``, ``PT1.5S``, ``PT0S``.

    A negative one gets a leading minus sign (ISO 8601-2), which ``parse_duration`` refuses.
    """
    if duration < timedelta():
        return "-" + format_duration(-duration)
    date = f"{duration.days}D" if duration.days else ""
    time = "".join(f"{amount}{unit.upper()}" for amount, unit in _clock_parts(duration))
    return "P" + date + ("T" + time if time else "") if date or time else "PT0S"


def describe_duration(duration: timedelta) -> str:
    """Return ``duration`` in words: ``1 day 2 hours``, ``1.5 seconds``."""
    parts = [(str(duration.days), "d")] if duration.days else []
    parts += _clock_parts(duration)
    words = {"d": "day", "h": "hour", "m": "minute", "s": "second"}
    return " ".join(f"{n} {words[unit]}{'' if n == '1' else 's'}" for n, unit in parts) or "0 seconds"


def _clock_parts(duration: timedelta) -> list[tuple[str, str]]:
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{duration.microseconds:06}".rstrip("0") if duration.microseconds else ""
    parts = [(str(hours), "h"), (str(minutes), "m"), (f"{seconds}{fraction}", "s")]
    return [(amount, unit) for amount, unit in parts if amount != "0"]


def _read_iso(text: str) -> int | None:
    whole = _ISO.fullmatch(text)
    if whole is None:
        return None
    parts: list[tuple[str, str]] = []
    for half, units in ((whole[1], _DATE_UNITS), (whole[2] or "", _TIME_UNITS)):
        found = [(amount.replace(",", "."), unit.lower()) for amount, unit in _PART.findall(half)]
        places = [units.index(unit) for _, unit in found]
        if "".join(a + u for a, u in found) != half.replace(",", ".").lower() or places != sorted(set(places)):
            return None
        parts += found
    if any("." in amount for amount, _ in parts[:-1]):
        return None
    return sum(_nanoseconds(amount, unit) for amount, unit in parts)


def _read_go(text: str) -> int | None:
    if text == "0":
        return 0
    if not _GO.fullmatch(text):
        return None
    return sum(_nanoseconds(amount, unit) for amount, unit in _GO_PART.findall(text))


def _nanoseconds(amount: str, unit: str) -> int:
    """Multiply without a float, so that 0.1 s is exactly 100 ms."""
    whole, _, fraction = amount.partition(".")
    scale = _NANOSECONDS[unit]
    return int(whole or 0) * scale + int(fraction or 0) * scale // int("1" + "0" * len(fraction))
