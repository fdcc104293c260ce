"""Statements for repairs after the database's clock ran ahead and was set back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from jobs.adapters.postgres.connection.driver.encoding import Statement
from jobs.adapters.postgres.statements.jobs import prepare

# Rows written while the clock was ahead have times in the future now. Each part reads one end of an index, or the block
# ranges of the newest attempts; of the audit only the last 1,000 rows are read.
_LATEST_RECORD = """
select now(), greatest(
  (select max(created_at) from {schema}.jobs),
  (select max(finished_at) from {schema}.job_attempts where finished_at > now()),
  (select max(at) from (select at from {schema}.job_audit order by id desc limit 1000) as last))
"""

_FIELDS = """
id, generation, schedule, timezone, options, recurring, anchor, scheduled_for, next_run_at, attempt, updated_at, now()
"""

_WAITING_PART = (
    "(select "
    + _FIELDS
    + """
from {schema}.jobs
where status = 'Scheduled' and not paused and %s and next_run_at > now()
  and (next_run_at, id) > (
    coalesce(cast(:after_at as timestamptz), now()),
    coalesce(cast(:after_id as uuid), cast('00000000-0000-0000-0000-000000000000' as uuid)))
order by next_run_at, id limit cast(:limit as integer))
"""
)

# Two parts, since jobs with limits have an index of their own.
_WAITING = (
    _WAITING_PART % "not limited"
    + "union all"
    + _WAITING_PART % "limited"
    + "order by next_run_at, id limit cast(:limit as integer)"
)

_SET_BACK = """
with moved as materialized (
  select * from json_to_recordset(cast(:moves as json)) as r(
    id uuid, generation bigint, due_at timestamptz, scheduled_for timestamptz, anchor timestamptz, attempt integer)
), held as (
  select j.id from {schema}.jobs j join moved m on m.id = j.id and m.generation = j.generation
  where j.status = 'Scheduled' and not j.paused
  order by j.id for update of j skip locked
)
update {schema}.jobs j set
  next_run_at = m.due_at, scheduled_for = m.scheduled_for, anchor = m.anchor, attempt = m.attempt,
  generation = j.generation + 1, armed_at = null, revision = j.revision + 1, updated_at = now()
from moved m join held using (id)
where j.id = m.id
returning j.id, j.generation, j.next_run_at
"""

# A live worker's next heartbeat does the same. A lost worker's lease would not expire before the clock catches up.
_SHORTEN_LEASES = """
update {schema}.jobs set lease_expires_at = now() + cast(:lease as interval)
where id in (
  select id from {schema}.jobs
  where status = 'Running' and lease_expires_at > now() + 2 * cast(:lease as interval)
  order by id for update skip locked)
returning 1
"""


@dataclass(frozen=True, slots=True)
class SetbackStatements:
    """The statements, for one schema."""

    latest_record: Statement
    waiting: Statement
    set_back: Statement
    shorten_leases: Statement


@lru_cache(maxsize=8)
def setback_statements(schema: str) -> SetbackStatements:
    """Prepare the statements for ``schema``."""
    return SetbackStatements(
        latest_record=prepare(_LATEST_RECORD, schema),
        waiting=prepare(_WAITING, schema),
        set_back=prepare(_SET_BACK, schema),
        shorten_leases=prepare(_SHORTEN_LEASES, schema),
    )
