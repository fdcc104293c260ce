"""Every statement that runs often finds its rows by the index that is there for it, on a table of some size."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from jobs.adapters.postgres.connection.address import DatabaseOptions
from jobs.adapters.postgres.connection.database import Database
from jobs.adapters.postgres.connection.driver.encoding import Statement, to_text
from jobs.adapters.postgres.schema.migrate import upgrade
from jobs.adapters.postgres.statements.failures import failure_statements
from jobs.adapters.postgres.statements.figures import figure_statements
from jobs.adapters.postgres.statements.housekeeping import housekeeping_statements
from jobs.adapters.postgres.statements.jobs import job_statements
from jobs.adapters.postgres.statements.limits import limit_statements
from jobs.adapters.postgres.statements.runs import run_statements
from jobs.adapters.postgres.statements.setbacks import setback_statements
from jobs.adapters.postgres.statements.suspects import suspect_statements
from jobs.adapters.postgres.statements.workers import worker_statements
from jobs.adapters.postgres.stores.listing import find_jobs
from jobs.core.lifecycle.ids import new_id
from jobs.core.lifecycle.status import JobStatus
from jobs.core.queries import JobQuery

ROWS = 20_000
NOW = datetime.now(UTC)
RUNS, HOUSE = run_statements("jobs"), housekeeping_statements("jobs")
JOBS, LIMITS, SUSPECTS = job_statements("jobs"), limit_statements("jobs"), suspect_statements("jobs")
FIGURES = figure_statements("jobs")
SETBACKS = setback_statements("jobs")

# What the table holds: in ordinary times most jobs have ended; after an outage most are due.
SHARES = {
    "mostly ended": {"Completed": 80, "Failed": 5, "Cancelled": 2, "Running": 3, "Scheduled": 10},
    "a backlog": {"Completed": 10, "Failed": 1, "Cancelled": 1, "Running": 3, "Scheduled": 85},
}

_FILL = """
insert into jobs.jobs (id, handler_name, job_name, schedule, timezone, recurring, payload, metadata, status,
  next_run_at, scheduled_for, anchor, max_retries, attempt, lease_token, lease_expires_at, handled_at, created_at,
  armed_at, limited, concurrency_key)
select gen_random_uuid(),
  case when n % 500 = 0 then 'Rare' when n % 7 = 0 then 'Limited' else 'Handler' || n % 10 end, 'job-' || n,
  '@once', 'UTC', false, jsonb_build_object('n', n),
  case when n % 2 = 0 then jsonb_build_object('OrderId', n, 'Domain', 'd' || n % 20) else '{}' end, status,
  case when status in ('Scheduled', 'Running') then now() + (n % 100 - 50) * interval '1 minute' end,
  now(), now(), 3, 1,
  case when status = 'Running' then gen_random_uuid() end,
  case when status = 'Running' then now() + (n % 60 - 5) * interval '1 second' end,
  case when status in ('Completed', 'Failed', 'Cancelled') then now() - n * interval '1 minute' end,
  now() - n * interval '1 minute', case when n % 3 = 0 then now() end,
  n % 7 = 0 and n % 500 > 0, case when n % 7 = 0 and n % 500 > 0 then 'key ' || n % 50 end
from (
  select n, (cast(:statuses as text[]))[1 + n * 37 % 100] as status from generate_series(1, cast(:rows as integer)) n
) as rows
"""


@pytest.fixture(scope="module", params=SHARES)
def filled(request: pytest.FixtureRequest, server: Any) -> Iterator[Database]:
    """A database of this module's own, with its table filled and analysed."""
    name = "plans_" + request.param.replace(" ", "_")
    with server.admin.connect() as connection:
        connection.execute(sa.text(f"create database {name}"))
    database = Database(DatabaseOptions(server.direct_url(name)))
    upgrade(database.engine, "jobs")
    statuses = [status for status, share in SHARES[request.param].items() for _ in range(share)]
    database.run(Statement.of(sa.text(_FILL)), {"statuses": statuses, "rows": ROWS})
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("vacuum analyze jobs.jobs"))
    yield database
    database.close()
    with server.admin.connect() as connection:
        connection.execute(sa.text(f"drop database {name} with (force)"))


@pytest.fixture(params=[1, 10], ids=["the first time", "the tenth time"])
def times(request: pytest.FixtureRequest) -> int:
    """How often a connection has run a statement: from the sixth time on, one plan may serve for all values."""
    return request.param


