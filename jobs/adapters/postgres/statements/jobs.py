"""The statements that insert, read and change jobs. Those for runs are in ``runs``.

``{schema}`` is replaced once by the quoted schema; values are always parameters. The casts are needed because the same
text also runs on a caller's own connection, whose driver may send every value as text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import sqlalchemy as sa

from jobs.adapters.postgres.connection.driver.encoding import Statement
from jobs.core.errors import ConfigurationError
from jobs.core.ports.jobs import RETRY

_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")

JOB_FIELDS = (
    "id", "handler_name", "job_name", "schedule", "timezone", "options", "recurring", "status", "paused", "next_run_at",
    "scheduled_for", "anchor", "generation", "armed_at", "attempt", "max_retries", "started_at", "lease_expires_at",
    "worker", "run_count", "consecutive_failures", "last_run_at", "last_error", "handled_at", "cancel_requested_at",
    "revision", "created_by", "trace_parent", "created_at", "updated_at", "retry", "payload_version", "progress",
    "progress_message", "result", "limited", "concurrency_key", "parent_id", "lost_count", "failure",
)  # fmt: skip

JOB_COLUMNS = (
    "cast(json_build_object("
    + ", ".join(f"'{name}', j.{name}" for name in JOB_FIELDS)
    + ", 'timeout', extract(epoch from j.timeout)) as text), cast(j.payload as text), cast(j.metadata as text)"
)
"""A job as three texts. Payload and metadata are separate, so that an unreadable one does not break the rest."""

LISTED_COLUMNS = JOB_COLUMNS.replace("cast(j.payload as text)", "cast(null as text)")
"""The same without the payload, which is then not read at all: PostgreSQL stores large ones out of line."""

_INSERT_INTO = """
insert into {schema}.jobs (
  id, handler_name, job_name, schedule, timezone, options, recurring, payload, metadata, status,
  next_run_at, scheduled_for, anchor, max_retries, timeout, created_by, trace_parent, payload_version, retry,
  limited, concurrency_key, parent_id)
"""

_NEW_ROW = """
  cast(:id as uuid), cast(:handler_name as text), cast(:job_name as text), cast(:schedule as text),
  cast(:timezone as text), cast(:options as jsonb), cast(:recurring as boolean), cast(:payload as jsonb),
  cast(:metadata as jsonb), 'Scheduled', coalesce(cast(:due_at as timestamptz), now()),
  coalesce(cast(:scheduled_for as timestamptz), now()), coalesce(cast(:anchor as timestamptz), now()),
  cast(:max_retries as integer), make_interval(secs => cast(:timeout_seconds as double precision)),
  cast(:created_by as text), cast(:trace_parent as text), cast(:payload_version as integer), cast(:retry as jsonb),
  cast(:limited as boolean), cast(:concurrency_key as text), cast(:parent_id as uuid)
"""

_INSERT = _INSERT_INTO + "values (" + _NEW_ROW + ") on conflict do nothing returning created_at"

# Both rows or neither: the new row is inserted only if the old one was cancelled. If the id is taken after all, the
# insert fails and rolls the cancellation back, which `on conflict do nothing` would not. If the holder has changed,
# nothing is written.
_REPLACE = (
    """
with ended as (
  update {schema}.jobs j set status = 'Cancelled', handled_at = now(), next_run_at = null,
    generation = generation + 1, armed_at = null, revision = revision + 1, updated_at = now()
  where j.id = cast(:holder_id as uuid) and j.revision = cast(:holder_revision as bigint) and j.status = 'Scheduled'
    and j.job_name = cast(:job_name as text) and not exists (select from {schema}.jobs where id = cast(:id as uuid))
  returning j.id, j.revision
), noted as (
  insert into {schema}.job_audit (job_id, actor, action, revision)
  select id, cast(:actor as text), 'replace', revision from ended
)
"""
    + _INSERT_INTO
    + "select "
    + _NEW_ROW
    + " from ended returning created_at"
)

# The fields that jobs of a batch share are sent once, as a shape; most batches have one. Texts are joined by a control
# character, which JSON text never contains: the server splits them faster than it parses an array or a document.
_INSERT_MANY = """
with shape as (
  select * from json_to_recordset(cast(:shapes as json)) as s(
    shape integer, handler_name text, schedule text, timezone text, options jsonb, recurring boolean,
    due_at timestamptz, scheduled_for timestamptz, anchor timestamptz, max_retries integer,
    timeout_seconds double precision, created_by text, trace_parent text, payload_version integer, retry jsonb,
    limited boolean, concurrency_key text, parent_id uuid)
), inserted as (
  insert into {schema}.jobs (
    id, handler_name, job_name, schedule, timezone, options, recurring, payload, metadata, status,
    next_run_at, scheduled_for, anchor, max_retries, timeout, created_by, trace_parent, payload_version, retry,
    limited, concurrency_key, parent_id)
  select
    cast(r.id as uuid), s.handler_name, r.job_name, s.schedule, s.timezone, s.options, s.recurring,
    cast(r.payload as jsonb), cast(r.metadata as jsonb), 'Scheduled',
    coalesce(s.due_at, now()), coalesce(s.scheduled_for, now()), coalesce(s.anchor, now()), s.max_retries,
    make_interval(secs => s.timeout_seconds), s.created_by, s.trace_parent, s.payload_version, s.retry,
    s.limited, s.concurrency_key, s.parent_id
  from unnest(
      string_to_array(:ids, chr(31)), cast(:job_names as text[]), string_to_array(:payloads, chr(31)),
      string_to_array(:metadatas, chr(31)), cast(string_to_array(:shape_of, chr(31)) as integer[])
    ) with ordinality as r(id, job_name, payload, metadata, shape, place)
  join shape s on s.shape = r.shape
  -- By name, so that two batches with the same names wait for each other in one order. Of equal names the first wins.
  order by r.job_name collate "C", r.place
  on conflict do nothing
  returning id
)
select now(), count(*), case when count(*) < cast(:expected as bigint) then string_agg(cast(id as text), ',') end
from inserted
"""

_JUST_INSERTED = """
select id, created_at, job_name from {schema}.jobs
where id = any(cast(:ids as uuid[])) and created_at > now() - interval '5 minutes'
"""

_GET = "select " + JOB_COLUMNS + " from {schema}.jobs j where j.id = cast(:id as uuid)"

_ACTIVE_HOLDER = (
    "select "
    + JOB_COLUMNS
    + " from {schema}.jobs j where j.job_name = :job_name and j.status in ('Scheduled', 'Running')"
)

_ATTEMPTS = """
select run, attempt, scheduled_for, started_at, finished_at, outcome, error, worker, trace_id, cast(result as text),
  traceback, (select count(*) from {schema}.job_audit noted
    where noted.job_id = line.job_id and noted.action = '{retry}' and noted.at <= line.started_at),
  token
