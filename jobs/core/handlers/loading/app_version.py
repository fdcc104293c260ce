"""The version of the app's own code, for an app that does not say which version it is."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jobs.core.handlers.registry import HandlerRegistry

_MOST_FILES = 5_000
_DIGITS = 10


def version_of_code(registry: HandlerRegistry) -> str:
    """Return what changes with the code of the packages that handlers are in, and with the framework's version.

    Reads these packages' files, so it takes some milliseconds: not for the start of an app.
    """
    tops = {str(getattr(spec.target, "__module__", "")).partition(".")[0] for spec in registry.all()}
    found = hashlib.sha256(__version__.encode())
    for name, file in sorted(_files_of(tops - {"", "jobs"}))[:_MOST_FILES]:
        found.update(f"\0{name}\0".encode("utf-8", "replace"))
        found.update(_content_of(file))
    return found.hexdigest()[:_DIGITS]


def _files_of(packages: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Yield the packages' Python files, each with its path within its package."""
    for name in packages:
        module = sys.modules.get(name)
        folders = [Path(place) for place in getattr(module, "__path__", ())]
        for folder in folders:
            for file in folder.glob("**/*.py"):
                yield f"{name}/{file.relative_to(folder).as_posix()}", file
        own = getattr(module, "__file__", None)
        if not folders and own is not None:
            yield name, Path(own)


def _content_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # it is being replaced
        return b""
