"""Statements about suspects: runs that lost their workers several times in a row (``jobs.core.lifecycle.suspects``)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from jobs.adapters.postgres.connection.driver.encoding import Statement
from jobs.adapters.postgres.statements.jobs import prepare
from jobs.adapters.postgres.statements.runs import CLAIMED
from jobs.core.lifecycle.suspects import SUSPECT_AFTER

CONVICTED = f"lost_count + 1 >= cast(:max_lost as integer) and (alone or lost_count < {SUSPECT_AFTER})"

LOSS = "'the worker ' || coalesce(worker, '(unknown)') || ' was lost: its lease expired at ' || lease_expires_at"

CONVICTION = (
    "'; it was lost ' || lost_count + 1 || ' times in a row' || case when alone then ', at last while nothing else "
    "started beside it' else '' end || ', so this run is taken to be what ends its workers'"
)

_DUE = f"""
select id, generation from {{schema}}.jobs
where status = 'Scheduled' and not paused and lost_count >= {SUSPECT_AFTER} and next_run_at <= (select now())
order by next_run_at, id limit :limit
"""

# The revision stays, so that a concurrent change with If-Match does not fail.
_END_ALONE = """
update {schema}.jobs set alone = false where id = :id and lease_token = :token and status = 'Running' returning 1
"""

# The app computes the next occurrence and records it like any outcome. If the process dies between the two, only the
# run's lease has changed.
_CLAIM_CONVICTED = (
    f"""
with convicted as materialized (
  select id, {LOSS} || {CONVICTION} as error from {{schema}}.jobs
  where status = 'Running' and lease_expires_at < now() and recurring and cancel_requested_at is null and {CONVICTED}
  order by lease_expires_at limit :limit for update skip locked
)
update {{schema}}.jobs j set lease_token = gen_random_uuid(), lease_expires_at = now() + cast(:lease as interval)
from convicted where j.id = convicted.id
returning convicted.error, """
    + CLAIMED
)


@dataclass(frozen=True, slots=True)
class SuspectStatements:
    """The statements, for one schema."""

    due: Statement
    end_alone: Statement
    claim_convicted: Statement


@lru_cache(maxsize=8)
def suspect_statements(schema: str) -> SuspectStatements:
    """Prepare the statements for ``schema``."""
    return SuspectStatements(
        due=prepare(_DUE, schema),
        end_alone=prepare(_END_ALONE, schema),
        claim_convicted=prepare(_CLAIM_CONVICTED, schema),
    )
