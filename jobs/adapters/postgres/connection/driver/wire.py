"""Send one statement and read its rows in one round trip.

SQLAlchemy on pg8000 takes four round trips for a single statement in its own transaction (BEGIN, parse and describe,
bind and execute, COMMIT). PostgreSQL's extended protocol lets parse, bind, describe, execute and sync travel together;
without a BEGIN the statement is its own transaction, committed at the sync. (PostgreSQL documentation, "Message Flow:
Extended Query".)

A connection prepares each statement once, by name. Behind PgBouncer in transaction mode, where the next transaction may
run on another connection, statements are unnamed and parsed each time.
"""

from __future__ import annotations

from datetime import datetime
from struct import Struct
from typing import TYPE_CHECKING, Any

from pg8000.core import (
    BIND_COMPLETE,
    COMMAND_COMPLETE,
    DATA_ROW,
    PARSE_COMPLETE,
    READY_FOR_QUERY,
    ROW_DESCRIPTION,
    SYNC_MSG,
    Context,
)
from pg8000.exceptions import DatabaseError, InterfaceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from jobs.adapters.postgres.connection.driver.encoding import Statement

_INT32 = Struct("!i")
_REVEALING = ("D", "W", "q")  # detail, context and inner query would show rows and values in the log
_HEADER = 5
_PIECE = 256 * 1024
_DATA_ROW, _ROW_DESCRIPTION, _READY = DATA_ROW[0], ROW_DESCRIPTION[0], READY_FOR_QUERY[0]
_PARSED = PARSE_COMPLETE[0]
_IGNORED = frozenset({BIND_COMPLETE[0], COMMAND_COMPLETE[0]})


def exchange(
    connection: Any,
    statement: Statement,
    messages: Iterable[bytes],
    *,
    prepared: bool,
    first: tuple[Statement, bytes] | None = None,
) -> list[tuple[Any, ...]]:
    """Execute ``statement`` once per message on an idle pg8000 connection, in one transaction; return all rows.

    The transaction commits at the end. Each message is sent as soon as it is built, so that the server works on one
    while the next is built; all responses together must fit a socket's buffer, some 64 KiB. ``prepared`` parses the
    statement once per connection; without it the messages must be for the name ``b""``. ``first`` is another statement
    and its message, executed before the others in the same transaction; its rows come first.

    An error response of the server is raised as pg8000's ``DatabaseError``; nothing was written and the connection
    stays usable. After any other error the connection is in an unknown state and must be discarded.
    """
    channel = connection._usock  # noqa: SLF001  pg8000 has no public call that sends all of it at once
    known: set[bytes] = connection.__dict__.setdefault("jobs_prepared", set())
    parsing: list[bytes] = []

    def parse(one: Statement) -> bytes:
        if not prepared:
            return one.parse(b"")
        if one.name in known:
            return b""
        parsing.append(one.name)
        return one.parse(one.name)

    before = b"" if first is None else parse(first[0]) + first[1]
    before += parse(statement)
    if isinstance(messages, list):
        channel.sendall(b"".join((before, *messages, SYNC_MSG)))
    else:
        for message in messages:
            channel.sendall(before + message)
            before = b""
        channel.sendall(SYNC_MSG)
    reader = _Reader(connection, channel)
    try:
        return reader.read_rows()
    finally:
        known.update(parsing[: reader.parsed])


class _Reader:
    """Reads the responses of one exchange.

    It reads from the socket directly, in large pieces: every read releases the interpreter's lock, and reacquiring it
    costs more than the read. Between exchanges pg8000's own buffer is empty, so no data is missed.
    """

    def __init__(self, connection: Any, channel: Any) -> None:
        self._connection = connection
        self._channel = channel
        self._data = b""
        self._at = 0
        self.parsed = 0

    def read_rows(self) -> list[tuple[Any, ...]]:
        """Read up to ReadyForQuery and return the rows. pg8000 handles notices, settings and errors."""
        context = Context(None)
        rows: list[tuple[Any, ...]] = []
        decoders: list[Callable[[bytes], Any]] = []
        data, at = self._data, self._at
        while True:
            while len(data) - at < _HEADER or len(data) - at <= (size := _INT32.unpack_from(data, at + 1)[0]):
                data, at = data[at:] + _more(self._channel), 0
            code, body = data[at], data[at + _HEADER : at + 1 + size]
            at += 1 + size
            if code == _DATA_ROW:
                rows.append(_row(body, decoders))
            elif code == _ROW_DESCRIPTION:
                decoders = [_DECODERS.get(oid, bytes.decode) for oid in _type_oids(body)]
            elif code == _PARSED:
                self.parsed += 1
            elif code not in _IGNORED:
                self._connection.message_types[bytes((code,))](body, context)
                if code == _READY:
                    break
        self._data, self._at = data, at
        if context.error is None:
            return rows
        error: DatabaseError = context.error
        for field in _REVEALING:
            error.args[0].pop(field, None)
        raise error


def _more(channel: Any) -> bytes:
    piece: bytes = channel.recv(_PIECE)
    if not piece:
        raise InterfaceError("the database closed the connection")
    return piece


def _row(body: bytes, decoders: list[Callable[[bytes], Any]]) -> tuple[Any, ...]:
    values: list[Any] = []
    at = 2
    unpack = _INT32.unpack_from
    for decode in decoders:
        (size,) = unpack(body, at)
        at += 4
        if size < 0:
            values.append(None)
        else:
            end = at + size
            values.append(decode(body[at:end]))
            at = end
    return tuple(values)


def _type_oids(body: bytes) -> Iterator[int]:
    """Yield the column types of a RowDescription: the type's OID is 6 bytes after the end of each column's name."""
    at = 2
    for _ in range(int.from_bytes(body[:2], "big")):
        at = body.index(b"\x00", at) + 1
        yield int.from_bytes(body[at + 6 : at + 10], "big")
        at += 18


_DECODERS: dict[int, Callable[[bytes], Any]] = {
    16: b"t".__eq__,
    20: int,
    21: int,
    23: int,
    700: float,
    701: float,
    1184: lambda data: datetime.fromisoformat(data.decode()),
}
"""By type OID (pg_type.dat): bool, int8, int2, int4, float4, float8, timestamptz.

All other types stay text, including UUIDs, since few of them are needed as objects.
"""
