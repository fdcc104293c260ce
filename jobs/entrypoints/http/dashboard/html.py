"""Templates become HTML here. Every value is escaped; a template that names what is not there fails."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from jobs.core.schedules.durations import describe_duration
from jobs.core.strict_json import exact_json
from jobs.entrypoints.http.dashboard.search import qualified, quoted

if TYPE_CHECKING:
    from jobs.entrypoints.http.dashboard.visit import View, Visit

_TEMPLATES = Path(__file__).with_name("templates")
_DASH = "\N{EN DASH}"
_NOTHING = Markup('<span class="none">{}</span>').format(_DASH)
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)")
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def render(view: View, visit: Visit) -> str:
    """Return a view's HTML."""
    common = {
        "title": view.title,
        "section": view.section,
        "options": visit.options,
        "may_enqueue": visit.may_enqueue,
        "may_manage": visit.may_manage,
    }
    return _environment().get_template(view.template).render(common | view.values)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "time": time_element,
        "ago": relative_time,
        "json": pretty_json,
        "number": number,
        "seconds": in_words,
        "span": describe_span,
        "query": quoted,
        "utc": utc_text,
        "with_times": with_times,
        "local": local_text,
    }
    environment.globals["qualified"] = qualified
    return environment


def time_element(moment: datetime | None, kind: str = "") -> Markup:
    """Return an instant in UTC, which the script shows in the viewer's zone, as ``kind`` says: else date and time."""
    if moment is None:
        return _NOTHING
    machine, shown = utc_text(moment), f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}"{}>{}</time>').format(
        machine, Markup(' data-as="{}"').format(kind) if kind else "", shown
    )


def with_times(text: str) -> Markup:
    """Return a sentence whose instants are shown in the viewer's zone."""
    pieces = _INSTANT.split(text)
    shown = [
        time_element(datetime.fromisoformat(each)) if place % 2 else escape(each) for place, each in enumerate(pieces)
    ]
    return Markup("").join(shown)


def local_text(moment: datetime) -> str:
    """Return an instant in its own zone to the second, with its offset."""
    return moment.isoformat(sep=" ", timespec="seconds")


def relative_time(moment: datetime | None) -> Markup:
    """Return an instant that the script shows as so long ago, or from now."""
    return time_element(moment, "relative")


def utc_text(moment: datetime) -> str:
    """Return an instant as RFC 3339 in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def number(value: float, more: bool = False) -> str:  # noqa: FBT001, FBT002  a filter's argument
    """Return a number with its thousands apart; with a plus if it is a lower bound."""
    return f"{value:,}{'+' if more else ''}"


def in_words(seconds: float | None) -> str:
    """Return a number of seconds as people say it, to two or three digits."""
    if seconds is None:
        return _DASH
    if seconds < 1:
        milliseconds = seconds * 1000
        return f"{milliseconds:.0f} ms" if milliseconds >= 1 else "under 1 ms"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def describe_span(duration: timedelta | None) -> str:
    """Return a duration in words; a dash for none."""
    return _DASH if duration is None else describe_duration(duration)


def pretty_json(value: Any) -> str:
    """Return a value as indented JSON with every number exactly as it was sent."""
    return "".join(_pretty(value, "\n"))


def _pretty(value: Any, line: str) -> list[str]:
    if not value or not isinstance(value, dict | list | tuple):
        return [exact_json(value)]
    deeper = f"{line}  "
    if isinstance(value, dict):
        opened, closed = "{}"
        parts = [[exact_json(str(key)), ": ", *_pretty(each, deeper)] for key, each in value.items()]
    else:
        opened, closed = "[]"
        parts = [_pretty(each, deeper) for each in value]
    pieces = [piece for part in parts for piece in (",", deeper, *part)]
    return [opened, *pieces[1:], line, closed]
