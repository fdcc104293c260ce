"""Every statement about runs: claim, heartbeat, outcome; and what the reconciler reaps, arms, sweeps, prunes, measures.

Each is a single statement. Batches lock rows in id order or pass over locked ones, so that no two can deadlock.
Only the database's clock decides what is due and which lease has expired.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from jobs.adapters.postgres.encoding import Statement
from jobs.adapters.postgres.statements import prepare
from jobs.core.status import FAULTS

TAKE = """
  status = 'Running', attempt = attempt + 1, lease_token = gen_random_uuid(),
  lease_expires_at = now() + cast(:lease as interval), started_at = clock_timestamp(), worker = :worker,
  progress = null, progress_message = null, revision = revision + 1, updated_at = now()
"""

CLAIMED = """
  j.id, j.lease_token, j.generation, j.handler_name, j.job_name, j.payload, j.metadata, j.attempt, j.max_retries,
  j.run_count + 1, j.scheduled_for, j.next_run_at, j.anchor, extract(epoch from j.timeout)::float8, j.recurring,
  j.schedule, j.timezone, j.options, j.trace_parent, j.payload_version, j.retry
"""

_CLAIM = (
    "update {schema}.jobs j set "
    + TAKE
    + """
where j.id = :id and j.generation = :generation and j.status = 'Scheduled' and not j.paused and j.next_run_at <= now()
  and not j.limited {apart}
returning """
    + CLAIMED
)

# The sub-select around now() keeps the planner from trusting a histogram that is older than the backlog: it then walks
# jobs_due in order and stops at the limit, where a low estimate would have it fetch and sort every due row.
_CLAIM_DUE = (
    """
with due as materialized (
  select id from {schema}.jobs
  where status = 'Scheduled' and not paused and not limited and next_run_at <= (select now()) {apart}
  order by next_run_at, id limit :limit for update skip locked
)
update {schema}.jobs j set """
    + TAKE
    + """
where j.id = any(array(select id from due))
returning """
    + CLAIMED
)

# Only where this release has handlers with limits: the others' statements stay as they are.
_APART = "and handler_name <> all(cast(:apart as text[]))"

# Ids and JSON as text: the same statement runs in a unit of work, whose driver would make objects of them.
_REREAD = (
    "select "
    + re.sub(r"j\.(id|lease_token|payload|metadata|options|retry)\b", r"cast(j.\1 as text)", CLAIMED)
    + """
