"""The statements for runs: claims, heartbeats, outcomes.

Each is a single statement. Batches lock rows in id order or skip locked ones, so that no two can deadlock. Only the
database's clock decides which jobs are due and which leases have expired.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from jobs.adapters.postgres.connection.driver.encoding import Statement
from jobs.adapters.postgres.statements.jobs import prepare
from jobs.core.lifecycle.suspects import SUSPECT_AFTER

# last_run_at is capped at now(): the previous run cannot be in the future, but the clock may have been set back since.
SET_CLAIMED = """
  status = 'Running', alone = {alone}, attempt = attempt + 1, lease_token = gen_random_uuid(),
  lease_expires_at = now() + cast(:lease as interval), started_at = clock_timestamp(), worker = :worker,
  last_run_at = case when last_run_at > now() then now() else last_run_at end, progress = null, progress_message = null,
  revision = revision + 1, updated_at = now()
"""

CLAIMED = """
  j.id, j.lease_token, j.generation, j.handler_name, j.job_name, j.payload, j.metadata, j.attempt, j.max_retries,
  j.run_count + 1, j.scheduled_for, j.next_run_at, j.started_at, j.anchor, extract(epoch from j.timeout)::float8,
  j.recurring, j.schedule, j.timezone, j.options, j.trace_parent, j.payload_version, j.retry, j.lost_count
"""

_CLAIM = (
    "update {schema}.jobs j set "
    + SET_CLAIMED
    + """
where j.id = :id and j.generation = :generation and j.status = 'Scheduled' and not j.paused and j.next_run_at <= now()
  and not j.limited {suspects} {limited}
returning """
    + CLAIMED
)

# The sub-select around now() keeps the planner from using a histogram that is older than the backlog. So it scans
# jobs_due in order and stops at the limit; with a low estimate it would fetch and sort every due row.
_CLAIM_DUE = (
    """
with due as materialized (
  select id from {schema}.jobs
  where status = 'Scheduled' and not paused and not limited and next_run_at <= (select now()) {suspects} {limited}
  order by next_run_at, id limit :limit for update skip locked
)
update {schema}.jobs j set """
    + SET_CLAIMED
    + """
where j.id = any(array(select id from due))
returning """
    + CLAIMED
)

# Added only if this release has handlers with limits.
_EXCEPT_LIMITED = "and handler_name <> all(cast(:limited as text[]))"

_DUE_IN = """
select extract(epoch from next_run_at - clock_timestamp())::float8 from {schema}.jobs
where id = :id and generation = :generation and status = 'Scheduled'
"""

# Suspects are claimed only by name, to run alone. There are few, so no index excludes them.
NO_SUSPECTS = f"and lost_count < {SUSPECT_AFTER}"

# Ids and JSON are cast to text because the statement also runs in a unit of work, whose driver would convert them.
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

# The revision stays, so that a concurrent change with If-Match does not fail. A locked row is skipped.
_PROGRESS = """
update {schema}.jobs set progress = :fraction, progress_message = :message
where id = (
  select id from {schema}.jobs where id = :id and lease_token = :token and status = 'Running' for update skip locked
)
returning 1
"""

# An attempt's times come from the worker's clock, but cannot be before its claim by the database's. A requested
# cancellation changes Scheduled to Cancelled within the statement that ends the attempt.
_RECORD = """
with o as materialized (
  select * from json_to_recordset(cast(:outcomes as json)) as r(
    id uuid, token uuid, generation bigint, status text, due_at timestamptz, next_for timestamptz, next_attempt integer,
    tally text, run_ended boolean, last_error text, attempt integer, scheduled_for timestamptz,
    started_at timestamptz, finished_at timestamptz, outcome text, error text, trace_id text, result jsonb,
    traceback text, lost_count integer, failure text)
), written as (
  update {schema}.jobs j set
    status = case when o.status = 'Scheduled' and j.cancel_requested_at is not null then 'Cancelled' else o.status end,
    handled_at = case when o.status = 'Scheduled' and j.cancel_requested_at is null then null else now() end,
    next_run_at = case when o.status = 'Scheduled' and j.cancel_requested_at is null then o.due_at end,
    scheduled_for = coalesce(o.next_for, j.scheduled_for),
    generation = j.generation + (o.status = 'Scheduled')::int, armed_at = null,
    attempt = o.next_attempt, lost_count = coalesce(o.lost_count, 0),
    lease_token = null, lease_expires_at = null,
    run_count = j.run_count + o.run_ended::int,
    consecutive_failures = case o.tally
      when 'reset' then 0 when 'increment' then j.consecutive_failures + 1 else j.consecutive_failures end,
    last_run_at = j.started_at, last_error = o.last_error,
    failure = case when o.last_error is not null then o.failure end,
    result = case o.outcome when 'Succeeded' then o.result else j.result end,
    revision = j.revision + 1, updated_at = now()
  from o
  where j.id = o.id and j.lease_token = o.token and j.generation = o.generation and j.status = 'Running'
  returning o.token, j.status, j.generation, j.next_run_at, j.worker, j.run_count, j.scheduled_for, j.handler_name,
    greatest(o.started_at, j.started_at) as began
), kept as (
  insert into {schema}.job_attempts (
    job_id, token, run, attempt, scheduled_for, started_at, finished_at, outcome, error, worker, trace_id,
    result, traceback, failure, handler_name)
  select o.id, o.token, w.run_count + (not o.run_ended)::int, o.attempt, coalesce(o.scheduled_for, w.scheduled_for),
    w.began, greatest(o.finished_at, w.began), o.outcome, o.error, w.worker, o.trace_id, o.result, o.traceback,
    o.failure, case when o.failure is not null then w.handler_name end
  from o join written w using (token)
)
select token, status, generation, next_run_at from written
"""

# A job whose handler is missing is tried every few seconds, perhaps for days: the last such line stands for all.
_REPLACED = """
), replaced as (
  delete from {schema}.job_attempts a using o join written w using (token)
  where o.outcome = 'UnknownHandler' and a.job_id = o.id and a.outcome = o.outcome
    and a.run = w.run_count + (not o.run_ended)::int and a.error is not distinct from o.error
    and (a.started_at, a.token) = (
      select latest.started_at, latest.token from {schema}.job_attempts latest where latest.job_id = o.id
      order by latest.started_at desc, latest.finished_at desc, latest.token desc limit 1)
)
select token, status"""

_RECORDED_BEFORE = """
select a.token, j.status, j.generation, j.next_run_at
from unnest(cast(:ids as uuid[]), cast(:tokens as uuid[]), cast(:since as timestamptz[])) as l(id, token, since)
join {schema}.job_attempts a
  on a.job_id = l.id and a.started_at >= l.since and a.token = l.token and a.outcome <> 'Lost'
