"""What a week of use asked for: failed attempts keep their traceback.

Every column may be null or has a constant default, so no row is rewritten, and a release that knows only 0002 goes on
working.

Revision: 0003
"""

from alembic import context, op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_UP = ("ALTER TABLE {schema}.job_attempts ADD COLUMN traceback TEXT",)

_DOWN = ("ALTER TABLE {schema}.job_attempts DROP COLUMN traceback",)


def upgrade() -> None:
    """Add the columns."""
    _execute(_UP)


def downgrade() -> None:
    """Drop them, with what was kept in them."""
    _execute(_DOWN)


def _execute(statements: tuple[str, ...]) -> None:
    schema = context.config.attributes["quoted_schema"]
    for statement in statements:
        op.execute(statement.replace("{schema}", schema).replace(":", "\\:"))
