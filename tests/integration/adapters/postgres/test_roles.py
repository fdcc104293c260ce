"""Two roles with no more than they need: one runs the whole engine and can change no table, the other migrates."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from jobs.adapters.postgres.connection.database import Database
from jobs.adapters.postgres.schema.migrate import upgrade
from jobs.adapters.postgres.schema.principals import Principal, map_principals
from jobs.adapters.postgres.schema.roles import RIGHTS, grant_rights
from jobs.adapters.postgres.statements.housekeeping import housekeeping_statements
from jobs.adapters.postgres.statements.limits import limit_statements
from jobs.adapters.postgres.statements.runs import run_statements
from jobs.app.as_code.apply import ScheduleChanges
from jobs.app.as_code.check import check_file
from jobs.app.runtime import Runtime
from jobs.bootstrap import build_runtime
from jobs.core.commands import UpdateJob
from jobs.core.errors import ConfigurationError, StoreUnavailable
from jobs.core.handlers.context import JobContext
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.retry import RetryPolicy
from jobs.core.lifecycle.status import JobStatus
from jobs.core.queries import JobQuery
from jobs.entrypoints.cli.main import main
from jobs.entrypoints.cli.parts import Parts
from jobs.settings import Settings
from tests.support import Anything, job, options_for, until

# Roles log in themselves, and PgBouncer's tests know one user.
pytestmark = pytest.mark.direct
_numbers = itertools.count(1)


class Place:
    """An empty database of the test's own, and roles of its own on the server."""

    def __init__(self, admin: sa.Engine, url: Callable[[str], str]) -> None:
        self.admin = admin
        self.number = next(_numbers)
        self.name = f"roles_{self.number}"
        self.roles: list[str] = []
        self._url = url
        self._open: list[Database] = []

    def role(self, name: str, attributes: str = "login") -> str:
        full = f"{name}_{self.number}"
        self.on_server(f"create role {quoted(full)} {attributes}")
        self.roles.append(full)
        return full

    def on_server(self, *statements: str) -> None:
        with self.admin.connect() as connection:
            for statement in statements:
                connection.execute(sa.text(statement.replace(":", "\\:")))

    def url(self, role: str = "postgres", database: str | None = None) -> str:
        url = sa.make_url(self._url(database or self.name)).set(username=role)
        return url.render_as_string(hide_password=False)

    def as_role(self, role: str = "postgres", **options: Any) -> Database:
        self._open.append(Database(options_for(self.url(role), **options)))
        return self._open[-1]

    def sql(self, text: str, role: str = "postgres") -> list[Any]:
        with self.as_role(role).engine.begin() as connection:
            result = connection.execute(sa.text(text))
            return [tuple(row) for row in result] if result.returns_rows else []

    def refused(self, text: str, role: str) -> bool:
        try:
            self.sql(text, role)
        except sa.exc.ProgrammingError as error:
            return error.orig.args[0]["C"] == "42501"  # type: ignore[union-attr]
        return False

    def close(self) -> None:
        for database in self._open:
            database.close()
        self.on_server(f"drop database {self.name} with (force)")
        for role in reversed(self.roles):
            self.on_server(f"drop role if exists {quoted(role)}")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.fixture
def place(server: Any) -> Iterator[Place]:
    place = Place(server.admin, server.direct_url)
    place.on_server(f"create database {place.name}")
    yield place
    place.close()


@pytest.fixture
def granted(place: Place) -> tuple[Place, str, str]:
    """The state after a deployment: an administrator's grant once, then the migrator's upgrade and grant each time."""
    runtime, migrator = place.role("app"), place.role("migrator")
    grant_rights(place.as_role().engine, "jobs", runtime, migrator)
    upgrade(place.as_role(migrator).engine, "jobs")
    grant_rights(place.as_role(migrator).engine, "jobs", runtime)
    return place, runtime, migrator


# --- what the runtime role can do


