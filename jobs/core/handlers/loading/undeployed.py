"""Find imports of handlers that work on a developer's machine only: those of packages that no deployment installs."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DEPLOYED = ("requirements.txt", "requirements-app.txt")
_DEVELOPMENT = "requirements-dev.txt"
_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==", re.MULTILINE)


def undeployed_imports(packages: Iterable[str], folder: Path) -> list[str]:
    """Return a warning for each package that loaded modules of ``packages`` import and only developers install.

    These are pinned in requirements-dev.txt of ``folder``, and not in requirements.txt or requirements-app.txt. Empty
    where there is no such file, as in an app without a clone. Imports for type checkers alone do not count.
    """
    development = _pinned(folder / _DEVELOPMENT) - {name for file in _DEPLOYED for name in _pinned(folder / file)}
    if not development:
        return []
    brought_by = packages_distributions()
    found: dict[str, str] = {}
    for name, file in _files_of(tuple(packages)):
        for imported in _imports_of(file):
            sources = {_normal(each) for each in brought_by.get(imported, ())}
            if sources and sources <= development:
                found.setdefault(min(sources), f"{name} imports {imported}")
    return [
        f"{where}, and only {_DEVELOPMENT} brings {source}: a deployment lacks it, and the app would not start there; "
        f"write {source} into requirements-app.in and run `make lock-app`"
        for source, where in sorted(found.items())
    ]


def _pinned(file: Path) -> set[str]:
    try:
        return {_normal(name) for name in _PINNED.findall(file.read_text(encoding="utf-8"))}
    except OSError:
        return set()


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _files_of(packages: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is not None and file.endswith(".py") and any(f"{name}.".startswith(f"{each}.") for each in packages):
            yield name, file


def _imports_of(file: str) -> set[str]:
    """Return the top-level names of the modules that a file imports where it runs."""
    try:
        waiting: list[ast.AST] = [ast.parse(Path(file).read_bytes())]
    except (OSError, SyntaxError, ValueError):
        return set()  # loading it reports the error
    found: set[str] = set()
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)
    return found
