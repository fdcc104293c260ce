"""Find decorators in handler modules that registered nothing, and explain why."""

from __future__ import annotations

import ast
import re
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.core.errors import HandlerRegistrationError
from jobs.core.handlers.marking.marks import marks_in, marks_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType

    from jobs.core.handlers.marking.marks import Mark
    from jobs.core.handlers.registry import HandlerRegistry

_DECORATORS = ("handler", "provider", "middleware")
_INDENTED = re.compile(rf"^[ \t]+@(?:\w+\.)*(?:{'|'.join(_DECORATORS)})\b", re.MULTILINE)
_BY_HAND = "in a function register_handlers(registry) of the module"


def check_marks(modules: Sequence[ModuleType], registry: HandlerRegistry) -> None:
    """Raise ``HandlerRegistrationError`` listing the marks in these modules that led to no registration.

    Cases that may be intended become warnings of the registry: a handler that is imported from outside these modules,
    and one within a function that was never called.
    """
    by_name = {module.__name__: module for module in modules}
    marks = marks_in(by_name)
    lost = [mark for mark in marks if mark not in registry.registered_marks]
    if lost:
        raise HandlerRegistrationError("; ".join(_why_lost(mark, vars(by_name[mark.module])) for mark in lost))
    places = {mark.place for mark in marks}
    for module in modules:
        registry.warnings += _imported(module, by_name, registry)
        registry.warnings += _never_reached(module, places)


def _why_lost(mark: Mark, names: Mapping[str, object]) -> str:
    where = f"{mark.place} ({mark.name}): {mark.text}"
    if mark.nested:
        return (
            f"{where} stands within a function, and what it marks has no name in the module; define it at the top "
            f"level, or register it {_BY_HAND}: registry.add_marked(...)"
        )
    if mark.within_a_class:
        return (
            f"{where} stands on what a class holds, for which nobody makes an instance; put it on the class, with a "
            "method handle(args, ctx), or on a function at the top level"
        )
    if mark.name in names:
        return (
            f"{where} is hidden, for {mark.name!r} is something else by now; put @handler and its like above every "
            "decorator that does not use functools.wraps, and define the name only once"
        )
    return f"{where} is lost, for the module has no {mark.name!r} by now; keep it, or register it {_BY_HAND}"


def _imported(module: ModuleType, ours: Mapping[str, object], registry: HandlerRegistry) -> Iterator[str]:
    for name, value in vars(module).items():
        marks = [mark for mark in marks_of(value) if mark.module not in ours and mark not in registry.registered_marks]
        for mark in marks:
            yield (
                f"{module.__file__}: {name} ({mark.place}) bears {mark.text}, but is defined in {mark.module}, outside "
                f"of the handlers' package, so it is not registered; if it is meant to be, register it {_BY_HAND}: "
                f"registry.add_marked({name})"
            )


def _never_reached(module: ModuleType, places: set[str]) -> Iterator[str]:
    """Yield a warning for each decorator within a function that was not called while the module was loaded."""
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(".py"):
        return
    text = Path(file).read_text("utf-8", "replace")
    if not _INDENTED.search(text):
        return  # nearly every module; saves parsing it
    for function, decorator, name in _nested_decorators(ast.parse(text)):
        if f"{file}:{decorator.lineno}" not in places:
            yield (
                f"{file}:{decorator.lineno} ({name}): a decorator within {function}(), which nothing has called, so "
                f"it registers nothing; define {name} at the top level"
            )


def _nested_decorators(tree: ast.Module) -> Iterator[tuple[str, ast.expr, str]]:
    """Yield our decorators within functions: the function's name, the decorator, and its target's name."""
    waiting: deque[tuple[ast.AST, str | None]] = deque([(tree, None)])
    while waiting:
        node, function = waiting.popleft()
        inner = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else function
        for child in ast.iter_child_nodes(node):
            waiting.append((child, inner))
            if inner is not None and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from ((inner, each, child.name) for each in child.decorator_list if _is_ours(each))


def _is_ours(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    return name in _DECORATORS
