"""What a week of use asked for: tracebacks, parents, suspects, attempts found by their time, rows that can be read.

Every column may be null or has a constant default, so no row is rewritten but those that could not be read, and a
release that knows only 0002 goes on working: it writes nothing that is refused now.

Revision: 0003
"""

from alembic import context, op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_FIRST, _END = "'0001-01-01 00:00:00+00'", "'10000-01-01 00:00:00+00'"
_JOB_INSTANTS = (
    "next_run_at", "scheduled_for", "anchor", "armed_at", "lease_expires_at", "started_at", "last_run_at",
    "handled_at", "cancel_requested_at", "created_at", "updated_at",
)  # fmt: skip
_ATTEMPT_INSTANTS = ("scheduled_for", "started_at", "finished_at")
_TIMEOUT = "timeout IS NULL OR timeout > '0'::interval AND timeout <= '366 days'::interval"
_PROGRESS = "progress IS NULL OR progress >= 0 AND progress <= 1"
_OUTCOMES = (
    "'Succeeded', 'Failed', 'TimedOut', 'InvalidPayload', 'Discarded', 'Cancelled', 'Snoozed', 'Skipped', "
    "'UnknownHandler', 'Released', 'Lost'"
)
_OPTIONS = "options IS NULL OR jsonb_typeof(options) = 'object'"


def _can_be_read(instants: tuple[str, ...]) -> str:
    listed = ", ".join(instants)
    return f"LEAST({listed}) >= {_FIRST} AND GREATEST({listed}) < {_END}"


def _brought_within(table: str, instants: tuple[str, ...]) -> str:
    """Move instants that could not be read, which somebody has written by hand, to the next that can."""
    sets = ", ".join(
        f"{each} = CASE WHEN {each} < {_FIRST} THEN {_FIRST} WHEN {each} >= {_END} THEN {_END}::timestamptz "
        f"- interval '1 second' ELSE {each} END"
        for each in instants
    )
    return f"UPDATE {{schema}}.{table} SET {sets} WHERE NOT ({_can_be_read(instants)})"


_STATE_IS_WHOLE = """CASE NEW.status
        WHEN 'Scheduled' THEN NEW.handled_at IS NULL AND NEW.next_run_at IS NOT NULL
            AND NEW.lease_token IS NULL AND NEW.lease_expires_at IS NULL
        WHEN 'Running' THEN NEW.handled_at IS NULL AND NEW.next_run_at IS NOT NULL
            AND NEW.lease_token IS NOT NULL AND NEW.lease_expires_at IS NOT NULL
        WHEN 'Completed' THEN NEW.handled_at IS NOT NULL AND NEW.next_run_at IS NULL
            AND NEW.lease_token IS NULL AND NEW.lease_expires_at IS NULL
        WHEN 'Failed' THEN NEW.handled_at IS NOT NULL AND NEW.next_run_at IS NULL
            AND NEW.lease_token IS NULL AND NEW.lease_expires_at IS NULL
        WHEN 'Cancelled' THEN NEW.handled_at IS NOT NULL AND NEW.next_run_at IS NULL
            AND NEW.lease_token IS NULL AND NEW.lease_expires_at IS NULL
        ELSE false END"""

# A trigger takes the place of the checks of 0001: PostgreSQL plans a check's expression for each statement anew.
_CHECK_JOB = f"""
    CREATE FUNCTION {{schema}}.check_job() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
      broken text;
    BEGIN
      broken := CASE
        WHEN NOT ({_STATE_IS_WHOLE}) THEN 'jobs_state_is_whole'
        WHEN NOT (NEW.attempt >= 0 AND NEW.max_retries >= 0 AND NEW.generation > 0) THEN 'jobs_counts_are_sane'
        WHEN NOT ({_can_be_read(tuple(f"NEW.{each}" for each in _JOB_INSTANTS))}) THEN 'jobs_instants_can_be_read'
        WHEN NOT (NEW.timeout > '0' AND NEW.timeout <= '366 days' AND NEW.progress >= 0 AND NEW.progress <= 1
            AND jsonb_typeof(NEW.options) = 'object') THEN 'jobs_values_can_be_read'
      END;
      IF broken IS NOT NULL THEN
        RAISE EXCEPTION 'new row for relation "jobs" violates check constraint "%"', broken USING
          ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = broken,
          DETAIL = format('Job %s: %s.', NEW.id, CASE broken
            WHEN 'jobs_state_is_whole'
              THEN 'status, next_run_at, handled_at, lease_token and lease_expires_at contradict each other'
            WHEN 'jobs_counts_are_sane'
              THEN 'attempt and max_retries must not be negative, and generation must be positive'
            WHEN 'jobs_instants_can_be_read' THEN 'every instant must lie in the years 1 to 9999'
            WHEN 'jobs_values_can_be_read'
              THEN 'timeout must be positive and at most 366 days, progress between 0 and 1, and options an object'
          END);
      END IF;
      RETURN NULL;
    END
    $$
    """

