"""The first schema: jobs, their attempts, who changed them, and idempotency keys.

Revision: 0001
"""

from alembic import context, op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
    CREATE TABLE {schema}.idempotency_keys (
        key TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        answer TEXT,
        created_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        PRIMARY KEY (key)
    )
    """,
    """
    CREATE INDEX idempotency_keys_age ON {schema}.idempotency_keys (created_at)
    """,
    """
    CREATE TABLE {schema}.job_attempts (
        job_id UUID NOT NULL,
        token UUID NOT NULL,
        run BIGINT NOT NULL,
        attempt INTEGER NOT NULL,
        scheduled_for TIMESTAMPTZ,
        started_at TIMESTAMPTZ NOT NULL,
        finished_at TIMESTAMPTZ NOT NULL,
        outcome TEXT NOT NULL,
        error TEXT,
        worker TEXT,
        trace_id TEXT,
        CONSTRAINT job_attempts_pkey PRIMARY KEY (job_id, token)
    )
    """,
    """
    CREATE INDEX job_attempts_finished ON {schema}.job_attempts USING brin (finished_at)
    """,
    """
    CREATE TABLE {schema}.job_audit (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        job_id UUID NOT NULL,
        at TIMESTAMPTZ DEFAULT now() NOT NULL,
        actor TEXT,
        action TEXT NOT NULL,
        revision BIGINT NOT NULL,
        PRIMARY KEY (id)
    )
    """,
    """
    CREATE INDEX job_audit_by_job ON {schema}.job_audit (job_id, at)
    """,
    """
    CREATE TABLE {schema}.jobs (
        id UUID NOT NULL,
        handler_name TEXT NOT NULL,
        job_name TEXT NOT NULL,
        schedule TEXT NOT NULL,
        timezone TEXT NOT NULL,
        options JSONB,
        recurring BOOLEAN NOT NULL,
        payload JSONB NOT NULL,
        metadata JSONB DEFAULT '{}'::jsonb NOT NULL,
        status TEXT NOT NULL,
        paused BOOLEAN DEFAULT false NOT NULL,
        next_run_at TIMESTAMPTZ,
        scheduled_for TIMESTAMPTZ,
        anchor TIMESTAMPTZ NOT NULL,
        generation BIGINT DEFAULT 1 NOT NULL,
        armed_at TIMESTAMPTZ,
        attempt INTEGER DEFAULT 0 NOT NULL,
        max_retries INTEGER NOT NULL,
        timeout INTERVAL,
        lease_token UUID,
        lease_expires_at TIMESTAMPTZ,
        started_at TIMESTAMPTZ,
        worker TEXT,
        lost_count INTEGER DEFAULT 0 NOT NULL,
        run_count BIGINT DEFAULT 0 NOT NULL,
        consecutive_failures INTEGER DEFAULT 0 NOT NULL,
        last_run_at TIMESTAMPTZ,
        last_error TEXT,
        handled_at TIMESTAMPTZ,
        cancel_requested_at TIMESTAMPTZ,
        revision BIGINT DEFAULT 1 NOT NULL,
        created_by TEXT,
        trace_parent TEXT,
        created_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        updated_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        PRIMARY KEY (id),
        CONSTRAINT jobs_state_is_whole CHECK (CASE status
            WHEN 'Scheduled' THEN handled_at IS NULL AND next_run_at IS NOT NULL
                AND lease_token IS NULL AND lease_expires_at IS NULL
            WHEN 'Running' THEN handled_at IS NULL AND next_run_at IS NOT NULL
                AND lease_token IS NOT NULL AND lease_expires_at IS NOT NULL
            WHEN 'Completed' THEN handled_at IS NOT NULL AND next_run_at IS NULL
                AND lease_token IS NULL AND lease_expires_at IS NULL
            WHEN 'Failed' THEN handled_at IS NOT NULL AND next_run_at IS NULL
                AND lease_token IS NULL AND lease_expires_at IS NULL
            WHEN 'Cancelled' THEN handled_at IS NOT NULL AND next_run_at IS NULL
                AND lease_token IS NULL AND lease_expires_at IS NULL
            ELSE false END),
        CONSTRAINT jobs_counts_are_sane CHECK (attempt >= 0 AND max_retries >= 0 AND generation > 0)
    )
    """,
    """
    CREATE UNIQUE INDEX jobs_active_name ON {schema}.jobs (job_name) WHERE status IN ('Scheduled', 'Running')
    """,
    """
    CREATE INDEX jobs_due ON {schema}.jobs (next_run_at, id) WHERE status = 'Scheduled' AND NOT paused
    """,
    """
    CREATE INDEX jobs_metadata ON {schema}.jobs USING gin (metadata jsonb_path_ops) WHERE metadata <> '{}'::jsonb
    """,
    """
    CREATE INDEX jobs_newest ON {schema}.jobs (created_at DESC, id DESC)
    """,
    """
    CREATE INDEX jobs_newest_by_handler ON {schema}.jobs (handler_name, created_at DESC, id DESC)
    """,
    """
    CREATE INDEX jobs_newest_failed ON {schema}.jobs (created_at DESC, id DESC) WHERE status = 'Failed'
    """,
    """
    CREATE INDEX jobs_running ON {schema}.jobs (id) WHERE status = 'Running'
    """,
)


def upgrade() -> None:
    """Create the tables and their indexes."""
    schema = context.config.attributes["quoted_schema"]
    for statement in _STATEMENTS:
        op.execute(statement.replace("{schema}", schema).replace(":", "\\:"))


def downgrade() -> None:
    """Drop the tables, and every job with them."""
    schema = context.config.attributes["quoted_schema"]
    for table in ("jobs", "job_attempts", "job_audit", "idempotency_keys"):
        op.execute(f"DROP TABLE {schema}.{table}")
