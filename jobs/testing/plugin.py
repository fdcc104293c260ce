"""Fixtures for tests of handlers: ``jobs_harness`` in memory, ``jobs_postgres`` on a database of the test's own.

A ``conftest.py`` may override ``jobs_handlers``, ``jobs_overrides`` and ``jobs_postgres_setup`` for its own tests.
A test that fails shows its own lines and its handler's; ``--full-trace`` adds the framework's.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jobs.core.transactions.sql import Connection
    from jobs.testing.harness import JobsHarness
    from jobs.testing.parts import Handlers
    from jobs.testing.postgres.server import EmbeddedPostgres


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Let tests import the app's handlers: unlike ``python -m pytest``, ``pytest`` alone has no folder on the path."""
    places = (early_config.invocation_params.dir, early_config.rootpath)
    folders = (folder for place in places for folder in (place, *place.parents))
    app = next((folder for folder in folders if (folder / "host.json").is_file()), None)
    if app is not None and str(app) not in sys.path:
        sys.path.insert(0, str(app))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Show the test's and the handler's lines of a failure, and the framework's only with ``--full-trace``."""
    if call.excinfo is not None and not item.config.getoption("fulltrace"):
        from jobs.testing.frames import hide_frames  # noqa: PLC0415  imported where a test has failed

        hide_frames(call.excinfo.value)


@pytest.fixture
def jobs_handlers() -> Handlers | None:
    """Override it: the package with the handlers, a registry, or a list of marked functions; None is the app's."""
    return None


@pytest.fixture
def jobs_overrides() -> Mapping[type, Any]:
    """Override it: fakes in place of services, by their type."""
    return {}


@pytest.fixture(scope="session")
def jobs_postgres_setup() -> Callable[[Connection], object] | None:
    """Override it with ``scope="session"``: a function that makes your tables, such as ``metadata.create_all``."""
    return None


@pytest.fixture
def jobs_harness(jobs_handlers: Handlers | None, jobs_overrides: Mapping[type, Any]) -> Iterator[JobsHarness]:
    """Run handlers without a database, in milliseconds."""
    with _harness(jobs_handlers, jobs_overrides) as jobs:
        yield jobs


@pytest.fixture(scope="session")
def jobs_postgres_server(jobs_postgres_setup: Callable[[Connection], object] | None) -> Iterator[EmbeddedPostgres]:
    """Start the embedded server once per session, with a template of the tables."""
    from jobs.testing.postgres.server import embedded_postgres  # noqa: PLC0415  most tests need no database

    with embedded_postgres(jobs_postgres_setup) as server:
        yield server


@pytest.fixture
def jobs_postgres_url(jobs_postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """Return the address of a database of the test's own, with the framework's tables and yours."""
    with jobs_postgres_server.database() as url:
        yield url


@pytest.fixture
def jobs_postgres(
    jobs_postgres_url: str, jobs_handlers: Handlers | None, jobs_overrides: Mapping[type, Any]
) -> Iterator[JobsHarness]:
    """Run handlers with their SQL on Postgres; ``with jobs_postgres.transaction() as connection`` is for the test's."""
    with _harness(jobs_handlers, jobs_overrides, database_url=jobs_postgres_url) as jobs:
        yield jobs


def _harness(handlers: Handlers | None, overrides: Mapping[type, Any], **where: Any) -> JobsHarness:
    from jobs.testing.harness import JobsHarness  # noqa: PLC0415  imported where a fixture is wanted

    given: dict[str, Any] = {} if handlers is None else {"handlers": handlers}
    return JobsHarness(**given, overrides=overrides, **where)