class Plan:
    """Which nodes a plan has for the table ``jobs``."""

    def __init__(
        self,
        database: Database,
        statement: Statement,
        values: dict[str, Any],
        times: int = 1,
        first: Statement | None = None,
    ) -> None:
        given = [to_text(values[n] if n in values else statement.literals[n]) for n in statement.parameters]
        literals = ", ".join("null" if text is None else "'" + text.replace("'", "''") + "'" for text in given)
        pooled = database.engine.raw_connection()
        try:
            ask = pooled.driver_connection.execute_simple
            ask("begin")
            if first is not None:
                ask(first.sql.decode())
            ask(f"prepare asked as {statement.sql.decode()}")
            execution = f"execute asked({literals})" if literals else "execute asked"
            for _ in range(times):
                [[text]] = ask(f"explain (format json, costs off) {execution}").rows
            ask("deallocate asked")
            ask("commit")
        finally:
            pooled.close()
        self.tree = text if isinstance(text, list) else json.loads(text)
        nodes = self.nodes = list(_nodes(self.tree[0]["Plan"]))
        self.indexes = {node["Index Name"] for node in nodes if "Index Name" in node}
        self.scanned = [node for node in nodes if node["Node Type"] == "Seq Scan" and node["Relation Name"] == "jobs"]
        self.sorted = [node for node in nodes if node["Node Type"] == "Sort"]
        self.filtered = [node.get("Filter") for node in nodes if node.get("Relation Name") == "jobs"]

    def __str__(self) -> str:
        return json.dumps(self.tree, indent=1)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from _nodes(child)


