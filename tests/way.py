"""The way to a test's database, which can be closed and opened."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.support import until


class Way:
    """The way to the test's database, which can be closed and opened."""

    def __init__(self, server: Any, database_url: str) -> None:
        self._server = server
        self._name = sa.make_url(database_url).database
        self._target = Path(database_url.partition("host=")[2]) / ".s.PGSQL.5432"
        self.folder = Path(tempfile.mkdtemp(prefix="way"))
        self._link = self.folder / self._target.name
        self.url = f"{database_url.partition('host=')[0]}host={self.folder}"
        self.open()

    def open(self) -> None:
        self._link.symlink_to(self._target)

    def close(self) -> None:
        self._link.unlink()
        cut = sa.text("select pg_terminate_backend(pid) from pg_stat_activity where datname = :name")
        with self._server.admin.connect() as connection:
            for _ in range(3):  # one that was just being made is not seen at first
                until(lambda: not connection.execute(cut, {"name": self._name}).all())
                threading.Event().wait(0.2)
