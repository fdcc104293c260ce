"""The statement that changes a job, prepared for the columns that it sets."""

from __future__ import annotations

from functools import lru_cache

from jobs.adapters.postgres.connection.driver.encoding import Statement
from jobs.adapters.postgres.statements.jobs import JOB_COLUMNS, prepare

_CASTS = {
    "status": "cast(:status as text)",
    "schedule": "cast(:schedule as text)",
    "timezone": "cast(:timezone as text)",
    "options": "cast(:options as jsonb)",
    "recurring": "cast(:recurring as boolean)",
    "payload": "cast(:payload as jsonb)",
    "metadata": "cast(:metadata as jsonb)",
    "paused": "cast(:paused as boolean)",
    "next_run_at": "cast(:next_run_at as timestamptz)",
    "scheduled_for": "cast(:scheduled_for as timestamptz)",
    "attempt": "cast(:attempt as integer)",
    "payload_version": "cast(:payload_version as integer)",
    "limited": "cast(:limited as boolean)",
    "concurrency_key": "cast(:concurrency_key as text)",
    "max_retries": "cast(:max_retries as integer)",
    "retry": "cast(:retry as jsonb)",
    "timeout": "cast(:timeout as interval)",
    "run_count": "cast(:run_count as bigint)",
    "lost_count": "cast(:lost_count as integer)",
    "cancel_requested_at": "cast(:cancel_requested_at as timestamptz)",
    "handled_at": "cast(:handled_at as timestamptz)",
    "anchor": "cast(:anchor as timestamptz)",
}


_CHANGE = (
    """
with changed as (
  update {schema}.jobs j set %s, revision = revision + 1, updated_at = now()
  where j.id = cast(:id as uuid) and j.revision = cast(:revision as bigint)
  returning j.*
), noted as (
  insert into {schema}.job_audit (job_id, actor, action, revision, reason, before, operation)
  select id, cast(:actor as text), cast(:action as text), revision, cast(:reason as text), cast(:before as jsonb),
    cast(:operation as uuid)
  from changed
)
select """
    + JOB_COLUMNS
    + " from changed j"
)


@lru_cache(maxsize=64)
def change_statement(
    schema: str, columns: tuple[str, ...], now_columns: tuple[str, ...], *, new_generation: bool
) -> Statement:
    """Prepare a change of ``columns``; ``now_columns`` get the database's time. The change is written to the audit."""
    sets = [f"{name} = {_CASTS[name]}" for name in columns]
    sets += [f"{name} = now()" for name in now_columns if name in _CASTS]
    if new_generation:
        sets += ["generation = generation + 1", "armed_at = null"]
    return prepare(_CHANGE % ", ".join(sets), schema)
