"""The statements that count and read time series.

They read the history and the running jobs, and write a small table of their own, so that no statement that runs a job
does more for them. One instance counts at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from jobs.adapters.postgres.connection.driver.encoding import Statement
from jobs.adapters.postgres.statements.jobs import prepare
from jobs.core.lifecycle.figures import Step
from jobs.core.lifecycle.status import FAULTS, AttemptOutcome
from jobs.core.ports.series import ALL_HANDLERS, KEPT_MINUTES

_FAILED = ", ".join(f"'{outcome}'" for outcome in sorted([*FAULTS, AttemptOutcome.LOST]))
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
    (attempt = 1 and started_at - scheduled_for > cast(:late_after as interval))::int as late
  from part, (
    select started_at, attempt, scheduled_for, handler_name from attempts where outcome <> 'Skipped'
    union all
    select started_at, attempt, scheduled_for, handler_name from {{schema}}.jobs where status = 'Running'
  ) as e
  where e.started_at >= part.low and e.started_at < part.high
  union all
  select {_MINUTE % "finished_at"}, handler_name, 0, (outcome = 'Succeeded')::int, (outcome in ({_FAILED}))::int, 0
  from part, attempts where finished_at < part.high
  union all
  select minute, {_ALL}, 0, 0, 0, 0
  from part, generate_series(part.low, part.high - interval '1 microsecond', interval '1 minute') as minute
), counted as (
  insert into {{schema}}.job_series (step, at, handler_name, started, succeeded, failed, late)
  select '{Step.MINUTE}', at, coalesce(handler_name, {_ALL}), sum(started), sum(succeeded), sum(failed), sum(late)
  from (
    select at, handler_name, started, succeeded, failed, late from events where handler_name <> {_ALL}
    union all
    select at, null, started, succeeded, failed, late from events
  ) as each group by at, handler_name
  on conflict (step, handler_name, at) do update set started = excluded.started, succeeded = excluded.succeeded,
    failed = excluded.failed, late = excluded.late
)
select high, high < now(), low from part
"""

_ADD_UP = f"""
with gone as (
  delete from {{schema}}.job_series
  where step = '{Step.MINUTE}' and at < now() - interval '{KEPT_MINUTES.total_seconds():g} seconds'
    or step = '{Step.HOUR}' and at < now() - interval '{Step.HOUR.span.total_seconds() + 3600:g} seconds'
)
insert into {{schema}}.job_series as known (step, at, handler_name, started, succeeded, failed, late)
select '{Step.HOUR}', {_HOUR % "at"}, handler_name, sum(started), sum(succeeded), sum(failed), sum(late)
from {{schema}}.job_series
where step = '{Step.MINUTE}' and at >= {_HOUR % "cast(:low as timestamptz)"}
group by 2, handler_name
on conflict (step, handler_name, at) do update set started = greatest(known.started, excluded.started),
  succeeded = greatest(known.succeeded, excluded.succeeded), failed = greatest(known.failed, excluded.failed),
  late = greatest(known.late, excluded.late)
"""

_FIND = """
select at, handler_name, started, succeeded, failed, late from {schema}.job_series
where step = cast(:step as text) and handler_name = any(cast(:handler_names as text[]))
  and at > now() - cast(:span as interval)
order by at, handler_name
"""


@dataclass(frozen=True, slots=True)
class SeriesStatements:
    """The statements, for one schema."""

    count: Statement
    add_up: Statement
    find: Statement


@lru_cache(maxsize=8)
def series_statements(schema: str) -> SeriesStatements:
    """Prepare the statements for ``schema``."""
    return SeriesStatements(count=prepare(_COUNT, schema), add_up=prepare(_ADD_UP, schema), find=prepare(_FIND, schema))
