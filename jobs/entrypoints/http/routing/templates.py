"""Route templates of HTTP functions: the part of ASP.NET Core's syntax that the Functions host supports.

``jobs/{id:guid}/attempts/{number:int?}`` · ``files/{*path}`` · ``report-{year:length(4)}.{format:alpha}``
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from jobs.entrypoints.http.routing.constraints import constraint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Segment = list["str | _Parameter"]

_TOKEN = re.compile(r"\{\{|\}\}|\{(?P<parameter>(?:\{\{|\}\}|[^{}])+)\}|[^{}]+")
# An argument may contain parentheses, so it ends before another constraint, a default or the end of the parameter.
_CONSTRAINT = re.compile(
    r":(?P<name>[a-z]+)(?:\((?P<argument>.*?)\)(?=:[a-z]+(?:[(:=?]|$)|=[^()]*$|\?$|$))?", re.IGNORECASE
)
_PARAMETER = re.compile(
    rf"(?P<stars>\*{{0,2}})(?P<name>[^:=?*/{{}}]+)(?P<constraints>(?:{_CONSTRAINT.pattern.replace('?P<', '?P<_')})*)"
    r"(?:=(?P<default>[^?]*))?(?P<optional>\??)",
    re.IGNORECASE,
)
_LITERAL, _MIXED, _CONSTRAINED, _FREE, _CATCH_ALL = range(5)


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    constraints: str
    accepts: tuple[Callable[[str], bool], ...]
    catch_all: bool
    optional: bool
    default: str | None

    @property
    def may_be_absent(self) -> bool:
        return self.catch_all or self.optional or self.default is not None


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed route template.

    ``shape`` is equal for templates that match the same paths, whatever their parameters' names. Of several that match
    a path, the one with the lowest ``rank`` is the most specific.
    """

    text: str
    shape: str
    rank: tuple[int, ...]
    pattern: re.Pattern[str]
    parameters: tuple[_Parameter, ...]

    def match(self, path: str) -> dict[str, str] | None:
        """Return the route values of ``path`` (decoded, with a leading slash); None if the template does not match."""
        found = self.pattern.fullmatch(path)
        if found is None:
            return None
        values = {}
        for parameter, text in zip(self.parameters, found.groups(), strict=True):
            value = text or parameter.default
            if value is None:
                continue
            if not all(accepts(value) for accepts in parameter.accepts):
                return None
            values[parameter.name] = value
        return values


@dataclass(frozen=True, slots=True)
class Route:
    """A function's template and methods; ``methods`` None means every method."""

    function: str
    template: Template
    methods: frozenset[str] | None

    def shares_a_method_with(self, other: Route) -> bool:
        """Return whether both serve a common method."""
        return self.methods is None or other.methods is None or bool(self.methods & other.methods)


@dataclass(frozen=True, slots=True)
class Match:
    """The route that serves a request; ``more_specific`` is the function of a more specific match, if there is one."""

    function: str
    values: dict[str, str]
    more_specific: str | None


