"""What a dashboard shows: failures by cause, the workers and the versions of the app that there are, durations.

Every column may be null, so no row is rewritten, and a release that knows only 0004 goes on working. Failures, workers
and durations from before are not known.

Revision: 0005
"""

from alembic import context, op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_UP = (
    "ALTER TABLE {schema}.jobs ADD COLUMN failure TEXT",
    """
    CREATE INDEX jobs_by_failure ON {schema}.jobs (failure, created_at DESC, id DESC) INCLUDE (status)
    WHERE failure IS NOT NULL
    """,
    "ALTER TABLE {schema}.job_attempts ADD COLUMN failure TEXT, ADD COLUMN handler_name TEXT",
    """
    CREATE INDEX job_attempts_by_failure ON {schema}.job_attempts (failure, handler_name, finished_at)
    WHERE failure IS NOT NULL
    """,
    # Else what was inserted since the last vacuum is read whole by whoever asks for the newest attempts.
    "ALTER INDEX {schema}.job_attempts_finished SET (autosummarize = on)",
    "ALTER TABLE {schema}.job_series ADD COLUMN durations JSONB",
    """
    CREATE TABLE {schema}.job_workers (
        name TEXT NOT NULL,
        app_version TEXT NOT NULL,
        started_at TIMESTAMP WITH TIME ZONE NOT NULL,
        seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
        lease INTERVAL NOT NULL,
        concurrency INTEGER NOT NULL,
        running INTEGER NOT NULL,
        abandoned INTEGER NOT NULL,
        draining BOOLEAN NOT NULL,
        scheduler TEXT NOT NULL,
        scheduler_fault TEXT,
        PRIMARY KEY (name)
    )
    """,
    """
    CREATE TABLE {schema}.app_versions (
        version TEXT NOT NULL,
        first_seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
        handlers JSONB NOT NULL,
        PRIMARY KEY (version)
    )
    """,
)

_DOWN = (
    "DROP TABLE {schema}.app_versions",
    "DROP TABLE {schema}.job_workers",
    "ALTER TABLE {schema}.job_series DROP COLUMN durations",
    "ALTER INDEX {schema}.job_attempts_finished RESET (autosummarize)",
    "DROP INDEX {schema}.job_attempts_by_failure",
    "ALTER TABLE {schema}.job_attempts DROP COLUMN handler_name, DROP COLUMN failure",
    "DROP INDEX {schema}.jobs_by_failure",
    "ALTER TABLE {schema}.jobs DROP COLUMN failure",
)


def upgrade() -> None:
    """Add the columns, the indexes and the tables."""
    _execute(_UP)


def downgrade() -> None:
    """Drop them, with what was kept in them."""
    _execute(_DOWN)


def _execute(statements: tuple[str, ...]) -> None:
    schema = context.config.attributes["quoted_schema"]
    for statement in statements:
        op.execute(statement.replace("{schema}", schema).replace(":", "\\:"))
