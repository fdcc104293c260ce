"""Which packages hold the app's handlers: those that are named, else what stands beside host.json."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OWN = "handlers"
SAMPLES = "examples"
ADDED_HANDLERS = "JOBS_DEV_HANDLERS"
"""The variable by which ``python -m jobs dev`` adds handlers of its own to those of the app, whichever these are."""
NO_HANDLERS = (
    "the app has no handlers, so no job can be run: `python -m jobs new handler SendInvoice` writes the first one, in "
    f"{OWN}/; or name your package in create_app(handlers=...) or JOBS_HANDLERS"
)


def app_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder with the app's host.json, which function_app.py stands in; None if there is none.

    It is what the host says, the folder above ``jobs`` in a clone, or else one that Python imports from.
    """
    root = environment.get("AzureWebJobsScriptRoot")
    folders = [*([Path(root)] if root else []), Path(__file__).parents[4], Path.cwd(), *map(Path, sys.path)]
    return next((folder for folder in folders if (folder / "host.json").is_file()), None)


def which_packages(named: Iterable[str], folder: Path | None) -> tuple[str, ...]:
    """Return the packages of the app in ``folder``, none where there is none.

    They are the ``named`` ones, else what function_app.py gives to ``create_app``, else ``handlers``, else the samples
    in ``examples``. Raises ``ConfigurationError`` where function_app.py has the name from elsewhere than its own text.
    """
    found = tuple(named)
    if not found and folder is not None:
        found = _in_function_app(folder / "function_app.py") or _beside(folder)
    return found


def packages_of(environment: Mapping[str, str], variable: str = "JOBS_HANDLERS") -> tuple[str, ...]:
    """Return the packages that a variable names; raises ``ConfigurationError`` for what is no package's name."""
    try:
        return packages_in(environment.get(variable, ""))
    except ValueError as error:
        raise ConfigurationError(f"{variable}: {error}") from None


def packages_in(text: str) -> tuple[str, ...]:
    """Split the names of packages at their commas; raises ``ValueError`` for what is no package's name."""
    return checked(name.strip() for name in text.split(",") if name.strip())


def checked(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names; raises ``ValueError`` naming the first that is no package's."""
    found = tuple(dict.fromkeys(names))
    for name in found:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ValueError(
                f"{name!r} is not the name of a package; write it with dots, as in shop.jobs, and several with commas"
            )
    return found


def _beside(folder: Path) -> tuple[str, ...]:
    return next(((name,) for name in (OWN, SAMPLES) if _is_package(folder / name)), ())


def _is_package(place: Path) -> bool:
    """Whether there is Python in it; a folder may be left with nothing but what Python caches."""
    return place.with_suffix(".py").is_file() or next(place.glob("**/*.py"), None) is not None


def _in_function_app(file: Path) -> tuple[str, ...]:
    """Read what ``create_app`` is called with, without running anything: commands other than the app want it too."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ()  # whoever runs it says what is wrong with it
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name_of(node.func) == "create_app":
            for given in node.keywords:
                if given.arg == "handlers":
                    return _literal(given.value, file)
    return ()


def _name_of(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def _literal(value: ast.expr, file: Path) -> tuple[str, ...]:
    place = f"{file}:{value.lineno}: create_app(handlers=...)"
    try:
        given = ast.literal_eval(value)
        return packages_in(given) if isinstance(given, str) else checked(given or ())
    except (ValueError, TypeError) as error:
        if "is not the name of a package" in str(error):
            raise ConfigurationError(f"{place}: {error}") from None
        raise ConfigurationError(
            f"{place} is no plain text, so commands such as `python -m jobs check` cannot read it; write the "
            "package's name there, or name it in JOBS_HANDLERS"
        ) from None
