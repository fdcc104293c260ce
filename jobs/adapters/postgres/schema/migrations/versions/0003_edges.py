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
    f"""
    ALTER TABLE {{schema}}.jobs
        ADD CONSTRAINT jobs_instants_can_be_read CHECK ({_can_be_read(_JOB_INSTANTS)}),
        ADD CONSTRAINT jobs_values_can_be_read CHECK (({_TIMEOUT}) AND ({_PROGRESS}) AND ({_OPTIONS}))
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
    """
    ALTER TABLE {schema}.jobs DROP CONSTRAINT jobs_values_can_be_read, DROP CONSTRAINT jobs_instants_can_be_read
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
