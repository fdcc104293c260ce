"""The statements that count and read time series.

They read the history and the running jobs, and write a small table of their own, so that no statement that runs a job
does more for them. One instance counts at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from jobs.adapters.postgres.connection.driver.encoding import Statement
from jobs.adapters.postgres.statements.jobs import prepare
from jobs.core.lifecycle.durations import BOUNDS, TIMED
from jobs.core.lifecycle.figures import Step
from jobs.core.lifecycle.status import FAULTS, AttemptOutcome
from jobs.core.ports.series import ALL_HANDLERS, KEPT_MINUTES

_FAILED = ", ".join(f"'{outcome}'" for outcome in sorted([*FAULTS, AttemptOutcome.LOST]))
_TIMED = ", ".join(f"'{outcome}'" for outcome in sorted(TIMED))
_BOUNDS = ", ".join(map(repr, BOUNDS))
_DURATION = f"width_bucket(extract(epoch from finished_at - started_at)::float8, cast(array[{_BOUNDS}] as float8[]))"
_ORIGIN = "timestamptz '2000-01-01 00:00:00+00'"
_MINUTE, _HOUR = f"date_bin('1 minute', %s, {_ORIGIN})", f"date_bin('1 hour', %s, {_ORIGIN})"
_ALL = f"'{ALL_HANDLERS}'"
_MINUTES_AT_ONCE = 5

# From a minute before the last one counted: it was not over, and the outcomes of the one before may have come late.
_COUNT = f"""
with held as materialized (
  select pg_try_advisory_xact_lock(hashtextextended('{{schema}}.series', 0)) as acquired
), begun as materialized (
  select greatest(
      (select max(at) from {{schema}}.job_series where step = '{Step.MINUTE}' and handler_name = {_ALL})
        - interval '1 minute',
      {_MINUTE % "now()"} - interval '{Step.MINUTE.span.total_seconds():g} seconds') as low
  from held where acquired
), part as materialized (
  select low, least(low + interval '{_MINUTES_AT_ONCE} minutes', now()) as high from begun
), attempts as (
  select a.started_at, a.finished_at, a.outcome, a.attempt, a.scheduled_for, j.handler_name
  from part, {{schema}}.job_attempts a join {{schema}}.jobs j on j.id = a.job_id
  where a.finished_at >= part.low and a.started_at < part.high
), events as (
  select {_MINUTE % "e.started_at"} as at, handler_name, 1 as started, 0 as succeeded, 0 as failed,
    (attempt = 1 and started_at - scheduled_for > cast(:late_after as interval))::int as late, null::int as duration
  from part, (
    select started_at, attempt, scheduled_for, handler_name from attempts where outcome <> 'Skipped'
    union all
    select started_at, attempt, scheduled_for, handler_name from {{schema}}.jobs where status = 'Running'
  ) as e
  where e.started_at >= part.low and e.started_at < part.high
  union all
  select {_MINUTE % "finished_at"}, handler_name, 0, (outcome = 'Succeeded')::int, (outcome in ({_FAILED}))::int, 0,
    case when outcome in ({_TIMED}) then {_DURATION} end
  from part, attempts where finished_at < part.high
  union all
  select minute, {_ALL}, 0, 0, 0, 0, null
  from part, generate_series(part.low, part.high - interval '1 microsecond', interval '1 minute') as minute
), spread as (
  select at, coalesce(handler_name, {_ALL}) as handler_name, duration, sum(started) as started,
    sum(succeeded) as succeeded, sum(failed) as failed, sum(late) as late, count(duration) as attempts
  from (
    select at, handler_name, started, succeeded, failed, late, duration from events where handler_name <> {_ALL}
    union all
    select at, null, started, succeeded, failed, late, duration from events
  ) as each group by at, handler_name, duration
), counted as (
  insert into {{schema}}.job_series (step, at, handler_name, started, succeeded, failed, late, durations)
  select '{Step.MINUTE}', at, handler_name, sum(started), sum(succeeded), sum(failed), sum(late),
    jsonb_object_agg(duration, attempts) filter (where duration is not null)
  from spread group by at, handler_name
  on conflict (step, handler_name, at) do update set started = excluded.started, succeeded = excluded.succeeded,
    failed = excluded.failed, late = excluded.late, durations = excluded.durations
)
select high, high < now(), low from part
"""

# Counts by bucket, added up: of each bucket by itself, since JSON cannot be summed.
_SUMS = """
sums as (
  select %(by)s, sum(started) as started, sum(succeeded) as succeeded, sum(failed) as failed, sum(late) as late
  from part group by %(by)s
), spread as (
  select %(by)s, jsonb_object_agg(bucket, attempts) as durations from (
    select %(by)s, bucket, sum(cast(attempts as bigint)) as attempts
    from part cross join lateral jsonb_each_text(part.durations) as of_it(bucket, attempts)
    group by %(by)s, bucket) as buckets
  group by %(by)s
)
"""

_ADD_UP = f"""
with gone as (
  delete from {{schema}}.job_series
  where step = '{Step.MINUTE}' and at < now() - interval '{KEPT_MINUTES.total_seconds():g} seconds'
    or step = '{Step.HOUR}' and at < now() - interval '{Step.HOUR.span.total_seconds() + 3600:g} seconds'
)
, part as materialized (
  select {_HOUR % "at"} as at, handler_name, started, succeeded, failed, late, durations from {{schema}}.job_series
  where step = '{Step.MINUTE}' and at >= {_HOUR % "cast(:low as timestamptz)"}
), {_SUMS % {"by": "at, handler_name"}}
insert into {{schema}}.job_series as known (step, at, handler_name, started, succeeded, failed, late, durations)
select '{Step.HOUR}', at, handler_name, started, succeeded, failed, late, durations
from sums left join spread using (at, handler_name)
on conflict (step, handler_name, at) do update set started = greatest(known.started, excluded.started),
  succeeded = greatest(known.succeeded, excluded.succeeded), failed = greatest(known.failed, excluded.failed),
  late = greatest(known.late, excluded.late),
  durations = case when excluded.succeeded + excluded.failed < known.succeeded + known.failed then known.durations
    else excluded.durations end
