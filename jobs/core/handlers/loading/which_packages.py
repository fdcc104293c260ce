"""Determine the packages of the app's handlers: those that are named, else the ones beside host.json."""

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
ADDED_HANDLERS = "JOBS_ADDED_HANDLERS"
"""The variable by which ``python -m jobs dev`` and ``infra/`` add handlers of the framework's to those of the app."""
NO_HANDLERS = (
    "the app has no handlers, so no job can be run: `python -m jobs new handler SendInvoice` writes the first one, in "
    f"{OWN}/; or name your package in create_app(handlers=...) or JOBS_HANDLERS"
)


def app_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder with the app's host.json and function_app.py; None if there is none.

    The candidates are the host's AzureWebJobsScriptRoot, the folder above ``jobs`` in a clone, the current folder, and
    the folders on Python's path.
    """
    root = environment.get("AzureWebJobsScriptRoot")
    folders = [*([Path(root)] if root else []), Path(__file__).parents[4], Path.cwd(), *map(Path, sys.path)]
    return next((folder for folder in folders if (folder / "host.json").is_file()), None)


def which_packages(named: Iterable[str], folder: Path | None) -> tuple[str, ...]:
    """Return the packages of the app in ``folder``; empty if there are none.

    They are the ``named`` ones, else those that function_app.py passes to ``create_app``, else ``handlers``, else the
    samples in ``examples``. Raises ``ConfigurationError`` if function_app.py does not pass literal names.
    """
    found = tuple(named)
    if not found and folder is not None:
        found = _in_function_app(folder / "function_app.py") or _beside(folder)
    return found


def packages_of(environment: Mapping[str, str], variable: str = "JOBS_HANDLERS") -> tuple[str, ...]:
    """Return the packages that a variable names; raises ``ConfigurationError`` for an invalid package name."""
    try:
        return packages_in(environment.get(variable, ""))
    except ValueError as error:
        raise ConfigurationError(f"{variable}: {error}") from None


def packages_in(text: str) -> tuple[str, ...]:
    """Split the names of packages at commas; raises ``ValueError`` for an invalid package name."""
    return checked(name.strip() for name in text.split(",") if name.strip())


def checked(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names without duplicates; raises ``ValueError`` for the first invalid package name."""
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
    """Whether ``place`` contains Python files; a deleted package may leave a folder with only Python's cache."""
    return place.with_suffix(".py").is_file() or next(place.glob("**/*.py"), None) is not None


def _in_function_app(file: Path) -> tuple[str, ...]:
    """Return the ``handlers`` argument of ``create_app`` by parsing the file, without running the app."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ()  # running the file reports the error
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
