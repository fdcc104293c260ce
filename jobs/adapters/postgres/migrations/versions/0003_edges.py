"""What a week of use asked for: failed attempts keep their traceback, and follow-ups know their parent.

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
)

_DOWN = (
    "DROP INDEX {schema}.jobs_by_parent",
    "ALTER TABLE {schema}.jobs DROP COLUMN parent_id",
    "ALTER TABLE {schema}.job_attempts DROP COLUMN traceback",
)


def upgrade() -> None:
    """Add the columns and the index."""
    _execute(_UP)


def downgrade() -> None:
    """Drop them, with what was kept in them."""
    _execute(_DOWN)


def _execute(statements: tuple[str, ...]) -> None:
    schema = context.config.attributes["quoted_schema"]
    for statement in statements:
        op.execute(statement.replace("{schema}", schema).replace(":", "\\:"))
