"""What is typed into the search box: qualifiers such as ``handler:SendEmail overdue:true name:order-*``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from jobs.core.errors import InvalidInput
from jobs.core.lifecycle.status import JobStatus
from jobs.entrypoints.http.filters import query_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jobs.core.queries import JobQuery

_WORDS = {
    "handler": "handler_name",
    "name": "job_name",
    "parent": "parent_id",
    "failure": "failure",
    **{
        word: word
        for word in (
            "status", "paused", "recurring", "overdue", "created_after", "created_before", "ended_after",
            "ended_before", "due_after", "due_before",
        )
    },
}  # fmt: skip
QUALIFIERS = (*_WORDS, "metadata.")
"""What may stand before a colon."""
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_TERM = re.compile(
    rf"\s*(?:(?P<key>metadata\.(?:{_QUOTED}|[^\s:\"]+)|[A-Za-z_]+):(?P<value>{_QUOTED}|\S*)|(?P<word>{_QUOTED}|\S+))",
    re.DOTALL,
)
_BARE = re.compile(r"[\w.@/+-]+")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class Term(NamedTuple):
    """A part of a search: a qualifier and its value as they are typed. Without a qualifier, ``key`` is empty."""

    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.key}:{self.value}" if self.key else self.value


def terms_of(text: str) -> Iterator[Term]:
    """Yield the parts of a search."""
    for found in _TERM.finditer(text.strip()):
        yield Term(found["key"] or "", found["value"] if found["key"] else found["word"])


def qualified(text: str, key: str, value: str | None) -> str:
    """Return a search with another value of one qualifier; without it for None."""
    kept = [str(term) for term in terms_of(text) if term.key != key]
    return " ".join([*kept, *([] if value is None else [f"{key}:{value}"])])


def quoted(value: str) -> str:
    """Return a value that a qualifier matches exactly, in quotes if it needs them."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return value if _BARE.fullmatch(value) else f'"{escaped}"'


def id_in(text: str) -> UUID | None:
    """Return the id that a search consists of; None if it is anything else."""
    try:
        return UUID(text.strip())
    except ValueError:
        return None


def search_of(text: str, **more: str) -> JobQuery:
    """Return the query of a search; ``more`` are parameters of a list, such as the cursor.

    A word without a qualifier is the beginning of a name. Raises ``InvalidInput`` with a sentence for people.
    """
    given: dict[str, list[str]] = {}
    for term in terms_of(text):
        name, value = _parameter(term)
        given.setdefault(name, []).append(value)
    return query_of({name: ",".join(values) for name, values in given.items()} | more)


def _parameter(term: Term) -> tuple[str, str]:
    if not term.key:
        return "job_name", f"{_literal(_plain(term.value))}*"
    if term.key.startswith("metadata."):
        return f"metadata.{_plain(term.key.removeprefix('metadata.'))}", _of_list(term.value)
    if term.key not in _WORDS:
        raise InvalidInput.at("/q", f"there is no qualifier {term.key}; there are {', '.join(_WORDS)} and metadata.KEY")
    if not term.value:
        raise InvalidInput.at("/q", f"{term.key}: has no value; write such as {_EXAMPLES.get(term.key, 'true')}")
    return _WORDS[term.key], _of_list(term.value)


_EXAMPLES = {"handler": "handler:SendEmail", "name": "name:order-*", "status": "status:Failed"}


def _of_list(value: str) -> str:
    """Return a value as the list's parameter: in quotes it is taken as it is, else commas and stars have a meaning."""
    return _literal(_plain(value)) if value.startswith('"') else value


def _plain(value: str) -> str:
    return _ESCAPED.sub(r"\1", value[1:-1]) if value.startswith('"') and value.endswith('"') else value


def _literal(value: str) -> str:
    return re.sub(r"([\\,*])", r"\\\1", value)


def suggestions(handlers: Iterable[str], metadata_keys: Iterable[str]) -> list[str]:
    """Return what the search box completes: each a qualifier, with a value where there are few."""
    return [
        *(f"handler:{quoted(name)}" for name in handlers),
        *(f"status:{status}" for status in JobStatus),
        *(f"{name}:{value}" for name in ("overdue", "paused", "recurring") for value in ("true", "false")),
        *(f"metadata.{quoted(key)}:" for key in metadata_keys),
        *(f"{name}:" for name in ("name", "parent", "failure")),
        *(f"{name}_{bound}:" for name in ("created", "due", "ended") for bound in ("after", "before")),
    ]
