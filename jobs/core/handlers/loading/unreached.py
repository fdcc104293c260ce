"""Find files that mark handlers and that Python cannot import under their name, and explain why."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType

REGISTER = "register_handlers"
_REGISTERS = re.compile(rf"^\s*(?:@(?:\w+\.)*(?:handler|provider|middleware)\b|def {REGISTER}\b)", re.MULTILINE)
_PACKAGE = "__init__.py"


def registers(file: Path) -> bool:
    """Whether a file marks handlers, providers or middleware, or has a function ``register_handlers``."""
    try:
        text = file.read_text("utf-8", "replace")
    except OSError:  # a link that leads nowhere, such as an editor's lock; what Python cannot import either
        return False
    return _REGISTERS.search(text) is not None


def unreached_files(modules: Iterable[ModuleType]) -> Iterator[str]:
    """Yield a warning for each file beside or below these modules that marks handlers and is imported by no name."""
    for module in modules:
        for place in getattr(module, "__path__", ()):
            if Path(place).is_dir():
                yield from _without_a_name(Path(place))
        if file := getattr(module, "__file__", None):
            yield from _hidden_by(Path(file))


def _without_a_name(folder: Path) -> Iterator[str]:
    for each in sorted(folder.iterdir()):
        files: Iterable[Path]
        if each.name.startswith("."):
            continue  # not a developer's own file: a tool's, an editor's copy
        if each.is_dir():
            plain = not each.name.isidentifier() and not (each / _PACKAGE).exists()
            files = each.glob("**/*.py") if plain else ()
        else:
            files = [each] if each.suffix == ".py" and "." in each.stem else ()
        for file in filter(registers, files):
            yield (
                f"{file} registers nothing, since Python imports nothing called {each.name!r}; rename it to letters, "
                "digits and underscores"
            )


def _hidden_by(file: Path) -> Iterator[str]:
    """Yield a warning for the file or folder of the same name as a module that Python has imported in its place."""
    if file.name == _PACKAGE:
        other = file.parent.with_suffix(".py")
        files: Iterable[Path] = [other] if other.is_file() else ()
        shown = file.parent
    else:
        files, shown = file.with_suffix("").glob("**/*.py"), file
    for each in filter(registers, files):
        yield f"{each} registers nothing, since {shown} has the same name and is imported in its place; rename one"
