"""What runs on a caller's connection is taken by every driver, also by those that send values by the server's types."""

from __future__ import annotations

import re

import pytest
from sqlalchemy.dialects.postgresql import asyncpg, pg8000, psycopg

from jobs.adapters.postgres.connection.database import _with_texts
from jobs.adapters.postgres.connection.driver.encoding import Statement
from jobs.adapters.postgres.statements.changes import change_statement
from jobs.adapters.postgres.statements.jobs import job_statements
from jobs.adapters.postgres.statements.runs import run_statements

JOBS = job_statements("jobs")
STATEMENTS = {
    name: getattr(JOBS, name)
    for name in ("insert", "insert_many", "replace", "get", "active_holder", "hold_key", "read_key", "keep_response")
}
STATEMENTS |= {
    "record": run_statements("jobs").record,
    "change": change_statement(
        "jobs",
        ("attempt", "metadata", "next_run_at", "paused", "payload", "status", "timeout"),
        (),
        new_generation=True,
    ),
}


@pytest.mark.parametrize("dialect", [asyncpg, pg8000, psycopg], ids=lambda dialect: dialect.__name__.rsplit(".", 1)[-1])
@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_every_value_is_sent_as_text_and_made_what_it_is_by_the_server(statement: Statement, dialect):
    sql = str(_with_texts(statement).compile(dialect=dialect.dialect()))
    values = re.findall(r"(?:\$\d+|%s|%\(\w+\)s)(?:::VARCHAR)?", sql)
    assert len(values) >= len(statement.parameters) > 0
    assert all(value.endswith("::VARCHAR") for value in values), sql