@pytest.fixture
def app(granted: tuple[Place, str, str]) -> Iterator[Runtime]:
    """The engine, with every kind of handler, connected as the runtime role."""
    place, role, _ = granted
    registry = HandlerRegistry()

    def succeed(args: Anything, ctx: JobContext) -> None:
        ctx.progress(0.5, "half")
        ctx.result = {"done": True}

    def fail(args: Anything) -> None:
        raise RuntimeError("no")

    def complete(args: Anything, ctx: JobContext) -> None:
        with ctx.lock("resource", ttl=timedelta(seconds=5)) as lock:
            lock.extend(timedelta(seconds=5))
            with ctx.unit_of_work() as uow:
                uow.complete()

    for name, target in (("Noop", succeed), ("Fail", fail), ("Complete", complete)):
        registry.add_handler(name, target, retry=RetryPolicy(max_retries=0))
    runtime = build_runtime(Settings(database_url=place.url(role)), registry)
    yield runtime
    runtime.close()


def test_the_runtime_role_runs_the_whole_engine(app: Runtime, granted: tuple[Place, str, str]) -> None:
    place, _, _ = granted
    service = app.service
    made = {
        "ok": ("Noop", "@once"),
        "fails": ("Fail", "@once"),
        "completes": ("Complete", "@once"),
        "waits": ("Noop", "PT1H"),
        "repeats": ("Noop", "@hourly"),
    }
    results = service.enqueue_many(job(name, handler, schedule=schedule) for name, (handler, schedule) in made.items())
    assert all(hasattr(result, "id") for result in results)
    service.enqueue_once(job("keyed", schedule="PT1H"), key="k", fingerprint="f", render=lambda made: str(made.id))
    until(lambda: app.worker.drain(60) is not None and service.find(JobQuery(job_name="ok")).jobs[0].status.ended)
    status = {each.job_name: each.status for each in service.find(JobQuery()).jobs}
    assert status == {
        "ok": JobStatus.COMPLETED,
        "fails": JobStatus.FAILED,
        "completes": JobStatus.COMPLETED,
        "waits": JobStatus.SCHEDULED,
        "repeats": JobStatus.SCHEDULED,
        "keyed": JobStatus.SCHEDULED,
    }
    entry = {"job_name": "filed", "handler_name": "Noop", "schedule": "@daily"}
    for entries in ([entry], [entry | {"schedule": "@weekly", "paused": True}], []):
        file = check_file({"owner": "billing", "jobs": entries}, None, app.registry, app.clock.now())
        ScheduleChanges(service, app.registry, app.units, app.lock, app.clock).apply(file)
    waiting = service.find(JobQuery(job_name="waits")).jobs[0]
    service.update(waiting.id, UpdateJob(metadata={"a": 1}))
    for change in (service.pause, service.resume, service.run_now, service.cancel, service.retry):
        change(waiting.id)
    assert service.attempts(service.find(JobQuery(job_name="ok")).jobs[0].id)
    # Lost runs, old rows, old keys and old locks are only there if somebody makes them so.
    place.sql(
        "update jobs.jobs set created_at = now() - interval '1 year', handled_at = now() - interval '1 year' "
        "where handled_at is not null"
    )
    place.sql("update jobs.idempotency_keys set created_at = now() - interval '1 year'")
    place.sql("update jobs.locks set expires_at = now() - interval '1 year'")
    place.sql(
        "update jobs.jobs set status = 'Running', lease_token = gen_random_uuid(), lease_expires_at = now(), "
        "started_at = now() where job_name = 'repeats'"
    )
    app.reconciler.run()
    kept = {each.job_name for each in service.find(JobQuery()).jobs}
    assert kept == {"waits", "repeats", "keyed"}  # the others have ended and were pruned
    assert app.housekeeping.stats()["jobs"]["Scheduled"] >= 2
    for table in ("idempotency_keys", "locks"):
        assert place.sql(f"select count(*) from jobs.{table}") == [(0,)]
    assert place.sql("select last_error from jobs.jobs where job_name = 'repeats'") != [(None,)]


