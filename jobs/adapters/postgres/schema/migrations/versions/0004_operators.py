"""What operators asked for: why a job was changed and what it was before, figures that stay cheap, time series.

Every column may be null, so no row is rewritten, and a release that knows only 0003 goes on working.

Revision: 0004
"""

from alembic import context, op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_UP = (
    "ALTER TABLE {schema}.job_audit ADD COLUMN reason TEXT, ADD COLUMN before JSONB, ADD COLUMN operation UUID",
    """
    CREATE INDEX job_audit_by_operation ON {schema}.job_audit (operation, job_id) WHERE operation IS NOT NULL
    """,
    """
    CREATE TABLE {schema}.job_operations (
        id UUID NOT NULL,
        unchanged BIGINT NOT NULL,
        refused BIGINT NOT NULL,
        cursor TEXT,
        finished BOOLEAN NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX job_audit_newest ON {schema}.job_audit (at DESC, job_id DESC, revision DESC)",
    """
    CREATE INDEX jobs_newest_cancelled ON {schema}.jobs (created_at DESC, id DESC) WHERE status = 'Cancelled'
    """,
    """
    CREATE TABLE {schema}.job_series (
        step TEXT NOT NULL,
        handler_name TEXT NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        started BIGINT NOT NULL,
        succeeded BIGINT NOT NULL,
        failed BIGINT NOT NULL,
        late BIGINT NOT NULL,
        CONSTRAINT job_series_pkey PRIMARY KEY (step, handler_name, at)
    )
    """,
)

_DOWN = (
    "DROP TABLE {schema}.job_series",
    "DROP INDEX {schema}.jobs_newest_cancelled",
    "DROP TABLE {schema}.job_operations",
    "DROP INDEX {schema}.job_audit_newest",
    "DROP INDEX {schema}.job_audit_by_operation",
    "ALTER TABLE {schema}.job_audit DROP COLUMN operation, DROP COLUMN before, DROP COLUMN reason",
)


def upgrade() -> None:
    """Add the columns, the indexes and the table."""
    _execute(_UP)


def downgrade() -> None:
    """Drop them, with what was kept in them."""
    _execute(_DOWN)


def _execute(statements: tuple[str, ...]) -> None:
    schema = context.config.attributes["quoted_schema"]
    for statement in statements:
        op.execute(statement.replace("{schema}", schema).replace(":", "\\:"))
