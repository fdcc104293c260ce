"""Find handlers and providers in packages that are named, so that the framework imports no code of the user's."""

from __future__ import annotations

import importlib.util
import inspect
import pkgutil
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.core.errors import HandlerRegistrationError
from jobs.core.handlers.loading.lost_marks import check_marks
from jobs.core.handlers.loading.unreached import REGISTER, registers, unreached_files
from jobs.core.handlers.loading.which_packages import app_folder
from jobs.core.handlers.marking.marks import forget_marks, is_defined_in
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.near_names import asks_for_near

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import ModuleType


def load_handlers(packages: str | Iterable[str]) -> HandlerRegistry:
    """Import each of the ``packages`` and every module below it, and register everything that is marked there.

    Folders without an ``__init__.py`` are searched as well. Tests are not: folders called ``tests``, and modules called
    ``conftest`` or ``test_*`` that mark nothing. A module's function ``register_handlers(registry)`` is called too; it
    may register targets that are not marked. The registry's ``warnings`` list what may be intended but looks like a
    mistake.

    Raises ``HandlerRegistrationError`` naming the file, the line and the reason if a module cannot be imported, or if
    a marked target is not registered: the app must not start with half of its handlers.
    """
    registry = HandlerRegistry()
    modules = list({id(module): module for name in _several(packages) for module in _with_all_below(name)}.values())
    for module in modules:
        for value in list(vars(module).values()):
            if is_defined_in(value, module.__name__):  # else it is registered where it is defined
                registry.add_marked(value)
        _call_register(module, registry)
    registry.warnings += unreached_files(modules)
    check_marks(modules, registry)  # first, because a lost provider explains a missing service
    try:
        registry.check_services()
    except HandlerRegistrationError as error:
        raise HandlerRegistrationError("; ".join([str(error), *registry.warnings])) from None
    return registry


def check_found(packages: Iterable[str]) -> None:
    """Raise ``HandlerRegistrationError`` for a package that is not there. The package itself is not imported."""
    for name in packages:
        try:
            found = importlib.util.find_spec(name) is not None
        except (ImportError, ValueError):
            found = False
        except Exception:  # noqa: BLE001  by a package around it; loading the handlers reports that
            found = True
        if not found:
            _import(name)


def _several(packages: str | Iterable[str]) -> tuple[str, ...]:
    return (packages,) if isinstance(packages, str) else tuple(packages)


def _with_all_below(package_name: str) -> list[ModuleType]:
    package = _import(package_name)
    return [package, *map(_import, _names_below(getattr(package, "__path__", ()), f"{package_name}."))]


def _names_below(path: Iterable[str], prefix: str) -> Iterator[str]:
    """Yield the names of the modules and packages in these folders, a package before its contents."""
    path = list(path)
    found = {module.name: module.ispkg for module in pkgutil.iter_modules(path)}
    found |= dict.fromkeys(_plain_folders(path) - found.keys(), True)
    for name in sorted(found.keys() - {"__main__", "tests", "conftest"}):
        if name.startswith("test_") and not found[name] and not _marks_something(path, name):
            continue
        yield prefix + name
        if found[name]:
            package = _import(prefix + name)  # raises here, with the reason, if it cannot be imported
            yield from _names_below(getattr(package, "__path__", ()), f"{prefix}{name}.")


def _plain_folders(path: Iterable[str]) -> set[str]:
    """Return the folders without an ``__init__.py`` that contain handlers, providers or middleware.

    Python imports them as namespace packages. Other folders are not for us: scripts, templates, migrations.
    """
    folders = [each for place in path if Path(place).is_dir() for each in Path(place).iterdir() if each.is_dir()]
    named = [each for each in folders if each.name.isidentifier()]
    return {each.name for each in named if any(map(registers, each.glob("**/*.py")))}


def _marks_something(path: list[str], module: str) -> bool:
    files = (Path(place) / f"{module}.py" for place in path)
    return any(registers(file) for file in files if file.is_file())


def _call_register(module: ModuleType, registry: HandlerRegistry) -> None:
    register = vars(module).get(REGISTER)
    if not callable(register) or not is_defined_in(register, module.__name__):
        return  # imported from elsewhere; it is called where it is defined
    if inspect.iscoroutinefunction(register):
        raise HandlerRegistrationError(f"{module.__file__}: {REGISTER} is async; make it a plain function")
    try:
        register(registry)
    except HandlerRegistrationError:
        raise
    except Exception as error:
        raise HandlerRegistrationError(
            f"{REGISTER} failed with {type(error).__name__}: {_text_of(error)} "
            f"({_place_in(error, module.__file__)}); mend it"
        ) from error


def _import(name: str) -> ModuleType:
    if name not in sys.modules:
        forget_marks(name)
    try:
        return importlib.import_module(name)
    except HandlerRegistrationError:
        raise  # raised by a decorator, with its place
    except (Exception, SystemExit) as error:
        raise HandlerRegistrationError(
            f"the handler module {name} cannot be imported: {type(error).__name__}: {_message_of(error)} "
            f"({_place_of(error, name)}); {_mend(error, name)}"
        ) from error


def _message_of(error: BaseException) -> str:
    """Return an import error's message; a syntax error's is without its place, and with the line of code."""
    if not isinstance(error, SyntaxError):
        return _text_of(error)
    line = (error.text or "").strip()
    return f"{error.msg}: {line}" if line else error.msg


def _text_of(error: BaseException) -> str:
    """Return an error's text, which an exception of the app's own may fail to make."""
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001  the place of the error must be told all the same
        return f"(its text could not be read: {type(failure).__name__})"


def _mend(error: BaseException, name: str) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name and not _is_own(error.name, name):
        library = error.name.partition(".")[0]
        return (
            f"if {library} comes from a package, name that in requirements-app.in and run `make lock-app` "
            "and `make run` (without a clone: install it, and name it in requirements.txt), else mend the import"
        )
    meant = _near(error.name) if isinstance(error, ModuleNotFoundError) and error.name else ""
    return f"mend it, or point JOBS_HANDLERS at another package{meant}"


def _near(missing: str) -> str:
    """Return a question for the package beside ``missing`` that has a similar name; empty if there is none."""
    parent, _, name = missing.rpartition(".")
    folder = app_folder()
    path = getattr(sys.modules.get(parent), "__path__", ()) if parent else [str(folder or Path.cwd())]
    return asks_for_near(name, (each.name for each in pkgutil.iter_modules(list(path))))


def _is_own(missing: str, handlers: str) -> bool:
    """Whether a module that is missing belongs to a package that is there, as that of the handlers or another."""
    top = missing.partition(".")[0]
    return top == handlers.partition(".")[0] or (top != missing and top in sys.modules)


def _place_of(error: BaseException, name: str) -> str:
    """Return file and line of an import error: a syntax error's own, else the innermost line at a module's top level.

    Not the innermost frame: that may be deep in a library that was called with a faulty model or decorator.
    """
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    lines = [f for f in traceback.extract_tb(error.__traceback__) if f.name == "<module>"]
    return f"{lines[-1].filename}:{lines[-1].lineno}" if lines else f"module {name}"


def _place_in(error: Exception, file: str | None) -> str:
    """Return the file and innermost line of an error within a module's own file."""
    lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    return f"{lines[-1].filename}:{lines[-1].lineno}" if lines else str(file)