SOME_IDS = [new_id() for _ in range(20)]
OUTCOME = {
    "id": new_id().hex, "token": str(new_id()), "generation": 1, "status": "Completed", "next_attempt": 1,
    "tally": "reset", "run_ended": True, "attempt": 1, "started_at": NOW.isoformat(), "finished_at": NOW.isoformat(),
    "outcome": "Succeeded",
}  # fmt: skip
MOVE = {
    "id": new_id().hex, "generation": 1, "due_at": NOW.isoformat(), "scheduled_for": NOW.isoformat(),
    "anchor": NOW.isoformat(), "attempt": 0,
}  # fmt: skip
FIRST: dict[str, Any] = {"after_due": None, "after_id": None}
LATER = {"after_due": NOW - timedelta(minutes=20), "after_id": new_id()}
LEASE = {"worker": "w", "lease": timedelta(minutes=1)}
LIMITED = {
    "handler_name": "Limited", "limit": 1, "concurrency": 3, "per_key": 2, "rate": 10, "period": timedelta(seconds=1),
}  # fmt: skip
STATEMENTS = {
    # With few due, the planner may look the id up among those; measured, it costs the same with 60,000 due.
    "claim": (RUNS.claim, LEASE | {"id": new_id(), "generation": 1}, {"jobs_pkey|jobs_due"}),
    "claim_due": (RUNS.claim_due, LEASE | {"limit": 500}, {"jobs_due", "jobs_pkey"}),
    "claim_except": (
        RUNS.claim_except,
        LEASE | {"id": new_id(), "generation": 1, "limited": ["Limited"]},
        {"jobs_pkey|jobs_due"},
    ),
    "claim_due_except": (
        RUNS.claim_due_except,
        LEASE | {"limit": 500, "limited": ["Limited"]},
        {"jobs_due", "jobs_pkey"},
    ),
    "claim_limited": (LIMITS.claim_limited, LEASE | LIMITED, {"jobs_due_limited", "jobs_running_limited", "jobs_pkey"}),
    "claim_named": (
        LIMITS.claim_named,
        LEASE | LIMITED | {"id": new_id(), "generation": 1},
        {"jobs_running_limited", "jobs_pkey"},
    ),
    "waiting": (LIMITS.throttled, {"handler_names": ["Limited", "Other"]}, {"jobs_due_limited"}),
    "set_limit_flags": (
        LIMITS.set_limit_flags,
        {"ids": SOME_IDS, "limited": [True] * 20, "keys": ["a"] * 20},
        {"jobs_pkey|jobs_running"},
    ),
    "claim_due, a few": (RUNS.claim_due, LEASE | {"limit": 5}, {"jobs_due", "jobs_pkey"}),
    "extend": (RUNS.extend, {"ids": SOME_IDS, "tokens": SOME_IDS, "lease": timedelta(1)}, {"jobs_pkey|jobs_running"}),
    "held": (RUNS.held, {"ids": SOME_IDS, "tokens": SOME_IDS}, {"jobs_pkey|jobs_running"}),
    "reread": (RUNS.reread, {"id": new_id(), "token": new_id()}, {"jobs_pkey|jobs_running"}),
    "record": (RUNS.record, {"outcomes": json.dumps([OUTCOME] * 20)}, {"jobs_pkey|jobs_running"}),
    "recorded_before": (
        RUNS.recorded_before,
        {"ids": SOME_IDS, "tokens": SOME_IDS, "since": [NOW] * 20},
        {"jobs_pkey"},
    ),
    "reap": (HOUSE.reap, {"limit": 500, "max_lost": 3}, {"jobs_running", "jobs_pkey"}),
    "claim_alone": (RUNS.claim_alone, LEASE | {"id": new_id(), "generation": 1}, {"jobs_pkey|jobs_due"}),
    "claim_convicted": (
        SUSPECTS.claim_convicted,
        {"limit": 500, "max_lost": 3, "lease": timedelta(1)},
        {"jobs_running", "jobs_pkey"},
    ),
    "due suspects": (SUSPECTS.due, {"limit": 10}, {"jobs_suspects"}),
    "end_alone": (SUSPECTS.end_alone, {"id": new_id(), "token": new_id()}, {"jobs_pkey|jobs_running"}),
    "unarmed": (HOUSE.unarmed, FIRST | {"limit": 500, "within": timedelta(days=30)}, {"jobs_due"}),
    "unarmed, a later page": (HOUSE.unarmed, LATER | {"limit": 500, "within": timedelta(days=30)}, {"jobs_due"}),
    "overdue": (HOUSE.overdue, FIRST | {"limit": 500, "grace": timedelta(seconds=60)}, {"jobs_due"}),
    "overdue, a later page": (HOUSE.overdue, LATER | {"limit": 500, "grace": timedelta(seconds=60)}, {"jobs_due"}),
    "prune": (HOUSE.prune, {"limit": 500, "retention": timedelta(days=30), "keep": 20}, {"jobs_newest"}),
    "longest_wait": (HOUSE.longest_wait, {"limit": 10_000}, {"jobs_due"}),
    "not due yet": (
        SETBACKS.waiting,
        {"limit": 500, "after_at": None, "after_id": None},
        {"jobs_due", "jobs_due_limited"},
    ),
    "not due yet, later page": (
        SETBACKS.waiting,
        {"limit": 500, "after_at": NOW + timedelta(minutes=9), "after_id": new_id()},
        {"jobs_due"},
    ),
    "set_back": (SETBACKS.set_back, {"moves": json.dumps([MOVE] * 20)}, {"jobs_pkey"}),
    "shorten_leases": (SETBACKS.shorten_leases, {"lease": timedelta(seconds=15)}, {"jobs_running"}),
    "latest_record": (SETBACKS.latest_record, {}, {"jobs_newest"}),
    "workers": (worker_statements("jobs").find, {"limit": 500}, {"jobs_running"}),
    "lateness": (FIGURES.lateness, {"limit": 101}, {"jobs_due", "jobs_due_limited"}),
    "active": (JOBS.active, {"ids": SOME_IDS}, {"jobs_pkey"}),
    "counts": (
        FIGURES.counts,
        {"limit": 101, "examined": 202},
        {"jobs_newest", "jobs_active_name", "jobs_running", "jobs_newest_failed", "jobs_newest_cancelled"},
    ),
    "get": (JOBS.get, {"id": new_id()}, {"jobs_pkey"}),
    "active_holder": (JOBS.active_holder, {"job_name": "job-77"}, {"jobs_active_name"}),
    "just_inserted": (JOBS.just_inserted, {"ids": SOME_IDS}, {"jobs_pkey|jobs_newest"}),
    "mark_armed": (JOBS.mark_armed, {"ids": SOME_IDS, "generations": [1] * 20}, {"jobs_pkey"}),
}


def used(plan: Plan, wanted: set[str]) -> bool:
    return all(any(name in plan.indexes for name in one.split("|")) for one in wanted)


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_uses_the_index_that_is_there_for_it(filled, times, name):
    statement, values, wanted = STATEMENTS[name]
    plan = Plan(filled, statement, values, times)
    assert not plan.scanned, plan
    assert used(plan, wanted), plan


@pytest.mark.parametrize("limit", [5, 500])
@pytest.mark.parametrize("filled", ["a backlog"], indirect=True)
def test_due_jobs_are_found_in_their_order_without_sorting_all_of_them(filled, times, limit):
    """With an outage's backlog, a sort of everything due would cost every claim what the whole backlog costs."""
    plan = Plan(filled, RUNS.claim_due, LEASE | {"limit": limit}, times)
    assert not plan.sorted, plan