def test_the_runtime_role_may_run_every_statement_that_there_is(granted: tuple[Place, str, str]) -> None:
    place, role, _ = granted
    groups = [run_statements("jobs"), housekeeping_statements("jobs"), limit_statements("jobs")]
    with place.as_role(role).engine.begin() as connection:
        for statement in [getattr(group, name) for group in groups for name in group.__slots__]:
            values = dict.fromkeys(statement.parameters)
            with connection.begin_nested() as savepoint:
                connection.execute(statement.clause, values)
                savepoint.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "create table jobs.mine (a int)",
        "create table public.mine (a int)",
        "create schema mine",
        "create function jobs.mine() returns int language sql as 'select 1'",
        "drop table jobs.jobs",
        "drop index jobs.jobs_due",
        "drop schema jobs cascade",
        "alter table jobs.jobs add column mine int",
        "alter table jobs.jobs disable trigger all",
        "alter table jobs.jobs owner to current_user",
        "truncate jobs.jobs",
        "create index mine on jobs.jobs (id)",
        "comment on table jobs.jobs is 'mine'",
        "update jobs.job_attempts set outcome = 'Succeeded'",
        "update jobs.job_audit set actor = 'nobody'",
        "update jobs.schema_version set version_num = '0001'",
        "delete from jobs.schema_version",
        "select * from secret.things",
        "create role mine",
        "set role postgres",
    ],
)
def test_the_runtime_role_is_refused_all_else(granted: tuple[Place, str, str], statement: str) -> None:
    place, role, _ = granted
    place.sql("create schema secret")
    place.sql("create table secret.things (a int)")
    assert place.refused(statement, role)


def test_the_runtime_role_has_nothing_to_pass_on(granted: tuple[Place, str, str]) -> None:
    place, role, _ = granted
    other = place.role("other")
    place.sql("grant select on jobs.jobs to public", role)  # a warning, and no right
    assert place.refused("select * from jobs.jobs", other)


def test_the_rights_name_every_table_that_there_is(granted: tuple[Place, str, str]) -> None:
    place, _, _ = granted
    assert {name for (name,) in place.sql("select tablename from pg_tables where schemaname = 'jobs'")} == set(RIGHTS)


# --- what the migrator can do


def test_the_migrator_owns_what_it_makes_and_its_later_tables_are_the_runtimes_to_write(granted) -> None:
    place, role, migrator = granted
    assert place.sql("select distinct tableowner from pg_tables where schemaname = 'jobs'") == [(migrator,)]
    place.sql("create table jobs.later (id bigint generated always as identity, note text)", migrator)
    place.sql("insert into jobs.later (note) values ('a')", role)
    place.sql("update jobs.later set note = 'b'", role)
    assert place.sql("select id, note from jobs.later", role) == [(1, "b")]
    place.sql("delete from jobs.later", role)
    assert place.refused("alter table jobs.later add column mine int", role)
    assert place.refused("create table public.mine (a int)", migrator)


def test_repeating_it_changes_nothing(granted: tuple[Place, str, str]) -> None:
    place, role, migrator = granted

    def rights() -> list[Any]:
        return place.sql(
            "select relname::text, relowner::regrole::text, (select array_agg(a::text order by a::text) "
            "from unnest(relacl) a)::text from pg_class where relnamespace = 'jobs'::regnamespace "
            "union all select 'schema', nspowner::regrole::text, nspacl::text from pg_namespace where nspname = 'jobs' "
            "union all select 'default', defaclrole::regrole::text, defaclacl::text from pg_default_acl "
            "union all select 'member', roleid::regrole::text, member::regrole::text from pg_auth_members order by 1, 2"
        )

    grant_rights(place.as_role().engine, "jobs", role, migrator)
    first = rights()
    grant_rights(place.as_role().engine, "jobs", role, migrator)
    grant_rights(place.as_role(migrator).engine, "jobs", role)
    assert rights() == first


def test_what_was_granted_beyond_the_need_is_taken_back(granted: tuple[Place, str, str]) -> None:
    place, role, migrator = granted
    place.sql(f"grant all on jobs.job_audit, jobs.schema_version to {role}")
    assert not place.refused("update jobs.job_audit set actor = 'nobody'", role)
    grant_rights(place.as_role().engine, "jobs", role, migrator)
    assert place.refused("update jobs.job_audit set actor = 'nobody'", role)
    assert place.refused("truncate jobs.schema_version", role)