_UP = (
    "ALTER TABLE {schema}.job_attempts ADD COLUMN traceback TEXT",
    "ALTER TABLE {schema}.jobs ADD COLUMN parent_id UUID",
    """
    CREATE INDEX jobs_by_parent ON {schema}.jobs (parent_id, created_at DESC, id DESC) WHERE parent_id IS NOT NULL
    """,
    "ALTER TABLE {schema}.jobs ADD COLUMN alone BOOLEAN DEFAULT false NOT NULL",
    """
    CREATE INDEX jobs_suspects ON {schema}.jobs (next_run_at, id)
    WHERE status = 'Scheduled' AND NOT paused AND lost_count >= 2
    """,
    # The newest of a job's attempts, and the oldest, at once, however many there are. While the index is built, and
    # with millions of attempts that takes a minute, they can be read and not written.
    "CREATE UNIQUE INDEX job_attempts_by_time ON {schema}.job_attempts (job_id, started_at, token)",
    """
    ALTER TABLE {schema}.job_attempts DROP CONSTRAINT job_attempts_pkey,
        ADD CONSTRAINT job_attempts_pkey PRIMARY KEY USING INDEX job_attempts_by_time
    """,
    _brought_within("jobs", _JOB_INSTANTS),
    _brought_within("job_attempts", _ATTEMPT_INSTANTS),
    f"""
    UPDATE {{schema}}.jobs SET
        timeout = CASE WHEN {_TIMEOUT} THEN timeout END, progress = CASE WHEN {_PROGRESS} THEN progress END,
        options = CASE WHEN {_OPTIONS} THEN options END
    WHERE NOT (({_TIMEOUT}) AND ({_PROGRESS}) AND ({_OPTIONS}))
    """,
    """
    ALTER TABLE {schema}.jobs DROP CONSTRAINT jobs_state_is_whole, DROP CONSTRAINT jobs_counts_are_sane
    """,
    _CHECK_JOB,
    """
    CREATE CONSTRAINT TRIGGER jobs_are_valid AFTER INSERT OR UPDATE ON {schema}.jobs
    FOR EACH ROW EXECUTE FUNCTION {schema}.check_job()
    """,
    f"""
    UPDATE {{schema}}.job_attempts SET outcome = 'Failed',
        error = 'its outcome was written by hand as ' || quote_literal(outcome) || coalesce('. ' || error, '')
    WHERE outcome NOT IN ({_OUTCOMES})
    """,
    f"""
    ALTER TABLE {{schema}}.job_attempts
        ADD CONSTRAINT job_attempts_instants_can_be_read CHECK ({_can_be_read(_ATTEMPT_INSTANTS)}),
        ADD CONSTRAINT job_attempts_outcome_is_known CHECK (outcome IN ({_OUTCOMES}))
    """,
)

_DOWN = (
    """
    ALTER TABLE {schema}.job_attempts DROP CONSTRAINT job_attempts_outcome_is_known,
        DROP CONSTRAINT job_attempts_instants_can_be_read
    """,
    "DROP TRIGGER jobs_are_valid ON {schema}.jobs",
    "DROP FUNCTION {schema}.check_job()",
    f"""
    ALTER TABLE {{schema}}.jobs
        ADD CONSTRAINT jobs_state_is_whole CHECK ({_STATE_IS_WHOLE.replace("NEW.", "")}),
        ADD CONSTRAINT jobs_counts_are_sane CHECK (attempt >= 0 AND max_retries >= 0 AND generation > 0)
    """,
    """
    ALTER TABLE {schema}.job_attempts DROP CONSTRAINT job_attempts_pkey,
        ADD CONSTRAINT job_attempts_pkey PRIMARY KEY (job_id, token)
    """,
    "DROP INDEX {schema}.jobs_suspects",
    "ALTER TABLE {schema}.jobs DROP COLUMN alone",
    "DROP INDEX {schema}.jobs_by_parent",
    "ALTER TABLE {schema}.jobs DROP COLUMN parent_id",
    "ALTER TABLE {schema}.job_attempts DROP COLUMN traceback",
)


def upgrade() -> None:
    """Add the columns, indexes and constraints."""
    _execute(_UP)


def downgrade() -> None:
    """Drop them, with what was kept in them."""
    _execute(_DOWN)


def _execute(statements: tuple[str, ...]) -> None:
    schema = context.config.attributes["quoted_schema"]
    for statement in statements:
        op.execute(statement.replace("{schema}", schema).replace(":", "\\:"))
