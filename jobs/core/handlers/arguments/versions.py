"""Versions of a handler's arguments: convert payloads of older versions to the current one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jobs.core.errors import InvalidInput
from jobs.core.handlers.arguments.signatures import origin_of, refuse
from jobs.core.strict_json import read_json, write_json

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes a payload of one version and returns it in the form of the next. It may change its argument."""


class NewerPayload(InvalidInput):
    """The payload was written for a later version of the handler's arguments than this release knows."""


def check_upcasters(version: int, upcasters: Mapping[int, Upcaster], origin: str) -> None:
    """Raise ``HandlerRegistrationError`` unless there is one upcaster for each version before ``version``."""
    if type(version) is not int or not 1 <= version < 2**31:
        refuse(origin, f"a handler's version is a whole number from 1, not {version!r}")
    if not isinstance(upcasters, Mapping):
        refuse(origin, f"upcasters maps an old version to a function, as in {{1: function}}; it is {upcasters!r}")
    missing = [number for number in range(1, version) if number not in upcasters]
    if missing:
        refuse(
            origin,
            f"version={version} leaves jobs of version {missing[0]} behind; give upcasters={{{missing[0]}: function}}, "
            f"which takes a payload of version {missing[0]} as a dict and gives it as version {missing[0] + 1} has it",
        )
    unused = [number for number in upcasters if number not in range(1, version)]
    if unused:
        refuse(origin, f"the upcaster from version {unused[0]!r} is never used; say version={unused[0] + 1}, or more")
    for number, upcaster in upcasters.items():
        if not callable(upcaster) or inspect.iscoroutinefunction(upcaster):
            refuse(origin, f"the upcaster from version {number} is a plain function from dict to dict")


def upcast(payload: str, version: int, target: int, upcasters: Mapping[int, Upcaster]) -> str:
    """Return ``payload``, JSON text of ``version``, in the form of version ``target``.

    Raises ``NewerPayload`` for one from a later release, ``InvalidInput`` where an upcaster fails.
    """
    if version > target:
        raise NewerPayload.at(
            "/payload", f"it is of version {version}, and this release's handler reads up to version {target}"
        )
    value = read_json(payload)
    for number in range(version, target):
        upcaster = upcasters[number]
        try:
            value = upcaster(value)
        except Exception as error:
            raise InvalidInput.at(
                "/payload",
                f"the upcaster from version {number}, {origin_of(upcaster)}, failed with a {type(error).__name__}",
            ) from error
    return write_json(value, "/payload")
