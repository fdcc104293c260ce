"""What the Functions host is set to: host.json, and the app settings that win over it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from jobs.core.errors import ConfigurationError
from jobs.core.handlers.loading.which_packages import app_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_OVERRIDE = "AzureFunctionsJobHost__"


class HostSetting(NamedTuple):
    """A value of the host's, and in words where it stands, or would; None where it is not set."""

    value: Any
    place: str


def host_setting(*path: str, environment: Mapping[str, str] = os.environ) -> HostSetting:
    """Return the setting at ``path`` of host.json, or the app setting that overrides it.

    Raises ``ConfigurationError`` for a host.json that cannot be read.
    """
    wanted = (_OVERRIDE + "__".join(path)).casefold()
    for name, text in environment.items():
        if name.casefold() == wanted:  # as the host compares them
            return HostSetting(text, name)
    folder = app_folder(environment)
    file = folder / "host.json" if folder else None
    found: Any = _read(file) if file else {}
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    return HostSetting(found, f"{'.'.join(path)} in {file or 'host.json'}")


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file} is not a usable host.json: {error}") from None
    return found if isinstance(found, dict) else {}
