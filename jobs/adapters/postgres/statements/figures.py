"""The statements that count jobs and attempts. Each is bounded, and ends at a time limit that is set before it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from jobs.adapters.postgres.connection.driver.encoding import Statement
from jobs.adapters.postgres.statements.jobs import prepare

_LIMIT_TIME = "select set_config('statement_timeout', cast(:milliseconds as text), true)"

# Each status by the index that has few other rows, in its order, so that the planner stops at the limit. Completed jobs
# have none, since every job would pay for it: they are counted among the newest jobs.
_COUNTS = """
with newest as materialized (
  select handler_name, status from {schema}.jobs order by created_at desc, id desc limit cast(:examined as integer)
)
select 'Scheduled', handler_name, count(*), count(*) filter (where paused) from (
  select handler_name, paused from {schema}.jobs where status = 'Scheduled'
  order by job_name limit cast(:limit as integer)) as found group by 2
union all
select 'Running', handler_name, count(*), count(*) filter (where paused) from (
  select handler_name, paused from {schema}.jobs where status = 'Running'
  order by id limit cast(:limit as integer)) as found group by 2
union all
select 'Failed', handler_name, count(*), 0 from (
  select handler_name from {schema}.jobs where status = 'Failed'
  order by created_at desc, id desc limit cast(:limit as integer)) as found group by 2
union all
select 'Cancelled', handler_name, count(*), 0 from (
  select handler_name from {schema}.jobs where status = 'Cancelled'
  order by created_at desc, id desc limit cast(:limit as integer)) as found group by 2
union all
select 'Completed', handler_name, count(*), 0 from (
  select handler_name from newest where status = 'Completed' limit cast(:limit as integer)) as found group by 2
union all
select null, null, count(*), 0 from newest
"""

_LATENESS = """
select count(*), coalesce(extract(epoch from now() - min(next_run_at)), 0)::float8,
  count(*) filter (where armed_at is null), count(*) filter (where limited),
  coalesce(extract(epoch from now() - min(next_run_at) filter (where not limited)), 0)::float8
from (
  (select next_run_at, armed_at, limited from {schema}.jobs
  where status = 'Scheduled' and not paused and not limited and next_run_at <= (select now())
  order by next_run_at, id limit cast(:limit as integer))
  union all
  (select next_run_at, armed_at, limited from {schema}.jobs
  where status = 'Scheduled' and not paused and limited and next_run_at <= (select now())
  order by handler_name, next_run_at, id limit cast(:limit as integer))
) as due
"""

_RATES = """
select outcome, count(*), avg(extract(epoch from finished_at - started_at))::float8,
  avg(greatest(extract(epoch from started_at - scheduled_for), 0))::float8
from (
  select outcome, started_at, finished_at, scheduled_for from {schema}.job_attempts
  where finished_at > now() - cast(:window as interval) limit cast(:limit as integer)
) as recent
group by 1 order by 1
"""


@dataclass(frozen=True, slots=True)
class FigureStatements:
    """The statements, for one schema."""

    limit_time: Statement
    counts: Statement
    lateness: Statement
    rates: Statement


@lru_cache(maxsize=8)
def figure_statements(schema: str) -> FigureStatements:
    """Prepare the statements for ``schema``."""
    return FigureStatements(
        limit_time=prepare(_LIMIT_TIME, schema),
        counts=prepare(_COUNTS, schema),
        lateness=prepare(_LATENESS, schema),
        rates=prepare(_RATES, schema),
    )
