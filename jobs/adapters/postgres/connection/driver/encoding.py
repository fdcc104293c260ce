"""Statements and values encoded for PostgreSQL's extended query protocol.

All text is encoded before the first byte is sent, so that an invalid value cannot leave half a message on the wire,
which would shift every later response by one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pg8000.core import BIND, DESCRIBE, EXECUTE_MSG, PARSE
from sqlalchemy.dialects import postgresql

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy.sql.elements import CompilerElement

_DIALECT = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
_NULL = (-1).to_bytes(4, "big", signed=True)
_PORTAL = DESCRIBE + (6).to_bytes(4, "big") + b"P\x00"


class UnsendableText(ValueError):
    """A text contains a NUL character or half a surrogate pair, which PostgreSQL cannot store."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, compiled once: for the wire, and as SQLAlchemy text for a caller's own connection."""

    clause: CompilerElement
    name: bytes
    sql: bytes
    parameters: tuple[str, ...]
    literals: Mapping[str, Any]

    @classmethod
    def of(cls, clause: CompilerElement) -> Statement:
        """Compile a ``text()`` or Core construct to numbered parameters."""
        compiled = clause.compile(dialect=_DIALECT)
        sql = str(compiled).encode()
        return cls(
            clause=clause,
            name=b"jobs_" + hashlib.sha256(sql).hexdigest()[:24].encode(),
            sql=sql,
            parameters=tuple(compiled.positiontup or ()),  # type: ignore[attr-defined]
            literals={name: value for name, value in compiled.params.items() if value is not None},
        )

    def parse(self, name: bytes) -> bytes:
        """Return the Parse message for a prepared statement ``name``; the unnamed ``b""`` lasts until the next one."""
        return _message(PARSE, name + b"\x00" + self.sql + b"\x00\x00\x00")

    def execute(self, name: bytes, values: Mapping[str, Any]) -> bytes:
        """Return the messages that execute the prepared statement ``name`` with ``values``, by parameter name.

        Raises ``UnsendableText`` for text that the database cannot store.
        """
        parts = [b"\x00", name, b"\x00\x00\x00", len(self.parameters).to_bytes(2, "big")]
        for parameter in self.parameters:
            text = to_text(values[parameter] if parameter in values else self.literals[parameter])
            if text is None:
                parts.append(_NULL)
                continue
            data = _encoded(text)
            parts += (len(data).to_bytes(4, "big"), data)
        parts.append(b"\x00\x00")
        return b"".join((_message(BIND, b"".join(parts)), _PORTAL, EXECUTE_MSG))


def to_text(value: Any) -> str | None:
    """Return a value as PostgreSQL's text: None is NULL, a list an array literal, a timedelta an interval."""
    if value is None or isinstance(value, str):
        return value if value is None else str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.total_seconds():.6f} seconds"
    if isinstance(value, int | float | UUID):
        return str(value)
    if isinstance(value, list | tuple | set | frozenset):
        return _array(value)
    msg = f"a value of type {type(value).__name__} cannot be sent to the database"
    raise TypeError(msg)


def _message(code: bytes, body: bytes) -> bytes:
    return code + (len(body) + 4).to_bytes(4, "big") + body


def _encoded(text: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise UnsendableText("text with half a surrogate pair cannot be stored") from None
    if b"\x00" in data:
        raise UnsendableText("text with a NUL character cannot be stored")
    return data


def _array(items: Collection[Any]) -> str:
    """Return an array literal. Plain strings, up to a thousand, are joined without escaping each."""
    if items and all(type(item) is str for item in items):
        joined = '","'.join(items)
        if "\\" not in joined and joined.count('"') == 2 * (len(items) - 1):
            return f'{{"{joined}"}}'
    return "{" + ",".join([_array_item(item) for item in items]) + "}"


def _array_item(item: Any) -> str:
    text = to_text(item)
    if text is None:
        return "NULL"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
