"""What handlers may ask for: limits, progress, results, versions of their arguments, retry settings of a job, locks.

Every column has a constant default, so no row is rewritten, and a release that knows only 0001 goes on working.

Revision: 0002
"""

from alembic import context, op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_UP = (
    """
    ALTER TABLE {schema}.jobs
        ADD COLUMN retry JSONB,
        ADD COLUMN payload_version INTEGER DEFAULT 1 NOT NULL,
        ADD COLUMN limited BOOLEAN DEFAULT false NOT NULL,
        ADD COLUMN concurrency_key TEXT,
        ADD COLUMN progress DOUBLE PRECISION,
        ADD COLUMN progress_message TEXT,
        ADD COLUMN result JSONB
    """,
    "ALTER TABLE {schema}.job_attempts ADD COLUMN result JSONB",
    "DROP INDEX {schema}.jobs_due",
    """
    CREATE INDEX jobs_due ON {schema}.jobs (next_run_at, id)
    WHERE status = 'Scheduled' AND NOT paused AND NOT limited
    """,
    """
    CREATE INDEX jobs_due_limited ON {schema}.jobs (handler_name, next_run_at, id)
    WHERE status = 'Scheduled' AND NOT paused AND limited
    """,
    """
    CREATE INDEX jobs_running_limited ON {schema}.jobs (handler_name, concurrency_key)
    WHERE status = 'Running' AND limited
    """,
    """
    CREATE TABLE {schema}.locks (
        resource TEXT NOT NULL,
        token UUID NOT NULL,
        holder TEXT,
        acquired_at TIMESTAMPTZ NOT NULL,
        expires_at TIMESTAMPTZ NOT NULL,
        PRIMARY KEY (resource)
    )
    """,
    "CREATE INDEX locks_expiry ON {schema}.locks (expires_at)",
    """
    CREATE TABLE {schema}.limit_starts (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        handler_name TEXT NOT NULL,
        started_at TIMESTAMPTZ NOT NULL,
        attempts INTEGER NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX limit_starts_by_handler ON {schema}.limit_starts (handler_name, started_at)",
)

_DOWN = (
    "DROP TABLE {schema}.limit_starts",
    "DROP TABLE {schema}.locks",
    "DROP INDEX {schema}.jobs_running_limited",
    "DROP INDEX {schema}.jobs_due_limited",
    "DROP INDEX {schema}.jobs_due",
    "CREATE INDEX jobs_due ON {schema}.jobs (next_run_at, id) WHERE status = 'Scheduled' AND NOT paused",
    "ALTER TABLE {schema}.job_attempts DROP COLUMN result",
    """
    ALTER TABLE {schema}.jobs
        DROP COLUMN retry, DROP COLUMN payload_version, DROP COLUMN limited, DROP COLUMN concurrency_key,
        DROP COLUMN progress, DROP COLUMN progress_message, DROP COLUMN result
    """,
)


def upgrade() -> None:
    """Add the columns, indexes and tables."""
    _execute(_UP)


def downgrade() -> None:
    """Drop them, with the results, the progress and the limits that were kept in them."""
    _execute(_DOWN)


def _execute(statements: tuple[str, ...]) -> None:
    schema = context.config.attributes["quoted_schema"]
    for statement in statements:
        op.execute(statement.replace("{schema}", schema).replace(":", "\\:"))
