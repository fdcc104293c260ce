"""Show on a developer's machine the log lines that the Functions host would pass on.

host.json sets levels by category, and what a function's code logs has the category ``Function.<name>.User``. What the
host itself says of a call has ``Function.<name>``. What is logged outside of any invocation has none: the Functions
host drops it, and here it is shown.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from jobs.entrypoints.devhost.host.functions import DevHostError, running_function

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LEVELS = {
    "trace": logging.NOTSET,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 1,
}
_DEFAULT = "default"


class LogLevels:
    """The levels of ``logging.logLevel`` in a host.json; what is not said there is Information.

    Raises ``ValueError`` for a level that the host does not know.
    """

    def __init__(self, levels: Mapping[str, object]) -> None:
        self._levels = {category.casefold(): _level(category, name) for category, name in levels.items()}

    def of(self, category: str) -> int:
        """Return the least level that is passed on: that of the longest entry that the category begins with."""
        name = category.casefold()
        matching = [entry for entry in self._levels if entry != _DEFAULT and name.startswith(entry)]
        return self._levels.get(max(matching, key=len, default=_DEFAULT), logging.INFO)


def _level(category: str, name: object) -> int:
    if isinstance(name, str) and name.casefold() in _LEVELS:
        return _LEVELS[name.casefold()]
    raise ValueError(f"logging.logLevel.{category} is {name!r}; use Trace, Debug, Information, Warning, Error or None")


def read_log_levels(host_json: Path) -> LogLevels:
    """Read ``logging.logLevel`` of a host.json; without a file everything from Information on is passed on.

    Raises ``DevHostError`` naming the file if it cannot be read.
    """
    try:
        settings: Any = json.loads(host_json.read_text("utf-8-sig"))
        return LogLevels(settings.get("logging", {}).get("logLevel", {}))
    except FileNotFoundError:
        return LogLevels({})
    except (OSError, ValueError, AttributeError) as error:
        raise DevHostError(f"{host_json} is not a usable host.json: {error}") from error


class InvocationFilter(logging.Filter):
    """Drops what is logged within an invocation and the Functions host would not pass on."""

    def __init__(self, levels: LogLevels) -> None:
        super().__init__()
        self._levels = levels

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be shown."""
        if called := getattr(record, "request_of", None):
            return record.levelno >= self._levels.of(f"Function.{called}")
        function = running_function()
        return function is None or record.levelno >= self._levels.of(f"Function.{function}.User")
