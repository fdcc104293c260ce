"""Find out which Python files of the app have changed.

Their times and sizes are read twice a second. A library that listens to the operating system would have to watch the
environment and the database's files as well, or miss a package that is made meanwhile; this works on network mounts,
too.
"""

from __future__ import annotations

import os
from pathlib import Path

_NOT_THE_APPS = frozenset({"__pycache__", "node_modules", "tests", "docs", "infra"})
_ENVIRONMENT = "pyvenv.cfg"
Stamp = tuple[int, int]


class Changes:
    """The Python files below ``root``, which is the folder of function_app.py, apart from tests and hidden folders."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen = self._stamps()

    def since_last_time(self) -> list[str]:
        """Return the files that were changed, made or removed since the last call, by their paths below the root."""
        before, self._seen = self._seen, self._stamps()
        return sorted(
            Path(file).relative_to(self._root).as_posix()
            for file in before.keys() | self._seen.keys()
            if before.get(file) != self._seen.get(file)
        )

    def _stamps(self) -> dict[str, Stamp]:
        stamps: dict[str, Stamp] = {}
        folders = [str(self._root)]
        while folders:
            try:
                entries = list(os.scandir(folders.pop()))
            except OSError:  # removed meanwhile
                continue
            if any(entry.name == _ENVIRONMENT for entry in entries):
                continue
            for entry in entries:
                if entry.name.endswith(".py"):
                    _note(entry, stamps)
                elif _belongs_to_the_app(entry.name) and entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
        return stamps


def _belongs_to_the_app(folder: str) -> bool:
    return not folder.startswith(".") and folder not in _NOT_THE_APPS


def _note(entry: os.DirEntry[str], stamps: dict[str, Stamp]) -> None:
    try:
        state = entry.stat()
    except OSError:
        return
    stamps[entry.path] = (state.st_mtime_ns, state.st_size)