def test_tables_that_an_administrator_had_made_become_the_migrators(place: Place) -> None:
    role, migrator = place.role("app"), place.role("migrator")
    upgrade(place.as_role().engine, "jobs")
    grant_rights(place.as_role().engine, "jobs", role, migrator)
    place.sql("alter table jobs.jobs add column mine int", migrator)
    place.sql("select * from jobs.jobs for update", role)
    assert upgrade(place.as_role(migrator).engine, "jobs")[0] is not None


# --- an administrator who is no superuser, as on Azure


@pytest.fixture
def azure(place: Place) -> tuple[Place, str]:
    """A server's administrator as Azure has it: may create roles and owns the database, and is no superuser."""
    admin = place.role("admin", "login createrole createdb")
    place.on_server(f"alter database {place.name} owner to {admin}")
    return place, admin


def test_an_administrator_hands_over_to_roles_that_it_made_and_is_no_member_of_them_afterwards(azure) -> None:
    place, admin = azure
    role, migrator = f"app_{place.number}", f"migrator_{place.number}"
    for name in (role, migrator):
        place.sql(f"create role {name} login", admin)
        place.roles.append(name)
    grant_rights(place.as_role(admin).engine, "jobs", role, migrator)
    assert place.sql(f"select pg_has_role('{admin}', '{migrator}', 'usage')") == [(False,)]
    upgrade(place.as_role(migrator).engine, "jobs")
    place.sql("insert into jobs.limit_starts (handler_name, started_at, attempts) values ('a', now(), 1)", role)
    assert place.refused("create table jobs.mine (a int)", role)


def test_one_that_can_be_no_member_says_what_is_left_and_the_migrator_does_it(azure) -> None:
    place, admin = azure
    role, migrator = place.role("app"), place.role("migrator")  # made by another: the administrator has no say
    lines = grant_rights(place.as_role(admin).engine, "jobs", role, migrator)
    assert any(f"run `db grant --runtime {role}` as {migrator}" in line for line in lines)
    upgrade(place.as_role(migrator).engine, "jobs")
    assert place.refused("select * from jobs.jobs", role)
    grant_rights(place.as_role(migrator).engine, "jobs", role)
    place.sql("insert into jobs.limit_starts (handler_name, started_at, attempts) values ('a', now(), 1)", role)
    assert place.refused("update jobs.job_audit set actor = 'nobody'", role)
    place.sql("create table jobs.later (a int)", migrator)
    place.sql("insert into jobs.later values (1)", role)
    assert grant_rights(place.as_role(admin).engine, "jobs", role, migrator) == lines


def test_tables_that_nobody_here_can_hand_over_are_told_with_their_owner_and_nothing_is_granted(azure) -> None:
    place, admin = azure
    role, migrator = place.role("app"), place.role("migrator")
    upgrade(place.as_role(admin).engine, "jobs")
    with pytest.raises(ConfigurationError, match=rf"not '{migrator}''s, and '{admin}' cannot hand them over"):
        grant_rights(place.as_role(admin).engine, "jobs", role, migrator)
    assert place.refused("select * from jobs.jobs", role)


def test_where_public_may_not_connect_the_roles_may(azure) -> None:
    place, admin = azure
    role, migrator = place.role("app"), place.role("migrator")
    place.on_server(f"revoke connect on database {place.name} from public")
    grant_rights(place.as_role(admin).engine, "jobs", role, migrator)
    assert place.sql("select 1", role) == place.sql("select 1", migrator) == [(1,)]


# --- what goes wrong


def test_roles_with_odd_names_are_roles_all_the_same(place: Place) -> None:
    role, migrator = place.role('a "quoted" 100%:x; --'), place.role("jo@example.com#EXT#")
    grant_rights(place.as_role().engine, "jobs", role, migrator)
    upgrade(place.as_role(migrator).engine, "jobs")
    assert place.sql("select count(*) from jobs.jobs", role) == [(0,)]


