"""Statements for handlers with limits: throttled jobs, claims within limits, limit flags."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from jobs.adapters.postgres.connection.driver.encoding import Statement
from jobs.adapters.postgres.statements.jobs import prepare
from jobs.adapters.postgres.statements.runs import CLAIMED, SET_CLAIMED, claim_alone, claim_without_suspects
from jobs.core.lifecycle.suspects import SUSPECT_AFTER

# Held until the end of the transaction, also through PgBouncer. The next statement sees what the previous holder wrote.
_LOCK_HANDLER = "select pg_advisory_xact_lock(hashtextextended('{schema}.limits.' || cast(:handler_name as text), 0))"

_THROTTLED = """
select handler_name from unnest(cast(:handler_names as text[])) as h(handler_name)
where exists (
  select from {schema}.jobs j
  where j.status = 'Scheduled' and not j.paused and j.limited and j.handler_name = h.handler_name
    and j.next_run_at <= (select now()) and j.lost_count < {suspect_after})
"""

# ``moment`` is read after the handler's lock is acquired; now() is when the transaction began to wait for it. Running
# jobs are counted in the rows: a dead worker's slot is free once its run is reaped, with nothing else to undo.
# Rows of keys without a free slot are skipped before the first few of the others are ranked.
_CLAIM_LIMITED = (
    """
with moment as materialized (select clock_timestamp() as at),
running as materialized (
  select concurrency_key, count(*) as held from {schema}.jobs
  where status = 'Running' and limited and handler_name = :handler_name group by 1
), starts as materialized (
  select coalesce(sum(s.attempts), 0) as made, min(s.started_at) as first
  from moment, {schema}.limit_starts s
  where s.handler_name = :handler_name and s.started_at > moment.at - cast(:period as interval)
), free as materialized (
  select greatest(0, least(
    cast(:limit as bigint),
    cast(:concurrency as bigint) - (select coalesce(sum(held), 0) from running),
    cast(:rate as bigint) - starts.made)) as slots
  from starts
), due as materialized (
  select j.id, j.next_run_at, j.concurrency_key from {schema}.jobs j
  where j.status = 'Scheduled' and not j.paused and j.limited and j.handler_name = :handler_name
    and j.next_run_at <= (select at from moment) {suspects} {named}
    and (cast(:per_key as bigint) is null or j.concurrency_key is null or j.concurrency_key <> all (
      array(select concurrency_key from running where held >= :per_key and concurrency_key is not null)))
  order by j.next_run_at, j.id
  limit (select case when slots = 0 or cast(:per_key as bigint) is null then slots else 10000 end from free)
), ranked as (
  select due.id, due.next_run_at, due.concurrency_key, coalesce(running.held, 0)
    + row_number() over (partition by due.concurrency_key order by due.next_run_at, due.id) as place
  from due left join running on running.concurrency_key = due.concurrency_key
), chosen as materialized (
  select id from ranked
  where cast(:per_key as bigint) is null or concurrency_key is null or place <= :per_key
  order by next_run_at, id limit (select slots from free)
), held as materialized (
  select j.id from {schema}.jobs j
  where j.id = any(array(select id from chosen)) and j.status = 'Scheduled' and not j.paused
  for update skip locked
), noted as (
  insert into {schema}.limit_starts (handler_name, started_at, attempts)
  select :handler_name, moment.at, (select count(*) from held) from moment
  where cast(:rate as bigint) is not null and exists (select from held)
), forgotten as (
  delete from {schema}.limit_starts s using moment
  where s.handler_name = :handler_name and s.started_at <= moment.at - cast(:period as interval)
), taken as (
  update {schema}.jobs j set """
    + SET_CLAIMED.replace("started_at = clock_timestamp()", "started_at = (select at from moment)")
    + """
  where j.id = any(array(select id from held))
  returning """
    + CLAIMED
    + """
)
select
  case when starts.made + (select count(*) from held) >= cast(:rate as bigint) and exists (
      select from {schema}.jobs j
      where j.status = 'Scheduled' and not j.paused and j.limited and j.handler_name = :handler_name
        and j.next_run_at <= moment.at and j.lost_count < {suspect_after} and j.id <> all(array(select id from held)))
    then extract(epoch from coalesce(starts.first, moment.at) + cast(:period as interval) - moment.at)::float8 end,
  taken.*