class Asked:
    """Stands in for a database, to catch the statement that a query becomes."""

    def run(self, statement: Statement, values: dict[str, Any]) -> list[Any]:
        self.statement, self.values = statement, values
        return []


def plan_of(database: Database, **query: Any) -> Plan:
    asked = Asked()
    find_jobs(asked, "jobs", JobQuery(**query))
    return Plan(database, asked.statement, asked.values)


def named(value: Any) -> str:
    """Name a parameter, alike in every process: queries by their fields, since their values are of this moment."""
    return " ".join(value) if isinstance(value, dict) else str(value)


def a_cursor(database: Database) -> str:
    """Give the cursor of a page well within the list."""
    page = find_jobs(database, "jobs", JobQuery(limit=500))
    assert page.cursor is not None
    return page.cursor


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ({}, "jobs_newest"),
        ({"status": [JobStatus.FAILED]}, "jobs_newest_failed"),
        ({"status": [JobStatus.COMPLETED]}, "jobs_newest"),
        ({"handler_name": "Rare"}, "jobs_newest_by_handler"),
        ({"handler_name": "Rare", "status": [JobStatus.COMPLETED]}, "jobs_newest_by_handler"),
        ({"metadata": {"OrderId": [7_000]}}, "jobs_metadata"),
        ({"parent_id": [SOME_IDS[0]]}, "jobs_by_parent"),
        ({"created_before": NOW - timedelta(hours=5)}, "jobs_newest"),
        ({"created_after": NOW - timedelta(hours=5), "created_before": NOW}, "jobs_newest"),
        ({"paused": False, "recurring": False}, "jobs_newest"),
        ({"metadata": {"OrderId": ["7000", 7_000]}}, "jobs_metadata"),
        ({"metadata": {"OrderId": ["7000", 7_000], "Domain": ["d0"]}}, "jobs_metadata"),
    ],
    ids=named,
)
def test_a_list_is_read_off_the_index_for_what_it_is_asked_by(filled, query, index):
    plan = plan_of(filled, **query)
    assert not plan.scanned, plan
    assert index in plan.indexes, plan


@pytest.mark.parametrize("query", [{}, {"status": [JobStatus.FAILED]}, {"handler_name": "Handler7"}], ids=named)
def test_a_later_page_costs_what_the_first_does(filled, query):
    plan = plan_of(filled, cursor=a_cursor(filled), **query)
    assert not plan.scanned, plan
    assert not plan.sorted, plan
    assert not any("created_at" in (condition or "") for condition in plan.filtered), "the index begins at the cursor"


@pytest.mark.parametrize("filled", ["mostly ended"], indirect=True)
@pytest.mark.parametrize("more", [{}, {"handler_name": "Rare"}], ids=named)
def test_overdue_jobs_are_found_among_those_that_wait(filled, more):
    plan = plan_of(filled, overdue=True, **more)
    assert not plan.scanned, plan
    assert plan.indexes & {"jobs_due", "jobs_newest", "jobs_newest_by_handler"}, plan


@pytest.mark.parametrize("filled", ["mostly ended"], indirect=True)
@pytest.mark.xfail(reason="no index serves these; one on every job's name or time would be paid for by every insert")
@pytest.mark.parametrize("query", [{"job_name": "job-4711"}, {"due_before": NOW - timedelta(minutes=45)}], ids=named)
def test_other_conditions_do_not_read_the_whole_table_either(filled, query):
    plan = plan_of(filled, **query)
    assert not plan.scanned, plan


_FAILURES = """
with failed as (
  select id, handler_name, row_number() over (order by id) as place from jobs.jobs where status = 'Failed'
), marked as (
  update jobs.jobs j set failure = 'cause ' || failed.place % 3, last_error = 'it failed'
  from failed where j.id = failed.id
)
insert into jobs.job_attempts (
  job_id, token, run, attempt, started_at, finished_at, outcome, failure, handler_name, error)
select failed.id, gen_random_uuid(), 1, n, now() - interval '1 second' * n, now() - interval '1 second' * n, 'Failed',
  'cause ' || failed.place % 3, failed.handler_name, 'it failed'
from failed, generate_series(1, cast(:each as integer)) as n
"""


@pytest.fixture(scope="module")
def with_failures(filled: Database) -> Database:
    """The same with 30,000 failures of three causes, the causes of all jobs that are Failed."""
    filled.run(Statement.of(sa.text(_FAILURES)), {"each": 30})
    with filled.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("vacuum analyze jobs.job_attempts, jobs.jobs"))
    return filled


