"""How a call is described: its parameters, body, answers, and the problems that it may be answered with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobs.entrypoints.http import problems

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from jobs.entrypoints.http.problems import Kind


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in the path, the query or a header; ``style`` is how a value that is a list or object is written."""

    name: str
    place: str
    description: str
    schema: Mapping[str, Any]
    example: Any
    required: bool = False
    style: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Header:
    """A header of an answer."""

    description: str
    example: str
    always: bool = True


@dataclass(frozen=True, slots=True)
class Described:
    """An answer that is no problem. Without a model it has no JSON body; ``media_type`` is that of the body."""

    description: str
    model: type[BaseModel] | None = None
    headers: Mapping[str, Header] = field(default_factory=dict)
    media_type: str | None = "application/json"
    schema: Mapping[str, Any] | None = None


TAGGED = {"ETag": Header("Changes with what is answered.", '"3f1c"')}
NOT_MODIFIED = Described("The caller has it already.", media_type=None, headers=TAGGED)


@dataclass(frozen=True, slots=True)
class CallText:
    """A call. ``kinds`` are the problems of this call beside those of every call, and of every call with a body."""

    tag: str
    summary: str
    description: str
    answers: Mapping[int, Described]
    parameters: tuple[Parameter, ...] = ()
    body: type[BaseModel] | None = None
    body_required: bool = True
    kinds: tuple[Kind, ...] = ()
    touches_database: bool = True

    def problems(self, *, restricted: bool) -> tuple[Kind, ...]:
        """Return every problem that the call may be answered with; ``restricted`` is whether it needs a role."""
        found = [*(_RESTRICTED if restricted else ()), *(_BODY if self.body is not None else ()), *self.kinds]
        found += [problems.INTERNAL, problems.NOT_CONFIGURED]
        found += [problems.UNAVAILABLE] if self.touches_database else []
        return tuple(dict.fromkeys(found))


_RESTRICTED = (problems.UNAUTHENTICATED, problems.FORBIDDEN, problems.CLOSED, problems.CROSS_SITE)
_BODY = (
    problems.MALFORMED, problems.LENGTH_REQUIRED, problems.TOO_LARGE, problems.NOT_JSON, problems.INVALID,
)  # fmt: skip
