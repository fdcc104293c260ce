"""Statements for the reconciler and operators: reaping, arming, pruning, measuring and counting.

Each is a single statement. Batches skip locked rows, so that no two can deadlock. Only the database's clock decides
which leases have expired and which jobs are late.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from jobs.adapters.postgres.connection.driver.encoding import Statement
from jobs.adapters.postgres.statements.jobs import prepare
from jobs.adapters.postgres.statements.suspects import CONVICTED, CONVICTION, LOSS
from jobs.core.lifecycle.failures import LOST_WORKER
from jobs.core.lifecycle.status import FAULTS
from jobs.core.lifecycle.suspects import LONGEST_WAIT_SECONDS, SPREAD_MILLISECONDS, SUSPECT_AFTER

# A lost worker is not the job's fault: the attempt does not count, and the run is due again soon, with the runs of one
# worker spread over time. A one-time job that is the cause is failed; recurring ones have a statement of their own.
_REAP = f"""
with lost as materialized (
  select id, handler_name, lease_token, run_count + 1 as run, attempt, scheduled_for, started_at, worker, lost_count,
    lease_expires_at, case when cancel_requested_at is not null then 'Cancelled'
      when {CONVICTED} then 'Failed' else 'Scheduled' end as next_status,
    {LOSS} || case when cancel_requested_at is null and {CONVICTED} then {CONVICTION} else '' end as error
  from {{schema}}.jobs
  where status = 'Running' and lease_expires_at < now()
    and not (recurring and cancel_requested_at is null and {CONVICTED})
  order by lease_expires_at limit :limit for update skip locked
), placed as (
  select *, row_number() over (partition by worker order by lease_expires_at, id) - 1 as place,
    count(*) over (partition by worker) as lost_together
  from lost
), taken as (
  update {{schema}}.jobs j set
    status = l.next_status,
    handled_at = case when l.next_status = 'Scheduled' then null else now() end,
    next_run_at = case when l.next_status = 'Scheduled' then
      now() + interval '1 millisecond' * case when l.lost_count < {SUSPECT_AFTER}
        then {SPREAD_MILLISECONDS} * l.place / l.lost_together
        else least(10 * power(2, least(l.lost_count - {SUSPECT_AFTER}, 20)), {LONGEST_WAIT_SECONDS}) * 1000 end end,
    generation = j.generation + 1, armed_at = null,
    attempt = greatest(j.attempt - 1, 0), lost_count = j.lost_count + 1, alone = false,
    run_count = j.run_count + (l.next_status = 'Failed')::int,
    consecutive_failures = j.consecutive_failures + (l.next_status = 'Failed')::int,
    lease_token = null, lease_expires_at = null,
    last_error = l.error, failure = '{LOST_WORKER.fingerprint}', last_run_at = l.started_at,
    revision = j.revision + 1, updated_at = now()
  from placed l where j.id = l.id
  returning j.id, j.status, j.generation, j.next_run_at
), kept as (
  insert into {{schema}}.job_attempts (
    job_id, token, run, attempt, scheduled_for, started_at, finished_at, outcome, error, worker,
    failure, handler_name)
  select id, lease_token, run, attempt, scheduled_for, started_at, greatest(now(), started_at), 'Lost', error, worker,
    '{LOST_WORKER.fingerprint}', handler_name
  from lost
)
select id, generation, next_run_at from taken
"""

# After the last alarm of the previous page, so that an alarm that cannot be set is not returned again.
_AFTER = """(next_run_at, id) > (
    coalesce(cast(:after_due as timestamptz), '-infinity'),
    coalesce(cast(:after_id as uuid), '00000000-0000-0000-0000-000000000000'))"""

# Jobs with limits have an index of their own. Few of them are unarmed, so scanning them is cheap.
_UNARMED = """
(select id, generation, next_run_at from {schema}.jobs
where status = 'Scheduled' and not paused and not limited and armed_at is null
  and next_run_at <= now() + cast(:within as interval) and {after}
order by next_run_at, id limit :limit)
union all
(select id, generation, next_run_at from {schema}.jobs
where status = 'Scheduled' and not paused and limited and armed_at is null
  and next_run_at <= now() + cast(:within as interval) and {after}
order by next_run_at, id limit :limit)
order by next_run_at, id limit :limit
"""

# A job with limits may be late because it is throttled, so its alarm is not lost.
_OVERDUE = """
select id, generation, next_run_at from {schema}.jobs
where status = 'Scheduled' and not paused and not limited and next_run_at <= now() - cast(:grace as interval)
  and {after}