from {schema}.jobs j
where j.id = cast(:id as uuid) and j.lease_token = cast(:token as uuid) and j.status = 'Running'
"""
)

_EXTEND = """
with held as (
  select j.id from {schema}.jobs j
  join unnest(cast(:ids as uuid[]), cast(:tokens as uuid[])) as l(id, token) on l.id = j.id and l.token = j.lease_token
  where j.status = 'Running'
  order by j.id for update of j skip locked
)
update {schema}.jobs j set lease_expires_at = now() + cast(:lease as interval)
from held where j.id = held.id
returning j.lease_token, j.cancel_requested_at is not null
"""

_HELD = """
select j.lease_token, j.cancel_requested_at is not null from {schema}.jobs j
join unnest(cast(:ids as uuid[]), cast(:tokens as uuid[])) as l(id, token) on l.id = j.id and l.token = j.lease_token
where j.status = 'Running'
"""

# Not a new revision: what somebody read to change it still stands.
_PROGRESS = """
update {schema}.jobs set progress = :fraction, progress_message = :message
where id = :id and lease_token = :token and status = 'Running' returning 1
"""

# A requested cancellation turns whatever would have gone on into Cancelled, within the statement that ends the attempt.
_RECORD = """
with o as materialized (
  select * from json_to_recordset(cast(:outcomes as json)) as r(
    id uuid, token uuid, generation bigint, status text, due_at timestamptz, next_for timestamptz, next_attempt integer,
    tally text, run_ended boolean, last_error text, attempt integer, scheduled_for timestamptz,
    started_at timestamptz, finished_at timestamptz, outcome text, error text, trace_id text, result jsonb)
), written as (
  update {schema}.jobs j set
    status = case when o.status = 'Scheduled' and j.cancel_requested_at is not null then 'Cancelled' else o.status end,
    handled_at = case when o.status = 'Scheduled' and j.cancel_requested_at is null then null else now() end,
    next_run_at = case when o.status = 'Scheduled' and j.cancel_requested_at is null then o.due_at end,
    scheduled_for = coalesce(o.next_for, j.scheduled_for),
    generation = j.generation + (o.status = 'Scheduled')::int, armed_at = null,
    attempt = o.next_attempt, lost_count = 0,
    lease_token = null, lease_expires_at = null,
    run_count = j.run_count + o.run_ended::int,
    consecutive_failures = case o.tally
      when 'reset' then 0 when 'increment' then j.consecutive_failures + 1 else j.consecutive_failures end,
    last_run_at = o.started_at, last_error = o.last_error,
    result = case o.outcome when 'Succeeded' then o.result else j.result end,
    revision = j.revision + 1, updated_at = now()
  from o
  where j.id = o.id and j.lease_token = o.token and j.generation = o.generation and j.status = 'Running'
  returning o.token, j.status, j.generation, j.next_run_at, j.worker, j.run_count, j.scheduled_for
), kept as (
  insert into {schema}.job_attempts (
    job_id, token, run, attempt, scheduled_for, started_at, finished_at, outcome, error, worker, trace_id,
    result)
  select o.id, o.token, w.run_count + (not o.run_ended)::int, o.attempt, coalesce(o.scheduled_for, w.scheduled_for),
    o.started_at, o.finished_at, o.outcome, o.error, w.worker, o.trace_id, o.result
  from o join written w using (token)
)
select token, status, generation, next_run_at from written
"""

_RECORDED_BEFORE = """
select a.token, j.status, j.generation, j.next_run_at
from unnest(cast(:ids as uuid[]), cast(:tokens as uuid[])) as l(id, token)
join {schema}.job_attempts a on a.job_id = l.id and a.token = l.token and a.outcome <> 'Lost'
join {schema}.jobs j on j.id = l.id
"""

_AWAIT_WRITER = "select 1 from {schema}.jobs where id = :id for share"

# A lost worker is not the job's fault: no attempt is counted, and the run is due again at once, then ever later while
# it goes on losing its workers. A one-time job that has lost too many in a row is what kills them, and is failed.
_REAP = """
with lost as materialized (
  select id, lease_token, run_count + 1 as run, attempt, scheduled_for, started_at, worker, lost_count,
    case when cancel_requested_at is not null then 'Cancelled'
      when not recurring and lost_count + 1 >= cast(:max_lost as integer) then 'Failed'
      else 'Scheduled' end as next_status,
    'the worker ' || coalesce(worker, '(unknown)') || ' was lost: its lease expired at ' || lease_expires_at as error
  from {schema}.jobs
  where status = 'Running' and lease_expires_at < now()
  order by lease_expires_at limit :limit for update skip locked
), taken as (
  update {schema}.jobs j set
    status = l.next_status,
    handled_at = case when l.next_status = 'Scheduled' then null else now() end,
    next_run_at = case when l.next_status = 'Scheduled' then
      now() + make_interval(secs =>
        case l.lost_count when 0 then 0 else least(5 * power(2, l.lost_count), 600) end) end,
    generation = j.generation + 1, armed_at = null,
    attempt = greatest(j.attempt - 1, 0), lost_count = j.lost_count + 1,
    lease_token = null, lease_expires_at = null,
    last_error = l.error, last_run_at = l.started_at, revision = j.revision + 1, updated_at = now()
  from lost l where j.id = l.id
  returning j.id, j.status, j.generation, j.next_run_at
), kept as (
  insert into {schema}.job_attempts (
    job_id, token, run, attempt, scheduled_for, started_at, finished_at, outcome, error, worker)
  select id, lease_token, run, attempt, scheduled_for, started_at, now(), 'Lost', error, worker from lost
)
select id, generation, next_run_at from taken
"""

# Jobs with limits have an index of their own, and are few among the unarmed: all of them are looked through.
_UNARMED = """
(select id, generation, next_run_at from {schema}.jobs
where status = 'Scheduled' and not paused and not limited and armed_at is null
  and next_run_at <= now() + cast(:within as interval)
order by next_run_at, id limit :limit)
union all
(select id, generation, next_run_at from {schema}.jobs
where status = 'Scheduled' and not paused and limited and armed_at is null
  and next_run_at <= now() + cast(:within as interval)
order by next_run_at, id limit :limit)
order by next_run_at, id limit :limit
"""

# A job with limits may be late because it waits for its turn; that is no alarm that was lost.
_OVERDUE = """
select id, generation, next_run_at from {schema}.jobs
where status = 'Scheduled' and not paused and not limited and next_run_at <= now() - cast(:grace as interval)
order by next_run_at, id limit :limit
"""

# A job that ended was created before, so the index on created_at, read from its old end, finds what may go.
_PRUNE = """
with old as (
  select id from {schema}.jobs
  where handled_at < now() - cast(:retention as interval) and created_at < now() - cast(:retention as interval)
  order by created_at, id limit :limit for update skip locked
), gone as (
  delete from {schema}.jobs j using old where j.id = old.id returning j.id
), attempts_gone as (
  delete from {schema}.job_attempts a using gone where a.job_id = gone.id
), audit_gone as (
  delete from {schema}.job_audit a using gone where a.job_id = gone.id
)
select count(*) from gone
"""

_PRUNE_KEYS = """
delete from {schema}.idempotency_keys where key in (
  select key from {schema}.idempotency_keys where created_at < now() - cast(:retention as interval)
  limit :limit for update skip locked)