from moment cross join starts left join taken on true
"""
)

_NAMED = "and j.id = cast(:id as uuid) and j.generation = cast(:generation as bigint)"

_OUTDATED_LIMIT_FLAGS = """
(select id, handler_name, payload, payload_version from {schema}.jobs
where status = 'Scheduled' and not paused and not limited and next_run_at <= now()
  and handler_name = any(cast(:limited as text[])) limit :limit)
union all
(select id, handler_name, payload, payload_version from {schema}.jobs
where status = 'Running' and not limited and handler_name = any(cast(:limited as text[])) limit :limit)
union all
(select id, handler_name, payload, payload_version from {schema}.jobs
where status = 'Scheduled' and not paused and limited and handler_name <> all(cast(:limited as text[]))
  and next_run_at <= now() - case when handler_name = any(cast(:known as text[])) then interval '0'
    else cast(:grace as interval) end limit :limit)
limit :limit
"""

# The revision stays, so that a concurrent change with If-Match does not fail. The alarm of a throttled job has fired.
_SET_LIMIT_FLAGS = """
with flag as (
  select * from unnest(cast(:ids as uuid[]), cast(:limited as boolean[]), cast(:keys as text[]))
    as l(id, limited, concurrency_key)
), held as (
  select j.id from {schema}.jobs j join flag using (id)
  where j.status in ('Scheduled', 'Running') order by j.id for update of j
)
update {schema}.jobs j set limited = flag.limited, concurrency_key = flag.concurrency_key,
  armed_at = case when flag.limited then j.armed_at end
from flag join held using (id) where j.id = flag.id
returning 1
"""


_USAGE = """
with asked as materialized (
  select * from unnest(cast(:handler_names as text[]), cast(:periods as interval[])) as a(handler_name, period)
)
select true, j.handler_name, j.concurrency_key, count(*) from {schema}.jobs j
where j.status = 'Running' and j.limited and j.handler_name = any(cast(:handler_names as text[])) group by 2, 3
union all
select false, s.handler_name, null, sum(s.attempts)::bigint from {schema}.limit_starts s join asked using (handler_name)
where s.started_at > clock_timestamp() - asked.period group by 2
"""


@dataclass(frozen=True, slots=True)
class LimitStatements:
    """The statements, for one schema."""

    lock_handler: Statement
    throttled: Statement
    usage: Statement
    claim_limited: Statement
    claim_named: Statement
    claim_named_alone: Statement
    outdated_limit_flags: Statement
    set_limit_flags: Statement


@lru_cache(maxsize=8)
def limit_statements(schema: str) -> LimitStatements:
    """Prepare the statements for ``schema``."""
    claim = _CLAIM_LIMITED.replace("{suspect_after}", str(SUSPECT_AFTER))
    return LimitStatements(
        lock_handler=prepare(_LOCK_HANDLER, schema),
        throttled=prepare(_THROTTLED.replace("{suspect_after}", str(SUSPECT_AFTER)), schema),
        usage=prepare(_USAGE, schema),
        claim_limited=prepare(claim_without_suspects(claim.replace("{named}", "")), schema),
        claim_named=prepare(claim_without_suspects(claim.replace("{named}", _NAMED)), schema),
        claim_named_alone=prepare(claim_alone(claim.replace("{named}", _NAMED)), schema),
        outdated_limit_flags=prepare(_OUTDATED_LIMIT_FLAGS, schema),
        set_limit_flags=prepare(_SET_LIMIT_FLAGS, schema),
    )
