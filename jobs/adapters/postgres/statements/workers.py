"""The statements about workers and the versions of the app."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from jobs.adapters.postgres.connection.driver.encoding import Statement
from jobs.adapters.postgres.statements.jobs import prepare
from jobs.core.lifecycle.figures import COUNT_TO
from jobs.core.ports.workers import KEPT_VERSIONS, MOST_WORKERS

_REPORT = """
with noted as (
  insert into {schema}.app_versions as known (version, first_seen_at, handlers)
  select cast(:app_version as text), now(), cast(:handlers as jsonb) where cast(:handlers as text) is not null
  on conflict (version) do update set handlers = excluded.handlers where known.handlers <> excluded.handlers
)
insert into {schema}.job_workers as known (
  name, app_version, started_at, seen_at, lease, concurrency, running, abandoned, draining, scheduler, scheduler_fault)
values (cast(:name as text), cast(:app_version as text), now(), now(), cast(:lease as interval),
  cast(:concurrency as integer), cast(:running as integer), cast(:abandoned as integer), cast(:draining as boolean),
  cast(:scheduler as text), cast(:scheduler_fault as text))
on conflict (name) do update set
  app_version = excluded.app_version, seen_at = excluded.seen_at, lease = excluded.lease,
  concurrency = excluded.concurrency, running = excluded.running, abandoned = excluded.abandoned,
  draining = excluded.draining, scheduler = excluded.scheduler, scheduler_fault = excluded.scheduler_fault
"""

_LEAVE = "delete from {schema}.job_workers where name = cast(:name as text)"

_LOST = "w.seen_at < now() - 2 * w.lease"

_FIND = f"""
with held as materialized (
  select worker, handler_name, count(*) as leases, min(started_at) as oldest from (
    select worker, handler_name, started_at from {{schema}}.jobs where status = 'Running'
    order by id limit {COUNT_TO}) as running
  group by worker, handler_name
), held_by as (
  select worker, cast(sum(leases) as bigint) as leases, min(oldest) as oldest,
    json_object_agg(handler_name, leases) as handlers
  from held group by worker
)
select w.name, w.app_version, cast(extract(epoch from w.lease) as float8), w.concurrency, w.running, w.abandoned,
  w.draining, w.scheduler, w.scheduler_fault, w.started_at, w.seen_at, {_LOST}, coalesce(h.leases, 0), h.oldest,
  cast(h.handlers as text)
from {{schema}}.job_workers w left join held_by h on h.worker = w.name
order by {_LOST}, w.name collate "C" limit cast(:limit as integer)
"""

_VERSIONS = f"""
select v.version, v.first_seen_at, cast(v.handlers as text),
  (select count(*) from {{schema}}.job_workers w where w.app_version = v.version and not {_LOST})
from {{schema}}.app_versions v order by v.first_seen_at desc, v.version collate "C" desc
limit {KEPT_VERSIONS + MOST_WORKERS}
"""

_PRUNE = f"""
with gone as (
  delete from {{schema}}.job_workers where seen_at < now() - cast(:lost_for as interval) returning 1
), forgotten as (
  delete from {{schema}}.app_versions v where v.version in (
    select version from {{schema}}.app_versions
    order by first_seen_at desc, version collate "C" desc offset {KEPT_VERSIONS})
    and not exists (select from {{schema}}.job_workers w where w.app_version = v.version)
)
select count(*) from gone
"""


@dataclass(frozen=True, slots=True)
class WorkerStatements:
    """The statements, for one schema."""

    report: Statement
    leave: Statement
    find: Statement
    versions: Statement
    prune: Statement


@lru_cache(maxsize=8)
def worker_statements(schema: str) -> WorkerStatements:
    """Prepare the statements for ``schema``."""
    return WorkerStatements(
        report=prepare(_REPORT, schema),
        leave=prepare(_LEAVE, schema),
        find=prepare(_FIND, schema),
        versions=prepare(_VERSIONS, schema),
        prune=prepare(_PRUNE, schema),
    )
