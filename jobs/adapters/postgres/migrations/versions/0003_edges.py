"""What a week of use asked for: tracebacks, the parent of a follow-up, suspects, attempts found by their time.

Every column may be null or has a constant default, so no row is rewritten, and a release that knows only 0002 goes on
working.

Revision: 0003
"""

from alembic import context, op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

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
)

_DOWN = (
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
    """Add the columns and indexes."""
    _execute(_UP)


def downgrade() -> None:
    """Drop them, with what was kept in them."""
    _execute(_DOWN)


def _execute(statements: tuple[str, ...]) -> None:
    schema = context.config.attributes["quoted_schema"]
    for statement in statements:
        op.execute(statement.replace("{schema}", schema).replace(":", "\\:"))