def test_what_cannot_be_granted_is_told_with_the_mend(place: Place) -> None:
    role, other = place.role("app"), place.role("other")
    admin = place.as_role().engine
    with pytest.raises(ConfigurationError, match="no role 'missing' on this server"):
        grant_rights(admin, "jobs", "missing")
    with pytest.raises(ConfigurationError, match="db upgrade"):
        grant_rights(admin, "jobs", role)
    with pytest.raises(ConfigurationError, match="name two roles"):
        grant_rights(admin, "jobs", role, role)
    with pytest.raises(ConfigurationError, match="JOBS_DATABASE_SCHEMA"):
        grant_rights(admin, 'jobs"; drop', role, other)
    upgrade(admin, "jobs")
    with pytest.raises(ConfigurationError, match="run this as the server's administrator"):
        grant_rights(place.as_role(other).engine, "jobs", role)
    with pytest.raises(StoreUnavailable, match="check JOBS_DATABASE_URL"):
        grant_rights(Database(options_for(f"postgresql://postgres@/x?host=/tmp/{place.name}")).engine, "jobs", role)


def test_a_runtime_role_that_can_do_more_is_warned_of(place: Place) -> None:
    role, migrator = place.role("app", "login superuser"), place.role("migrator")
    lines = grant_rights(place.as_role().engine, "jobs", role, migrator)
    assert f"warning: {role} is a superuser, which it does not need" in lines


# --- Entra principals


@pytest.fixture
def entra(place: Place) -> Iterator[Place]:
    """A server with functions of Azure's names and arguments, which make a role and label it."""
    body = "begin execute format('create role %I login', $1); return 'Created role for ' || $1; end"
    signatures = (
        "pgaadauth_create_principal(text, boolean, boolean)",
        "pgaadauth_create_principal_with_oid(text, text, text, boolean, boolean)",
    )
    with_postgres = Database(options_for(place.url(database="postgres")))
    with with_postgres.engine.begin() as connection:
        for signature in signatures:
            connection.exec_driver_sql(
                f"create function {signature} returns text language plpgsql as $body$ {body} $body$"
            )
    yield place
    with with_postgres.engine.begin() as connection:
        for signature in signatures:
            connection.exec_driver_sql(f"drop function {signature}")
    with_postgres.close()


def test_the_command_makes_roles_of_principals_and_grants_them_their_rights(entra, monkeypatch, capsys) -> None:
    app, migrator = f"id-app-{entra.number}", f"id-deploy-{entra.number}"
    entra.roles += [app, migrator]
    monkeypatch.setenv("JOBS_DATABASE_URL", entra.url())
    from jobs.bootstrap.database import grant_rights as granting

    parts = Parts(None, None, None, None, granting)
    object_id = "0f6a3c5e-1b2d-4c3e-8f90-123456789abc"
    command = ["db", "grant", "--runtime", f"{app}={object_id}", "--migrator", migrator, "--entra"]
    assert main(command, parts) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{app}: a role for the Microsoft Entra principal {object_id}",
        f"{migrator}: a role for the Microsoft Entra principal of that name",
        f"{migrator}: owns the schema jobs and migrates it",
        f"{app}: reads and writes the rows of 0 tables, and of those made later",
    ]
    upgrade(entra.as_role(migrator).engine, "jobs")
    assert main(command, parts) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"{app}: reads and writes the rows of {len(RIGHTS)} ")
    assert entra.sql("select count(*) from jobs.jobs", app) == [(0,)]


def test_elsewhere_than_on_azure_entra_is_refused_with_the_mend(place: Place) -> None:
    with pytest.raises(ConfigurationError, match=r"no pgaadauth_create_principal, .* leave --entra out"):
        map_principals(options_for(place.url()), [Principal("someone")])


def test_what_azure_refuses_is_told_in_its_words(entra: Place) -> None:
    nobody = entra.role("nobody")
    with pytest.raises(ConfigurationError, match="not mapped: permission denied to create role"):
        map_principals(options_for(entra.url(nobody)), [Principal("someone")])


@pytest.mark.parametrize(
    ("text", "principal"),
    [
        ("id-app", Principal("id-app")),
        ("a=b", Principal("a=b")),
        ("a=b=0F6A3C5E-1b2d-4c3e-8f90-123456789abc", Principal("a=b", "0F6A3C5E-1b2d-4c3e-8f90-123456789abc")),
    ],
)
def test_a_principal_is_a_name_or_a_name_with_an_object_id(text: str, principal: Principal) -> None:
    assert Principal.of(text) == principal
