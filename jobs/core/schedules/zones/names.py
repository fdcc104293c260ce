"""Suggestions for an invalid time zone name. Used only after a name has been refused."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import lru_cache

from jobs.core.schedules.zones.windows import IANA_BY_WINDOWS

_OFFSET = re.compile(r"(?:UTC|GMT)?(?P<sign>[+-])(?P<hours>\d{1,2})(?::?(?P<minutes>\d\d))?", re.ASCII | re.IGNORECASE)
_WINDOWS = {name.casefold(): (name, iana) for name, iana in IANA_BY_WINDOWS.items()}
_SHOWN = 64
_MOST_HOURS = 12


def suggestion_for(name: str) -> str:
    """Return a sentence that says why ``name`` is not an IANA time zone and which one to write instead."""
    wanted = " ".join(name.split()).casefold()
    if wanted in _WINDOWS and wanted not in _by_lower_case():
        windows, iana = _WINDOWS[wanted]
        return f"{windows!r} is Windows' name; write the IANA name {iana}"
    if wanted in _by_lower_case():
        return f"{name[:_SHOWN]!r} is not how the zone is written; write {_by_lower_case()[wanted]}"
    offset = _OFFSET.fullmatch(wanted)
    if offset and int(offset["hours"]) <= _MOST_HOURS and int(offset["minutes"] or 0) == 0:
        zone = (
            f"Etc/GMT{'-' if offset['sign'] == '+' else '+'}{int(offset['hours'])}" if int(offset["hours"]) else "UTC"
        )
        return (
            f"{name!r} is an offset and no IANA time zone; write a place's, such as Europe/Berlin, or {zone}, which "
            "has that offset all year"
        )
    alike = get_close_matches(wanted[:_SHOWN], _by_lower_case(), n=1, cutoff=0.8)
    if alike:
        return f"no such IANA time zone; did you mean {_by_lower_case()[alike[0]]}?"
    return "no such IANA time zone; use a name such as Europe/Berlin or UTC"


def is_zone_name(name: str) -> bool:
    """Whether ``name`` is in the time zone database, in the same case."""
    return _by_lower_case().get(name.casefold()) == name


@lru_cache(maxsize=1)
def _by_lower_case() -> dict[str, str]:
    from importlib.resources import files  # noqa: PLC0415

    names = files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return {name.casefold(): name for name in ["UTC", *names]}