"""

_PRUNE_LOCKS = """
delete from {schema}.locks where resource in (
  select resource from {schema}.locks where expires_at < now() - cast(:retention as interval)
  order by expires_at limit :limit for update skip locked)
returning 1
"""

_COUNTS = """
select handler_name, status, count(*), count(*) filter (where paused) from {schema}.jobs group by 1, 2 order by 1, 2
"""

_LATENESS = """
select count(*), coalesce(extract(epoch from now() - min(next_run_at)), 0)::float8,
  count(*) filter (where armed_at is null), count(*) filter (where limited)
from {schema}.jobs where status = 'Scheduled' and not paused and next_run_at <= now()
"""

_RATES = """
select outcome, count(*), avg(extract(epoch from finished_at - started_at))::float8,
  avg(greatest(extract(epoch from started_at - scheduled_for), 0))::float8
from {schema}.job_attempts where finished_at > now() - cast(:window as interval) group by 1 order by 1
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

_PING = "select count(*) from (select 1 from {schema}.jobs limit 1) as one"


@dataclass(frozen=True, slots=True)
class RunStatements:
    """The statements, for one schema."""

    claim: Statement
    claim_apart: Statement
    claim_due: Statement
    claim_due_apart: Statement
    reread: Statement
    extend: Statement
    held: Statement
    progress: Statement
    record: Statement
    recorded_before: Statement
    await_writer: Statement
    reap: Statement
    unarmed: Statement
    overdue: Statement
    prune: Statement
    prune_keys: Statement
    prune_locks: Statement
    counts: Statement
    lateness: Statement
    rates: Statement
    longest_wait: Statement
    recent_failures: Statement
    ping: Statement


@lru_cache(maxsize=8)
def run_statements(schema: str) -> RunStatements:
    """Prepare the statements for ``schema``."""
    return RunStatements(
        claim=prepare(_CLAIM.replace("{apart}", ""), schema),
        claim_apart=prepare(_CLAIM.replace("{apart}", _APART), schema),
        claim_due=prepare(_CLAIM_DUE.replace("{apart}", ""), schema),
        claim_due_apart=prepare(_CLAIM_DUE.replace("{apart}", _APART), schema),
        reread=prepare(_REREAD, schema),
        extend=prepare(_EXTEND, schema),
        held=prepare(_HELD, schema),
        progress=prepare(_PROGRESS, schema),
        record=prepare(_RECORD, schema),
        recorded_before=prepare(_RECORDED_BEFORE, schema),
        await_writer=prepare(_AWAIT_WRITER, schema),
        reap=prepare(_REAP, schema),
        unarmed=prepare(_UNARMED, schema),
        overdue=prepare(_OVERDUE, schema),
        prune=prepare(_PRUNE, schema),
        prune_keys=prepare(_PRUNE_KEYS, schema),
        prune_locks=prepare(_PRUNE_LOCKS, schema),
        counts=prepare(_COUNTS, schema),
        lateness=prepare(_LATENESS, schema),
        rates=prepare(_RATES, schema),
        longest_wait=prepare(_LONGEST_WAIT, schema),
        recent_failures=prepare(_RECENT_FAILURES, schema),
        ping=prepare(_PING, schema),
    )