from {schema}.job_attempts line
where job_id = :id and (cast(:after_token as uuid) is null or (started_at, finished_at, token) <
  (cast(:after_started as timestamptz), cast(:after_finished as timestamptz), cast(:after_token as uuid)))
order by started_at desc, finished_at desc, token desc limit :limit
"""

_MARK_ARMED = """
with armed as (
  select j.id from {schema}.jobs j
  join unnest(cast(:ids as uuid[]), cast(:generations as bigint[])) as a(id, generation)
    on a.id = j.id and a.generation = j.generation
  where j.status = 'Scheduled'
  order by j.id for update of j
)
update {schema}.jobs j set armed_at = now() from armed where j.id = armed.id
"""

_FORGET_ARMED = """
update {schema}.jobs set armed_at = null
where id = :id and generation = :generation and status = 'Scheduled' and armed_at is not null
"""

_WAITING_ALARMS = """
select id, generation, next_run_at from {schema}.jobs
where id = any(cast(:ids as uuid[])) and status = 'Scheduled' and not paused and armed_at is null
"""

_ACTIVE = """
select id from {schema}.jobs where id = any(cast(:ids as uuid[])) and status in ('Scheduled', 'Running')
"""

_HOLD_KEY = """
insert into {schema}.idempotency_keys (key, fingerprint) values (:key, :fingerprint)
on conflict (key) do nothing returning key
"""

_READ_KEY = "select fingerprint, answer from {schema}.idempotency_keys where key = :key"

_KEEP_RESPONSE = "update {schema}.idempotency_keys set answer = :response where key = :key"


@dataclass(frozen=True, slots=True)
class JobStatements:
    """The statements, for one schema."""

    schema: str
    insert: Statement
    insert_many: Statement
    replace: Statement
    just_inserted: Statement
    get: Statement
    active_holder: Statement
    attempts: Statement
    mark_armed: Statement
    forget_armed: Statement
    waiting_alarms: Statement
    active: Statement
    hold_key: Statement
    read_key: Statement
    keep_response: Statement


def quoted(schema: str) -> str:
    """Return the schema's name quoted for a statement.

    Raises ``ConfigurationError`` for a name that would need escaping.
    """
    if not _SCHEMA_NAME.fullmatch(schema):
        raise ConfigurationError(
            f"JOBS_DATABASE_SCHEMA is {schema!r}; use lower-case letters, digits and underscores, 63 at most"
        )
    return f'"{schema}"'


def prepare(sql: str, schema: str) -> Statement:
    """Compile ``sql`` for one schema."""
    return Statement.of(sa.text(sql.replace("{schema}", quoted(schema))))


@lru_cache(maxsize=8)
def job_statements(schema: str) -> JobStatements:
    """Prepare the statements for ``schema``."""
    return JobStatements(
        schema=schema,
        insert=prepare(_INSERT, schema),
        insert_many=prepare(_INSERT_MANY, schema),
        replace=prepare(_REPLACE, schema),
        just_inserted=prepare(_JUST_INSERTED, schema),
        get=prepare(_GET, schema),
        active_holder=prepare(_ACTIVE_HOLDER, schema),
        attempts=prepare(_ATTEMPTS.replace("{retry}", RETRY), schema),
        mark_armed=prepare(_MARK_ARMED, schema),
        forget_armed=prepare(_FORGET_ARMED, schema),
        waiting_alarms=prepare(_WAITING_ALARMS, schema),
        active=prepare(_ACTIVE, schema),
        hold_key=prepare(_HOLD_KEY, schema),
        read_key=prepare(_READ_KEY, schema),
        keep_response=prepare(_KEEP_RESPONSE, schema),
    )
