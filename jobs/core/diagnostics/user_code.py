"""Classify the frames of a traceback: the user's own, libraries', Python's and the framework's."""

from __future__ import annotations

import os
import sysconfig
from enum import Enum, auto
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_FRAMEWORK = str(Path(__file__).parents[2]) + os.sep
_FRAMEWORK_FOLDERS = frozenset({"core", "app", "adapters", "entrypoints", "testing", "client"})
_STDLIB = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")})
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class Origin(Enum):
    """Whose code a file is."""

    USER = auto()
    LIBRARY = auto()
    PYTHON = auto()
    FRAMEWORK = auto()


@lru_cache(maxsize=4096)
def origin_of_file(file: str) -> Origin:
    """Return whose code ``file`` is; ``file`` is a code object's ``co_filename``."""
    if file.startswith(_FRAMEWORK):
        room, separator, _ = file[len(_FRAMEWORK) :].partition(os.sep)
        return Origin.FRAMEWORK if not separator or room in _FRAMEWORK_FOLDERS else Origin.USER
    if any(folder in file for folder in _PACKAGES):
        return Origin.LIBRARY
    if file.startswith("<") or file.startswith(_STDLIB):  # "<string>" and similar names are generated code
        return Origin.PYTHON
    return Origin.USER


def own_frames(files: Sequence[str]) -> list[bool]:
    """Return for each frame, outermost first and given by its file, whether it is the user's.

    Handlers may be installed like a library. So if no frame is the user's, those of the outermost installed package
    are, which the framework has called.
    """
    origins = [origin_of_file(file) for file in files]
    own = [origin is Origin.USER for origin in origins]
    if not any(own) and Origin.LIBRARY in origins:
        package = _package(files[origins.index(Origin.LIBRARY)])
        return [_package(file) == package for file in files]
    return own


def _package(file: str) -> str:
    """Return the path of the installed package that ``file`` belongs to; empty if it belongs to none."""
    for folder in _PACKAGES:
        before, found, after = file.rpartition(folder)
        if found:
            return before + found + after.partition(os.sep)[0]
    return ""
