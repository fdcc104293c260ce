"""Suggest the intended option for one that does not exist."""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from jobs.core.handlers.arguments.signatures import refuse
from jobs.core.handlers.marking.marks import place_of_caller

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

Given = ParamSpec("Given")
Result = TypeVar("Result")

_COUNTS = {"retries": 0, "max_retries": 0, "attempts": 1, "max_attempts": 1}


def explains_unknown_options(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """Make ``function`` refuse unknown options with a suggestion; its type signature stays the same.

    A ``handler()`` without arguments is called with None as its name, which it refuses itself.
    """
    parameters = inspect.signature(function).parameters
    options = [name for name, each in parameters.items() if each.kind is each.KEYWORD_ONLY]
    name_alone = next(iter(parameters)) == "name"

    @wraps(function)
    def checked(*given: Given.args, **named: Given.kwargs) -> Result:
        for name, value in named.items():
            if name not in parameters:
                refuse(
                    place_of_caller(), f"{function.__name__} has no option {name}; {_suggestion(name, value, options)}"
                )
        if name_alone and not given and "name" not in named:
            return function(None, **named)  # type: ignore[arg-type]
        return function(*given, **named)

    return checked


def _suggestion(name: str, value: object, options: Collection[str]) -> str:
    if name in _COUNTS:
        count = value - _COUNTS[name] if type(value) is int and value >= _COUNTS[name] else "..."
        return f"write retry=RetryPolicy(max_retries={count}) (from jobs import RetryPolicy)"
    near = get_close_matches(name, options, 1)
    return f"write {near[0]}=..." if near else f"it has {', '.join(options)}"
