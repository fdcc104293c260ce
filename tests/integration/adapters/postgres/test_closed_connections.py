"""No connection's socket is left to the garbage collector, which complains in whatever test it happens to run."""

from __future__ import annotations

import gc
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa

from jobs.adapters.postgres.connection.address import DatabaseOptions
from jobs.adapters.postgres.connection.database import Database
from jobs.adapters.postgres.connection.driver.encoding import Statement
from jobs.core.errors import StoreUnavailable

pytestmark = pytest.mark.direct
PID = Statement.of(sa.text("select pg_backend_pid()"))


@pytest.fixture
def complaints(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What Python could raise nowhere, as it collected garbage during the test."""
    gc.collect()
    found: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda complaint: found.append(f"{complaint.exc_value!r}"))
    yield found
    gc.collect()
    assert found == []


def cannot_connect(url: str, **options: Any) -> None:
    database = Database(DatabaseOptions(url, **options))
    with pytest.raises(StoreUnavailable):
        database.run(PID, {})
    database.close()


class Listener:
    """Accepts connections and does something odd with them."""

    def __init__(self, treat: Callable[[socket.socket], None]) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"postgresql://u:p@127.0.0.1:{self._socket.getsockname()[1]}/app"
        self._treat = treat
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                with client, suppress(OSError):
                    self._treat(client)

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(30)


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    "treat",
    [
        lambda client: None,
        lambda client: client.recv(8) and client.sendall(b"N"),
        lambda client: client.recv(8) and client.sendall(b"S"),
        lambda client: client.recv(8) and client.sendall(b"S" * 100),
        lambda client: client.recv(1 << 16) and client.recv(1 << 16),
    ],
    ids=["hangs up", "refuses encryption", "hangs up amid the handshake", "talks nonsense", "is silent"],
)
def test_a_server_that_cannot_be_talked_to_leaves_no_socket_behind(complaints, treat, tls):
    listener = Listener(treat)
    try:
        cannot_connect(listener.url, tls=tls, socket_timeout_seconds=0.2)
    finally:
        listener.close()


def test_a_connection_that_the_server_refuses_leaves_no_socket_behind(complaints, database_url):
    cannot_connect(database_url.replace("/test_", "/no_such_"))
    cannot_connect(f"{database_url.partition('host=')[0]}host=/nowhere")


@pytest.mark.parametrize("close", ["in use", "idle"])
def test_a_connection_whose_server_is_gone_is_closed_where_that_is_found(complaints, database, database_url, close):
    one = Database(DatabaseOptions(database_url, pool_size=1))
    pooled = one.engine.raw_connection()
    channel = pooled.driver_connection._usock
    [(pid,)] = one_row(pooled)
    with database.engine.begin() as connection:
        connection.execute(sa.text("select pg_terminate_backend(:pid, 30000)"), {"pid": pid})
    if close == "in use":
        with pytest.raises(Exception, match=r"network error|terminating|closed"):
            one_row(pooled)
        pooled.invalidate()
    pooled.close()
    one.close()
    assert channel.fileno() == -1


def one_row(pooled: Any) -> Any:
    cursor = pooled.cursor()
    cursor.execute("select pg_backend_pid()")
    return cursor.fetchall()


def test_a_connection_that_is_given_back_after_its_pool_was_closed_is_closed_too(complaints, database_url):
    one = Database(DatabaseOptions(database_url, pool_size=1))
    pooled = one.engine.raw_connection()
    channel = pooled.driver_connection._usock
    one.close()
    pooled.close()
    assert channel.fileno() == -1
    [(first,)] = one.run(PID, {})
    assert one.run(PID, {}) == [(first,)], "a later call connects anew, and keeps the connection"
    one.close()
