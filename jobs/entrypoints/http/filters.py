"""Parse the query string of a list: the filters and the syntax of their values."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from jobs.core.errors import InvalidInput
from jobs.core.lifecycle.status import JobStatus
from jobs.core.near_names import asks_for_near
from jobs.core.queries import INSTANT_FILTERS, JobQuery
from jobs.core.strict_json import MalformedJson, parse_json, refuse_unstorable_text
from jobs.entrypoints.http.exchange import HOST_PARAMETERS, read

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_METADATA_FILTERS = 8
MAX_ALTERNATIVES = 50
_TEXTS = ("status", "handler_name", "parent_id", "failure")
_STATUSES = [status.value for status in JobStatus]
_YES_OR_NO = ("paused", "recurring", "overdue")
_INSTANTS = tuple(f"{name}_{bound}" for name in INSTANT_FILTERS for bound in ("after", "before"))
_OTHERS = ("include", "limit", "cursor")
_KNOWN = ", ".join(
    ["status, handler_name, job_name, parent_id, failure, metadata.KEY", *_YES_OR_NO, *_INSTANTS, *_OTHERS]
)
_PLUS_READ_AS_SPACE = re.compile(r"(:\d\d(?:\.\d+)?) (\d\d:\d\d)$")  # an unescaped + in a query string
_PREFIX = re.compile(r"(?:[^\\]|\\.)*?\*", re.DOTALL)
_ESCAPED = re.compile(r"\\([\\,*])")
_BOOLEANS = {"true": True, "false": False}


def query_of(params: Mapping[str, str]) -> JobQuery:
    """Return the query for the parameters of a list.

    In every filter a comma separates alternative values; a backslash escapes it. A ``job_name`` that ends in ``*`` is a
    prefix. Raises ``InvalidInput`` with a pointer to the parameter.
    """
    query: dict[str, Any] = {"metadata": {}, "payloads": False}
    for name, value in params.items():
        if name.lower() in HOST_PARAMETERS:
            continue
        refuse_unstorable_text(name + value, f"/{name}")
        if name.startswith("metadata."):
            readings = [reading for each in _alternatives(name, value) for reading in _readings(_plain(each))]
            query["metadata"][name.removeprefix("metadata.")] = readings
        else:
            query |= _read(name, value)
    if len(query["metadata"]) > MAX_METADATA_FILTERS:
        raise InvalidInput.at("/metadata", f"up to {MAX_METADATA_FILTERS} filters on metadata can be combined")
    return read(JobQuery, query)


def _read(name: str, value: str) -> dict[str, Any]:
    if name in _TEXTS:
        clean = {"handler_name": _plain, "status": _status}.get(name, str.strip)
        return {name: [clean(each) for each in _alternatives(name, value)]}
    if name == "job_name":
        names = _alternatives(name, value)
        prefixes = [each for each in names if _PREFIX.fullmatch(each)]
        exact = [_plain(each) for each in names if each not in prefixes]
        return {"job_name": exact, "job_name_prefix": [_plain(each[:-1]) for each in prefixes]}
    if name in _YES_OR_NO:
        wanted = {_boolean(name, each.strip()) for each in _alternatives(name, value)}
        return {name: wanted.pop() if len(wanted) == 1 else None}
    if name in _INSTANTS:
        if "," in value:
            raise InvalidInput.at(f"/{name}", "give one instant; of several the outermost would do")
        return {name: _PLUS_READ_AS_SPACE.sub(r"\1+\2", value)}
    if name == "include":
        if unknown := {each.strip() for each in _alternatives(name, value)} - {"payload"}:
            raise InvalidInput.at("/include", f"there is no {min(unknown)!r} to include; there is payload")
        return {"payloads": True}
    if name in {"limit", "cursor"}:
        return {name: value}
    raise InvalidInput.at(f"/{name}", f"no such filter; there are {_KNOWN}")


def alternatives_of(name: str, value: str) -> list[str]:
    """Return the values of a filter, separated by commas, without escapes."""
    return [_plain(each) for each in _alternatives(name, value)]


def _alternatives(name: str, value: str) -> list[str]:
    """Split at unescaped commas; escapes stay in the values."""
    pieces = [""]
    characters = iter(value)
    for character in characters:
        if character == ",":
            pieces.append("")
        else:
            pieces[-1] += character + (next(characters, "") if character == "\\" else "")
    if len(pieces) > MAX_ALTERNATIVES:
        raise InvalidInput.at(f"/{name}", f"up to {MAX_ALTERNATIVES} values can be given; ask in parts")
    if len(pieces) > 1 and not all(pieces):
        raise InvalidInput.at(f"/{name}", "a value is empty; write a comma that is part of a value as \\,")
    return pieces


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text)


def _status(value: str) -> str:
    text = value.strip()
    if text not in _STATUSES:
        there_are = ", ".join(_STATUSES)
        raise InvalidInput.at(
            "/status", f"no status is {text!r}; there are {there_are}{asks_for_near(text, _STATUSES)}"
        )
    return text


def _boolean(name: str, value: str) -> bool:
    if value.lower() not in _BOOLEANS:
        raise InvalidInput.at(f"/{name}", f"{value!r} is neither true nor false")
    return _BOOLEANS[value.lower()]


def _readings(value: str) -> list[Any]:
    """Return the readings of a value: ``7`` is a text and a number; text that is not storable JSON is only a text."""
    try:
        parsed = parse_json(value)
    except (MalformedJson, InvalidInput):
        return [value]
    infinite = isinstance(parsed, float) and not math.isfinite(parsed)
    return [value] if infinite or isinstance(parsed, dict | list) else [value, parsed]
