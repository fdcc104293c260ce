"""Find out which Python files of the app have changed.

Their times and sizes are read twice a second. A library that listens to the operating system would have to watch the
environment and the database's files as well, or miss a package that is made meanwhile; this works on network mounts,
too.
"""

from __future__ import annotations

import os
from pathlib import Path

_NEVER_THE_APPS = frozenset({"__pycache__", "node_modules", "tests"})
_NOT_AT_THE_TOP = frozenset({"docs", "infra"})
"""Folders of a clone. Within a package of yours they hold code as any other folder does."""
_ENVIRONMENT = "pyvenv.cfg"
Stamp = tuple[int, int]


class Changes:
    """The Python files below ``root``, which is the folder of function_app.py, apart from tests and hidden folders.

    A linked folder counts if it has Python files of its own: another one may lead to any amount of data.
    """

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
        known = {os.path.realpath(self._root)}
        while folders:
            folder = folders.pop()
            try:
                entries = list(os.scandir(folder))
            except OSError:  # removed meanwhile
                continue
            if any(entry.name == _ENVIRONMENT for entry in entries):
                continue
            for entry in entries:
                if entry.name.endswith(".py"):
                    _note(entry, stamps)
                elif self._may_hold_code(entry, folder) and _is_new(entry, known):
                    folders.append(entry.path)
        return stamps

    def _may_hold_code(self, entry: os.DirEntry[str], folder: str) -> bool:
        if entry.name.startswith(".") or entry.name in _NEVER_THE_APPS:
            return False
        if folder == str(self._root) and entry.name in _NOT_AT_THE_TOP:
            return False
        return _has_python_files(entry.path) if entry.is_symlink() else entry.is_dir()


def _has_python_files(folder: str) -> bool:
    try:
        return any(file.suffix == ".py" for file in Path(folder).iterdir())
    except OSError:  # no folder, or one that is not there
        return False


def _is_new(entry: os.DirEntry[str], known: set[str]) -> bool:
    """Return whether the folder was not walked yet: links may lead to a folder around them, or twice to one."""
    if not entry.is_symlink():
        return True
    place = os.path.realpath(entry.path)
    new = place not in known
    known.add(place)
    return new


def _note(entry: os.DirEntry[str], stamps: dict[str, Stamp]) -> None:
    try:
        state = entry.stat()
    except OSError:
        return
    stamps[entry.path] = (state.st_mtime_ns, state.st_size)