class RouteTable:
    """Finds the route for a request: of all matches, the first function by name, as in the Functions host.

    Raises ``ValueError`` if two routes match the same requests.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = tuple(sorted(routes, key=lambda route: route.function.upper()))
        for position, route in enumerate(self._routes):
            for other in self._routes[:position]:
                if route.template.shape == other.template.shape and route.shares_a_method_with(other):
                    raise ValueError(
                        f"functions {other.function} ({other.template.text}) and {route.function} "
                        f"({route.template.text}) answer the same requests; change the route or the methods of one"
                    )

    def find(self, method: str, path: str) -> Match | None:
        """Return the match for ``method`` on ``path``; None if no route matches both."""
        matches = [
            (route, values)
            for route in self._routes
            if (route.methods is None or method in route.methods) and (values := route.template.match(path)) is not None
        ]
        if not matches:
            return None
        chosen, values = matches[0]
        best = min((route for route, _ in matches), key=lambda route: route.template.rank)
        return Match(chosen.function, values, best.function if best.template.rank < chosen.template.rank else None)


def decode_path(raw: str) -> str:
    """Percent-decode a request path as UTF-8, then resolve its dot segments.

    ``%2F`` stays encoded, so that a value cannot add a segment.
    """
    pieces = re.split("(%2f)", raw, flags=re.IGNORECASE)
    plain = (unquote_to_bytes(piece.encode("latin-1")).decode("utf-8", "replace") for piece in pieces[::2])
    return _without_dots("".join(text + slash for text, slash in zip(plain, [*pieces[1::2], ""], strict=True)))


def _without_dots(path: str) -> str:
    """Resolve ``.`` and ``..`` (RFC 3986, section 5.2.4), never above the root."""
    if "/." not in path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


def parse_template(text: str) -> Template:
    """Parse a route template; raises ``ValueError`` with the reason if it is invalid."""
    try:
        segments = _segments(text.strip("/"))
        _check(segments)
    except ValueError as error:
        raise ValueError(f"route {text!r}: {error}") from None
    return Template(
        text=text,
        shape="/".join("".join(map(_shape, segment)) for segment in segments),
        rank=tuple(map(_rank, segments)),
        pattern=re.compile("".join(map(_pattern, segments)) + "/?", re.IGNORECASE | re.DOTALL),
        parameters=tuple(part for segment in segments for part in segment if isinstance(part, _Parameter)),
    )


def _segments(text: str) -> list[Segment]:
    segments: list[Segment] = [[]]
    end = 0
    while found := _TOKEN.match(text, end):
        end = found.end()
        if found["parameter"]:
            segments[-1].append(_parameter(found["parameter"]))
            continue
        first, *others = {"{{": "{", "}}": "}"}.get(found[0], found[0]).split("/")
        segments[-1].extend([first] if first else [])
        segments.extend([piece] if piece else [] for piece in others)
    if end < len(text):
        raise ValueError(f"a brace is unpaired at position {end}")
    return [] if segments == [[]] else segments


def _parameter(body: str) -> _Parameter:
    found = _PARAMETER.fullmatch(body)
    if found is None:
        raise ValueError(f"the parameter {{{body}}} cannot be read")
    constraints = _CONSTRAINT.finditer(found["constraints"])
    return _Parameter(
        name=found["name"],
        constraints=found["constraints"].casefold(),
        accepts=tuple(constraint(each["name"], each["argument"]) for each in constraints),
        catch_all=bool(found["stars"]),
        optional=bool(found["optional"]),
        default=found["default"],
    )


def _check(segments: list[Segment]) -> None:
    if not all(segments):
        raise ValueError("a segment is empty")
    parameters = [part for segment in segments for part in segment if isinstance(part, _Parameter)]
    if len({parameter.name.casefold() for parameter in parameters}) < len(parameters):
        raise ValueError("a parameter is named twice")
    absent = None
    for segment in segments:
        first = segment[0]
        present = isinstance(first, str) or not first.may_be_absent
        if absent is not None and (present or absent.catch_all):
            raise ValueError(f"{absent.name!r} can be absent, so nothing may follow it")
        if len(segment) > 1 and any(isinstance(part, _Parameter) and part.may_be_absent for part in segment):
            raise ValueError("a parameter that can be absent must be a segment of its own")
        absent = first if isinstance(first, _Parameter) and not present else None


def _pattern(segment: Segment) -> str:
    first = segment[0]
    if isinstance(first, _Parameter) and first.may_be_absent:
        return "(?:/(.*))?" if first.catch_all else "(?:/([^/]+))?"
    return "/" + "".join(re.escape(part) if isinstance(part, str) else "([^/]+)" for part in segment)


def _shape(part: str | _Parameter) -> str:
    if isinstance(part, str):
        return part.casefold()
    return f"{{{'*' if part.catch_all else ''}{part.constraints}{'?' if part.may_be_absent else ''}}}"


def _rank(segment: Segment) -> int:
    first = segment[0]
    if len(segment) > 1:
        return _MIXED
    if isinstance(first, str):
        return _LITERAL
    if first.catch_all:
        return _CATCH_ALL
    return _CONSTRAINED if first.accepts else _FREE
