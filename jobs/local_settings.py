"""``local.settings.json``, where a developer keeps settings: read by each command as Core Tools read it for the app."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from jobs.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping
    from pathlib import Path

_MOST_SHOWN = 40
_IGNORED = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_LAST_COMMA = re.compile(r'"(?:\\.|[^"\\])*"|,(?=\s*[}\]])')
_SECRET = frozenset({"JOBS_DATABASE_URL", "JOBS_CALLBACK_TOKENS", "JOBS_QUEUE_CONNECTION"})
"""The last holds a name, and by mistake what belongs under that name: a connection string with a key."""


def take_over_local_settings(file: Path, environment: MutableMapping[str, str] = os.environ) -> frozenset[str]:
    """Put the file's ``Values`` into the environment, where what is set already stays; returns the names taken.

    Comments and commas before a closing bracket are skipped, as by Core Tools. A machine with such a file is a
    developer's, which is said to the app as Core Tools do. No file is no fault; raises ``ConfigurationError`` with file
    and line for one that cannot be used.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return frozenset()
    except (OSError, UnicodeDecodeError) as error:
        _refuse(file, 1, error.strerror or "cannot be read" if isinstance(error, OSError) else "it is not UTF-8")
    try:
        content = _parsed(text)
    except json.JSONDecodeError as error:
        _refuse(file, error.lineno, f"{error.msg} (column {error.colno})")
    except (RecursionError, ValueError) as error:
        _refuse(file, 1, "it is nested too deeply" if isinstance(error, RecursionError) else str(error))
    if not isinstance(content, dict) or not isinstance(content.get("Values"), dict):
        _refuse(file, _line_of("Values", text), 'there is no object "Values"')
    if content.get("IsEncrypted") is True:
        _refuse(file, _line_of("IsEncrypted", text), "its values are encrypted; run `func settings decrypt`")
    values = {name: _text_of(name, value, file, text) for name, value in content["Values"].items()}
    taken = frozenset(values) - environment.keys()
    environment.update({name: values[name] for name in taken})
    environment.setdefault("AZURE_FUNCTIONS_ENVIRONMENT", "Development")
    return taken


def where_set(names: Iterable[str], file: Path | None, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return for each setting that has a value a line with it and its place: the file's line or the environment.

    A value that may hold a password is left out.
    """
    text, values = "", {}
    if file is not None:
        with suppress(OSError, ValueError, KeyError, TypeError):  # of a file that cannot be read, and so sets nothing
            text = file.read_bytes().decode("utf-8-sig")
            values = {name: _text_of(name, value, file, text) for name, value in _parsed(text)["Values"].items()}
    lines = []
    for name in names:
        if (value := environment.get(name)) is not None:
            place = f"{file}:{_line_of(name, text)}" if values.get(name) == value else "the environment"
            shown = f"{name} is {_shortened(value)!r}" if name not in _SECRET else f"{name} is set"
            lines.append(f"{shown} in {place}")
    return lines


def _parsed(text: str) -> Any:
    """Parse JSON with comments and last commas; what is skipped becomes blanks, so that each error keeps its place."""
    for skipped in (_IGNORED, _LAST_COMMA):
        text = skipped.sub(lambda found: found[0] if found[0][0] == '"' else re.sub(r"[^\n]", " ", found[0]), text)
    return json.loads(text)


def _shortened(value: str) -> str:
    return value if len(value) <= _MOST_SHOWN else f"{value[:_MOST_SHOWN]}…"


def _text_of(name: str, value: object, file: Path, text: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float) or not name or "=" in name or not _may_be_set(f"{name}{value}"):
        _refuse(file, _line_of(name, text), f"{name!r} cannot be a setting; write a text, as in a process environment")
    return str(value)


def _may_be_set(text: str) -> bool:
    """Whether a process environment can hold ``text``: without a NUL, and without half a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _line_of(name: str, text: str) -> int:
    """Find the line where a key stands; the first if it is not there."""
    return text.count("\n", 0, max(text.find(json.dumps(name)), 0)) + 1


def _refuse(file: Path, line: int, why: str) -> NoReturn:
    raise ConfigurationError(
        f'{file}:{line}: {why}; the file holds {{"Values": {{"NAME": "value", …}}}}, see local.settings.sample.json'
    ) from None