join {schema}.jobs j on j.id = l.id
"""

_AWAIT_WRITER = "select 1 from {schema}.jobs where id = :id for share"


@dataclass(frozen=True, slots=True)
class RunStatements:
    """The statements, for one schema."""

    claim: Statement
    claim_except: Statement
    claim_alone: Statement
    claim_alone_except: Statement
    claim_due: Statement
    claim_due_except: Statement
    due_in: Statement
    reread: Statement
    extend: Statement
    held: Statement
    progress: Statement
    record: Statement
    record_missing: Statement
    recorded_before: Statement
    await_writer: Statement


def claim_without_suspects(claim: str, limited: str = "") -> str:
    """Return the SQL of a claim that skips suspects."""
    return claim.replace("{suspects}", NO_SUSPECTS).replace("{alone}", "false").replace("{limited}", limited)


def claim_alone(claim: str, limited: str = "") -> str:
    """Return the SQL of a claim that includes suspects, for a run that starts alone in its process."""
    return claim.replace("{suspects}", "").replace("{alone}", "true").replace("{limited}", limited)


@lru_cache(maxsize=8)
def run_statements(schema: str) -> RunStatements:
    """Prepare the statements for ``schema``."""
    return RunStatements(
        claim=prepare(claim_without_suspects(_CLAIM), schema),
        claim_except=prepare(claim_without_suspects(_CLAIM, _EXCEPT_LIMITED), schema),
        claim_alone=prepare(claim_alone(_CLAIM), schema),
        claim_alone_except=prepare(claim_alone(_CLAIM, _EXCEPT_LIMITED), schema),
        claim_due=prepare(claim_without_suspects(_CLAIM_DUE), schema),
        claim_due_except=prepare(claim_without_suspects(_CLAIM_DUE, _EXCEPT_LIMITED), schema),
        due_in=prepare(_DUE_IN, schema),
        reread=prepare(_REREAD, schema),
        extend=prepare(_EXTEND, schema),
        held=prepare(_HELD, schema),
        progress=prepare(_PROGRESS, schema),
        record=prepare(_RECORD, schema),
        record_missing=prepare(_RECORD.replace("\n)\nselect token, status", _REPLACED), schema),
        recorded_before=prepare(_RECORDED_BEFORE, schema),
        await_writer=prepare(_AWAIT_WRITER, schema),
    )