"""

_LAST_COUNTED = f"""
select max(at) from {{schema}}.job_series where step = '{Step.MINUTE}' and handler_name = {_ALL}
"""

_FIND = """
select at, handler_name, started, succeeded, failed, late, cast(durations as text) from {schema}.job_series
where step = cast(:step as text) and handler_name = any(cast(:handler_names as text[]))
  and at > now() - cast(:span as interval)
order by at, handler_name
"""


_TOTALS = f"""
with part as materialized (
  select handler_name, started, succeeded, failed, late, durations from {{schema}}.job_series
  where step = '{Step.HOUR}' and handler_name = any(cast(:handler_names as text[]))
    and at > now() - cast(:window as interval)
), {_SUMS % {"by": "handler_name"}}
select handler_name, started::bigint, succeeded::bigint, failed::bigint, late::bigint, cast(durations as text)
from sums left join spread using (handler_name) order by handler_name collate "C"
"""


@dataclass(frozen=True, slots=True)
class SeriesStatements:
    """The statements, for one schema."""

    count: Statement
    add_up: Statement
    find: Statement
    last_counted: Statement
    totals: Statement


@lru_cache(maxsize=8)
def series_statements(schema: str) -> SeriesStatements:
    """Prepare the statements for ``schema``."""
    return SeriesStatements(
        count=prepare(_COUNT, schema),
        add_up=prepare(_ADD_UP, schema),
        find=prepare(_FIND, schema),
        last_counted=prepare(_LAST_COUNTED, schema),
        totals=prepare(_TOTALS, schema),
    )
