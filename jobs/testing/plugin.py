"""Fixtures for tests of handlers: ``jobs_harness`` in memory, ``jobs_postgres`` on a database of the test's own.

A ``conftest.py`` may override ``jobs_handlers``, ``jobs_overrides`` and ``jobs_postgres_setup`` for its own tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from jobs.core.transactions.sql import Connection
    from jobs.testing.harness import JobsHarness
    from jobs.testing.parts import Handlers
    from jobs.testing.postgres.server import EmbeddedPostgres


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
