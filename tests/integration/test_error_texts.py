"""What is kept of a failed attempt, and what must not be: on a real database, whose errors hold what it was sent."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError


def test_an_error_of_the_frameworks_engine_holds_no_value_that_a_statement_carried(database):
    statement = sa.text("insert into nowhere (owner) values (:owner)")
    with database.engine.connect() as connection, pytest.raises(SQLAlchemyError) as caught:
        connection.execute(statement, {"owner": "ada@example.org"})
    assert "nowhere" in str(caught.value)
    assert "ada@example.org" not in str(caught.value)
