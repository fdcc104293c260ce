"""What is kept of a failed attempt, and what must not be: on a real database, whose errors hold what it was sent."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from jobs.core.handlers.context import JobContext
from jobs.core.lifecycle.retry import RetryPolicy
from jobs.core.queries import JobQuery
from tests.support import Anything, job, until

SECRET = "ada@example.org"


def test_an_error_of_the_frameworks_engine_holds_no_value_that_a_statement_carried(database):
    statement = sa.text("insert into nowhere (owner) values (:owner)")
    with database.engine.connect() as connection, pytest.raises(SQLAlchemyError) as caught:
        connection.execute(statement, {"owner": SECRET})
    assert "nowhere" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_handlers_own_sql_error_is_told_in_words(runtime, registry):
    def read(args: Anything, ctx: JobContext) -> None:
        with ctx.unit_of_work() as uow:
            uow.connection.execute(sa.text("select 1 from nowhere where owner = :owner"), {"owner": SECRET})

    def told_again(args: Anything, ctx: JobContext) -> None:
        try:
            read(args, ctx)
        except SQLAlchemyError as error:
            raise ValueError(f"no owner: {error}") from None

    said = 'relation "nowhere" does not exist (SQLSTATE 42P01)'
    for handler, begins in ((read, "ProgrammingError: "), (told_again, "ValueError: no owner: ")):
        registry.add_handler(handler.__name__, handler, retry=RetryPolicy(max_retries=0))
        job_id = runtime.service.enqueue(job(handler.__name__, handler.__name__)).id
        runtime.worker.drain(10)
        [attempt] = until(lambda job_id=job_id: runtime.service.attempts(job_id))
        assert attempt.error.startswith(begins)
        for text in (attempt.error, attempt.traceback):
            assert said in text
            assert "{'S'" not in text
    failed = runtime.service.find(JobQuery(job_name="read")).jobs[0]
    assert (
        failed.last_error == f"ProgrammingError: {said} (in read, test_error_texts.py:{line_of('select 1 from now')})"
    )


def line_of(text: str) -> int:
    """Give the number of the first line of this file that holds ``text``."""
    lines = Path(__file__).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_no_value_of_a_handlers_own_statement_is_kept_or_logged(runtime, registry, sql, caplog):
    """Neither its parameters nor what the server says of the row."""
    sql("create table customers (email text unique, age integer)")

    def twice(args: Anything, ctx: JobContext) -> None:
        with ctx.unit_of_work() as uow:
            for _ in range(2):
                uow.connection.execute(sa.text("insert into customers values (:email, 1)"), {"email": SECRET})

    def no_number(args: Anything, ctx: JobContext) -> None:
        with ctx.unit_of_work() as uow:
            statement = sa.text("insert into customers values ('x', cast(cast(:age as text) as integer))")
            try:
                uow.connection.execute(statement, {"age": SECRET})
            except SQLAlchemyError as error:
                raise ValueError(f"it cannot be kept: {error}") from error

    for handler, says in ((twice, "customers_email_key"), (no_number, "invalid input syntax for type integer")):
        registry.add_handler(handler.__name__, handler, retry=RetryPolicy(max_retries=0))
        job_id = runtime.service.enqueue(job(handler.__name__, handler.__name__)).id
        runtime.worker.drain(10)
        [attempt] = until(lambda job_id=job_id: runtime.service.attempts(job_id))
        assert says in attempt.error
        assert says in attempt.traceback
        assert f"(in {handler.__name__}, test_error_texts.py:" in attempt.error
        assert SECRET not in attempt.error + attempt.traceback
        assert runtime.service.get(job_id).last_error == attempt.error
    assert "Traceback (most recent call last):" in caplog.text
    assert SECRET not in caplog.text


def test_the_traceback_of_an_sql_error_is_the_users_lines_and_the_message(runtime, registry):
    def read(connection: sa.Connection) -> None:
        connection.execute(sa.text("select 2 from nowhere"))

    def read_nothing(args: Anything, ctx: JobContext) -> None:
        with ctx.unit_of_work() as uow:
            read(uow.connection)

    def again(args: Anything, ctx: JobContext) -> None:
        try:
            read_nothing(args, ctx)
        except SQLAlchemyError as error:
            raise LookupError("no such order") from error

    for handler, frames in (
        (read_nothing, ["read_nothing", "read"]),
        (again, ["again", "read_nothing", "read", "again"]),
    ):
        registry.add_handler(handler.__name__, handler, retry=RetryPolicy(max_retries=0))
        job_id = runtime.service.enqueue(job(handler.__name__, handler.__name__)).id
        runtime.worker.drain(10)
        [attempt] = until(lambda job_id=job_id: runtime.service.attempts(job_id))
        lines = attempt.traceback.splitlines()
        assert [line.rpartition(", in ")[2] for line in lines if line.startswith('  File "')] == frames
        assert 'ProgrammingError) relation "nowhere" does not exist (SQLSTATE 42P01)' in attempt.traceback
        assert "[SQL: select 2 from nowhere]" in lines