@pytest.mark.parametrize("filled", ["mostly ended"], indirect=True)
def test_failures_are_grouped_without_reading_them_all(with_failures, times):
    values = {
        "window": timedelta(days=1), "handler_names": None, "limit": 50, "bound": 10_001, "causes": 2_000,
    }  # fmt: skip
    plan = Plan(with_failures, failure_statements("jobs").find, values, times)
    read = [node for node in plan.nodes if node.get("Relation Name") in {"jobs", "job_attempts"}]
    assert {node["Node Type"] for node in read} <= {"Index Scan", "Index Only Scan"}, plan
    assert used(plan, {"job_attempts_by_failure", "jobs_by_failure"}), plan


@pytest.mark.parametrize("filled", ["mostly ended"], indirect=True)
@pytest.mark.parametrize("more", [{}, {"status": [JobStatus.FAILED]}], ids=named)
def test_the_jobs_of_a_cause_are_read_off_its_index_in_order(with_failures, more):
    plan = plan_of(with_failures, failure="cause 1", **more)
    assert plan.indexes & {"jobs_by_failure", "jobs_newest_failed"}, plan
    rare = plan_of(with_failures, failure="cause 9", **more)
    assert rare.indexes == {"jobs_by_failure"}, rare


_HISTORY = """
with living as (select id, row_number() over (order by id) as place from jobs.jobs where status = 'Scheduled' limit 200)
insert into jobs.job_attempts (job_id, token, run, attempt, started_at, finished_at, outcome)
select living.id, gen_random_uuid(), n, 1, at, at, 'Succeeded'
from generate_series(1, cast(:rows as integer)) n
join living on living.place = case when n % 20 = 0 then 1 + n / 20 % 200 else 1 end,
lateral (select now() - interval '1 second' * (cast(:rows as integer) - n)) as t(at)
"""


@pytest.fixture(scope="module")
def with_history(with_failures: Database) -> Database:
    """The same with a long history, nearly all of it of one job, where most others have a short one."""
    filled = with_failures
    filled.run(Statement.of(sa.text(_HISTORY)), {"rows": 100_000})
    filled.run(Statement.of(sa.text("update jobs.jobs set created_at = created_at - interval '1 year'")), {})
    with filled.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("vacuum analyze jobs.job_attempts, jobs.jobs"))
    return filled


@pytest.mark.parametrize("filled", ["mostly ended"], indirect=True)
def test_old_history_is_found_at_the_ends_of_the_index_however_long_it_is(with_history, times):
    values = {
        "jobs": 500,
        "rows": 5_000,
        "retention": timedelta(hours=1),
        "keep": 20,
        "created_at": NOW,
        "id": new_id(),
    }
    plan = Plan(with_history, HOUSE.prune_history, values, times, first=HOUSE.in_index_order)
    nodes = [node for node in plan.nodes if node.get("Relation Name") == "job_attempts"]
    kinds = {node["Node Type"] for node in nodes}
    assert kinds <= {"Index Scan", "Index Only Scan", "Index Scan Backward", "Tid Scan", "ModifyTable"}, plan
    assert not plan.scanned, plan
    assert not [node for node in plan.sorted if "started_at" in str(node["Sort Key"])], "the index is in order"
    assert used(plan, {"jobs_newest", "job_attempts_pkey"}), plan


@pytest.mark.parametrize("filled", ["mostly ended"], indirect=True)
def test_an_attempt_of_a_job_with_a_long_history_is_found_by_its_time(with_history, times):
    values = {"ids": SOME_IDS, "tokens": SOME_IDS, "since": [NOW] * 20}
    plan = Plan(with_history, RUNS.recorded_before, values, times)
    assert used(plan, {"job_attempts_pkey"}), plan
    conditions = [node.get("Index Cond", "") for node in plan.nodes if node.get("Index Name") == "job_attempts_pkey"]
    assert all("started_at" in condition for condition in conditions), plan


def test_the_table_that_plans_are_made_for_holds_what_is_said_of_it(filled):
    [(total,)] = filled.run(Statement.of(sa.text("select count(*) from jobs.jobs")), {})
    spread = dict(filled.run(Statement.of(sa.text("select status, count(*) from jobs.jobs group by 1")), {}))
    assert total == ROWS
    assert set(spread) == set(JobStatus)
    assert min(spread.values()) >= ROWS // 100
