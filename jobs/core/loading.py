"""Find handlers and providers in a package, named by a setting, so that the framework never imports the user's code."""

from __future__ import annotations

import importlib
import pkgutil
import traceback
from typing import TYPE_CHECKING

from jobs.core.errors import HandlerRegistrationError
from jobs.core.registry import HandlerRegistry

if TYPE_CHECKING:
    from types import ModuleType

REGISTER = "register_handlers"


def load_handlers(package_name: str) -> HandlerRegistry:
    """Import ``package_name`` and every module below it, and register what is marked there.

    A module's function ``register_handlers(registry)`` is called as well: it may register what bears no mark.

    Raises ``HandlerRegistrationError`` naming the file, the line and the reason when a module cannot be imported or
    something in it cannot be registered: the app must not start with half of its handlers.
    """
    registry = HandlerRegistry()
    for module in _modules(package_name):
        for value in vars(module).values():
            if getattr(value, "__module__", None) != module.__name__:
                continue  # imported from elsewhere; it is registered where it is defined
            registry.add_marked(value)
        register = vars(module).get(REGISTER)
        if callable(register) and register.__module__ == module.__name__:
            register(registry)
    registry.check_services()
    return registry


def _modules(package_name: str) -> list[ModuleType]:
    package = _import(package_name)
    path = getattr(package, "__path__", [])
    # A package below that cannot be imported is listed all the same; importing it here then says why.
    found = pkgutil.walk_packages(path, prefix=f"{package_name}.", onerror=lambda _: None)
    return [package, *(_import(name) for name in sorted(module.name for module in found))]


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise HandlerRegistrationError(
            f"the handler module {name} cannot be imported: {type(error).__name__}: {error} "
            f"({_place_of(error, name)}); mend it, or point JOBS_HANDLERS at another package"
        ) from error


def _place_of(error: Exception, name: str) -> str:
    """Say where it went wrong: a syntax error's own line, else the last line of a module that was being imported.

    Not the last frame: that may be deep in a library which a faulty model or decorator was given to.
    """
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    lines = [f for f in traceback.extract_tb(error.__traceback__) if f.name == "<module>"]
    return f"{lines[-1].filename}:{lines[-1].lineno}" if lines else f"module {name}"
