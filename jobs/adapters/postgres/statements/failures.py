"""The statements that group failures by their cause. Each looks at every cause once, and counts up to a bound."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from jobs.adapters.postgres.connection.driver.encoding import Statement
from jobs.adapters.postgres.statements.jobs import prepare

# From one cause to the next in the index, without the failures between, all of which a distinct would read.
_FIND = """
with recursive causes as (
  (select failure, handler_name from {schema}.job_attempts where failure is not null
  order by failure, handler_name limit 1)
  union all
  select following.failure, following.handler_name from causes
  cross join lateral (
    select a.failure, a.handler_name from {schema}.job_attempts a
    where a.failure is not null and (a.failure, a.handler_name) > (causes.failure, causes.handler_name)
    order by a.failure, a.handler_name limit 1) as following
), known as materialized (
  select failure, handler_name from causes limit cast(:causes as integer)
), met as materialized (
  select known.failure, known.handler_name, latest.finished_at
  from known cross join lateral (
    select a.finished_at from {schema}.job_attempts a
    where a.failure = known.failure and a.handler_name = known.handler_name
    order by a.finished_at desc limit 1) as latest
  where latest.finished_at > now() - cast(:window as interval)
    and (cast(:handler_names as text[]) is null or known.handler_name = any(cast(:handler_names as text[])))
), groups as materialized (
  select failure, max(finished_at) as last_at, array_agg(handler_name) as handlers,
    (array_agg(handler_name order by finished_at desc, handler_name collate "C"))[1] as last_handler
  from met group by failure order by 2 desc, 1 limit cast(:limit as integer) + 1
)
select g.failure, least(counted.attempts, cast(:bound as bigint)), first_seen.at, g.last_at,
  cast(array_to_json(g.handlers) as text), failed.jobs, sample.job_id, g.last_handler, sample.outcome, sample.error,
  (select count(*) from known)
from groups g
cross join lateral (
  select sum(each.attempts) as attempts from unnest(g.handlers) as handler(name)
  cross join lateral (
    select count(*) as attempts from (
      select from {schema}.job_attempts a
      where a.failure = g.failure and a.handler_name = handler.name
        and a.finished_at > now() - cast(:window as interval)
      limit cast(:bound as bigint)) as found) as each) as counted
cross join lateral (
  select min(earliest.finished_at) as at from unnest(g.handlers) as handler(name)
  cross join lateral (
    select a.finished_at from {schema}.job_attempts a
    where a.failure = g.failure and a.handler_name = handler.name
      and a.finished_at > now() - cast(:window as interval)
    order by a.finished_at limit 1) as earliest) as first_seen
cross join lateral (
  select a.job_id, a.outcome, a.error from {schema}.job_attempts a
  where a.failure = g.failure and a.handler_name = g.last_handler and a.finished_at = g.last_at
  order by a.job_id desc, a.token desc limit 1) as sample
cross join lateral (
  select count(*) as jobs from (
    select from {schema}.jobs j
    where j.failure = g.failure and j.status = 'Failed' {handlers}
    limit cast(:bound as bigint)) as found) as failed
order by g.last_at desc, g.failure
"""

_OF_HANDLERS = "and j.handler_name = any(cast(:handler_names as text[]))"


@dataclass(frozen=True, slots=True)
class FailureStatements:
    """The statements, for one schema. ``find_of`` counts jobs of certain handlers only."""

    find: Statement
    find_of: Statement


@lru_cache(maxsize=8)
def failure_statements(schema: str) -> FailureStatements:
    """Prepare the statements for ``schema``."""
    return FailureStatements(
        find=prepare(_FIND.replace("{handlers}", ""), schema),
        find_of=prepare(_FIND.replace("{handlers}", _OF_HANDLERS), schema),
    )