order by next_run_at, id limit :limit
"""

# A job ends after its creation, so the index on created_at, read from its old end, finds the candidates.
# A job with a long history stays until that is pruned, so that no statement deletes more than a page of history.
_PRUNE = """
with old as (
  select id from {schema}.jobs
  where handled_at < now() - cast(:retention as interval) and created_at < now() - cast(:retention as interval)
    and not exists (
      select from {schema}.job_attempts a where a.job_id = jobs.id
      order by a.started_at desc offset cast(:keep as integer) limit 1)
  order by created_at, id limit :limit for update skip locked
), gone as (
  delete from {schema}.jobs j using old where j.id = old.id returning j.id
), attempts_gone as (
  delete from {schema}.job_attempts a using gone where a.job_id = gone.id
), audit_gone as (
  delete from {schema}.job_audit a using gone where a.job_id = gone.id
), operations_gone as (
  delete from {schema}.job_operations o using gone where o.id = gone.id
)
select count(*) from gone
"""

# Jobs in order of creation, since only old jobs have old history. For each, both ends of its history are looked up in
# the primary key, so the amount between them does not matter. One reconciler at a time: two would delete the same rows
# and wait for each other.
_PRUNE_HISTORY = """
with lock as materialized (
  select pg_try_advisory_xact_lock(hashtextextended('{schema}.history', 0)) as acquired
), page as materialized (
  select id, created_at from {schema}.jobs
  where (select acquired from lock) and created_at < now() - cast(:retention as interval)
    and (created_at, id) > (
      coalesce(cast(:created_at as timestamptz), '-infinity'),
      coalesce(cast(:id as uuid), '00000000-0000-0000-0000-000000000000'))
  order by created_at, id limit :jobs
), old_attempts as materialized (
  select a.place from page
  cross join lateral (
    select k.started_at from {schema}.job_attempts k where k.job_id = page.id
    order by k.started_at desc offset cast(:keep as integer) - 1 limit 1
  ) as kept
  cross join lateral (
    select o.ctid as place from {schema}.job_attempts o
    where o.job_id = page.id and o.started_at < kept.started_at
      and o.started_at < now() - cast(:retention as interval)
      and o.finished_at < now() - cast(:retention as interval)
    order by o.started_at limit :rows
  ) as a
  limit :rows
), old_audit as materialized (
  select a.id from page
  cross join lateral (
    select o.id from {schema}.job_audit o
    where o.job_id = page.id and o.at < now() - cast(:retention as interval)
    order by o.at limit :rows
  ) as a
  limit :rows
), attempts_gone as (
  delete from {schema}.job_attempts where ctid = any(array(select place from old_attempts)) returning 1
), audit_gone as (
  delete from {schema}.job_audit where id = any(array(select id from old_audit)) returning 1
)
select (select count(*) from attempts_gone), (select count(*) from audit_gone), (select count(*) from page),
  (select created_at from page order by created_at desc, id desc limit 1),
  (select id from page order by created_at desc, id desc limit 1)
"""

# Most jobs have a short history, so the planner would read the whole of a long one and sort it, for each page anew.
_IN_INDEX_ORDER = "select set_config('enable_bitmapscan', 'off', true)"

_PRUNE_KEYS = """
delete from {schema}.idempotency_keys where key in (
  select key from {schema}.idempotency_keys where created_at < now() - cast(:retention as interval)
  limit :limit for update skip locked)
returning 1
"""

_PRUNE_LOCKS = """
delete from {schema}.locks where resource in (
  select resource from {schema}.locks where expires_at < now() - cast(:retention as interval)
  order by expires_at limit :limit for update skip locked)
returning 1
"""

_LONGEST_WAIT = """
select count(*), coalesce(extract(epoch from now() - min(next_run_at)), 0)::float8
from (
  select next_run_at from {schema}.jobs
  where status = 'Scheduled' and not paused and not limited and next_run_at <= (select now())
  order by next_run_at, id limit cast(:limit as integer)
) as due
"""

_RECENT_FAILURES = f"""
select count(*) filter (where outcome in ({", ".join(f"'{outcome}'" for outcome in sorted(FAULTS))})),
  count(*) filter (where outcome = 'Lost')
from {{schema}}.job_attempts where finished_at > now() - cast(:window as interval)
"""

# Checks that the table exists; that writes are allowed, which FOR UPDATE requires even without rows; and that the disk
# has room, by a temporary file of some 200 KB that is deleted with the statement.
_PING = """
select
  (select count(*) from (select 1 from {schema}.jobs limit 1) as one),
  (select count(*) from (select 1 from {schema}.jobs where false for update) as none),
  (select count(*) from (select set_config('work_mem', '64kB', true) as v offset 0) as small
   cross join lateral generate_series(1, 5000 + 0 * length(small.v)))
"""


@dataclass(frozen=True, slots=True)
class HousekeepingStatements:
    """The statements, for one schema."""

    reap: Statement
    unarmed: Statement
    overdue: Statement
    prune: Statement
    prune_history: Statement
    in_index_order: Statement
    prune_keys: Statement
    prune_locks: Statement
    longest_wait: Statement
    recent_failures: Statement
    ping: Statement


@lru_cache(maxsize=8)
def housekeeping_statements(schema: str) -> HousekeepingStatements:
    """Prepare the statements for ``schema``."""
    return HousekeepingStatements(
        reap=prepare(_REAP, schema),
        unarmed=prepare(_UNARMED.replace("{after}", _AFTER), schema),
        overdue=prepare(_OVERDUE.replace("{after}", _AFTER), schema),
        prune=prepare(_PRUNE, schema),
        prune_history=prepare(_PRUNE_HISTORY, schema),
        in_index_order=prepare(_IN_INDEX_ORDER, schema),
        prune_keys=prepare(_PRUNE_KEYS, schema),
        prune_locks=prepare(_PRUNE_LOCKS, schema),
        longest_wait=prepare(_LONGEST_WAIT, schema),
        recent_failures=prepare(_RECENT_FAILURES, schema),
        ping=prepare(_PING, schema),
    )
