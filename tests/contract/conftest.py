"""The stores that are held to one contract."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from jobs.adapters.postgres.database import Database
from tests.contract.stores import Stores, memory_stores, postgres_stores, stop_clock


@pytest.fixture(scope="module")
def stopped_database(module_database: Database) -> Database:
    """The module's database with its clock stopped."""
    stop_clock(module_database)
    return module_database


@pytest.fixture(scope="module")
def impatient_database(stopped_database: Database) -> Iterator[Database]:
    database = Database(replace(stopped_database.options, lock_timeout_seconds=0.02))
    yield database
    database.close()


@pytest.fixture
def postgres(stopped_database: Database, impatient_database: Database, emptied: Database) -> Stores:
    return replace(postgres_stores(emptied), impatient=postgres_stores(impatient_database))


@pytest.fixture(params=["memory", "postgres"])
def stores(request: pytest.FixtureRequest) -> Iterator[Stores]:
    """Each store in turn, empty, at noon."""
    return memory_stores() if request.param == "memory" else request.getfixturevalue("postgres")
