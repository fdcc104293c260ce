"""The stores that are held to one contract."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from jobs.adapters.postgres.connection.database import Database
from tests.contract.stores import Stores, memory_stores, postgres_stores, stop_clock

if TYPE_CHECKING:
    from tests.conftest import Server


@pytest.fixture(scope="module")
def stopped_database(module_database: Database, server: Server) -> Database:
    """The module's database with its clock stopped."""
    stop_clock(module_database, server.admin)
    return module_database


@pytest.fixture(scope="module")
def impatient_database(stopped_database: Database, server: Server) -> Iterator[Database]:
    """The same, not through PgBouncer, where the lock time-out would be the role's and not ours to set."""
    url = server.direct_url(str(stopped_database.engine.url.database))
    database = Database(replace(stopped_database.options, url=url, pgbouncer=False, lock_timeout_seconds=0.02))
    yield database
    database.close()


@pytest.fixture(scope="module")
def lent_database(stopped_database: Database) -> Iterator[Database]:
    """The same, by the connections that units of work have."""
    database = Database(stopped_database.options, for_handlers=True)
    yield database
    database.close()


@pytest.fixture
def postgres(
    stopped_database: Database, impatient_database: Database, lent_database: Database, emptied: Database
) -> Stores:
    return replace(
        postgres_stores(emptied, lent_database), impatient=postgres_stores(impatient_database, lent_database)
    )


@pytest.fixture
def memory() -> Stores:
    return memory_stores()


@pytest.fixture(params=["memory", "postgres"])
def stores(request: pytest.FixtureRequest) -> Stores:
    """Each store in turn, empty, at noon."""
    return request.getfixturevalue(request.param)
