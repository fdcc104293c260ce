"""Writes the table of `docs/reference/settings.md`; `python -m tests.docs.settings_page` puts it into the page."""

from __future__ import annotations

import re
from typing import Any, get_args

from jobs.settings import Settings, setting_name
from tests.docs.pages import REFERENCE

PAGE = REFERENCE / "settings.md"
MARKED = re.compile(r"(<!-- settings -->\n).*?(<!-- /settings -->)", re.DOTALL)


def settings_reference() -> str:
    """Return each setting with its default, what it may be, and its meaning, as a Markdown table."""
    rows = ["| setting | default | allowed | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        rows.append(f"| `{setting_name(name)}` | {_default(field.default)} | {_allowed(field)} | {field.description} |")
    return "\n".join(rows) + "\n"


def _default(value: object) -> str:
    if value in (None, (), ""):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _allowed(field: Any) -> str:
    annotation = field.annotation
    words = [each for each in get_args(annotation) if isinstance(each, str)]
    if words:
        return ", ".join(f"`{word}`" for word in words)
    if annotation is bool:
        return "`true`, `false`"
    bounds = _bounds([*field.metadata, *(each for part in get_args(annotation) for each in _metadata(part))])
    return bounds or "text"


def _metadata(part: Any) -> list[Any]:
    found: list[Any] = []
    for each in getattr(part, "__metadata__", ()):
        found += getattr(each, "metadata", [each])
    return found


def _bounds(metadata: list[Any]) -> str:
    low = next((f"{each.ge:,}" for each in metadata if getattr(each, "ge", None) is not None), None)
    above = next((f"above {each.gt:,}" for each in metadata if getattr(each, "gt", None) is not None), None)
    high = next((f"{each.le:,}" for each in metadata if getattr(each, "le", None) is not None), None)
    if low and high:
        return f"{low} to {high}"
    return ", ".join(filter(None, [f"from {low}" if low else above, f"up to {high}" if high else None]))


if __name__ == "__main__":
    PAGE.write_text(MARKED.sub(lambda found: found[1] + settings_reference() + found[2], PAGE.read_text()))
