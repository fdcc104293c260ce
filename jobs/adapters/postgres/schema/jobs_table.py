"""The table of jobs in SQLAlchemy Core."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import INTERVAL, JSONB, TIMESTAMP, UUID

from jobs.adapters.postgres.schema.constraints import add_job_rules

MOMENT = TIMESTAMP(timezone=True)
NOW = sa.func.now()


def jobs_table(metadata: sa.MetaData, schema: str) -> sa.Table:
    """Add the table of jobs to ``metadata``, with its rules and indexes."""
    table = sa.Table(
        "jobs",
        metadata,
        sa.Column("id", UUID(), primary_key=True),
        sa.Column("handler_name", sa.Text, nullable=False),
        sa.Column("job_name", sa.Text, nullable=False),
        sa.Column("schedule", sa.Text, nullable=False),
        sa.Column("timezone", sa.Text, nullable=False),
        sa.Column("options", JSONB, comment="What else the timing says: dst, misfire, start_at, end_at …"),
        sa.Column("recurring", sa.Boolean, nullable=False),
        sa.Column("payload", JSONB, nullable=False),
        sa.Column("metadata", JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("next_run_at", MOMENT, comment="When the job is due; null once it has ended"),
        sa.Column("scheduled_for", MOMENT, comment="The scheduled instant of the pending or running run"),
        sa.Column("anchor", MOMENT, nullable=False, comment="What @every counts from"),
        sa.Column("generation", sa.BigInteger, nullable=False, server_default=sa.text("1")),
        sa.Column("armed_at", MOMENT),
        sa.Column("attempt", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("max_retries", sa.Integer, nullable=False),
        sa.Column("timeout", INTERVAL),
        sa.Column("lease_token", UUID()),
        sa.Column("lease_expires_at", MOMENT),
        sa.Column("started_at", MOMENT),
        sa.Column("worker", sa.Text),
        sa.Column("lost_count", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("run_count", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("consecutive_failures", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("last_run_at", MOMENT),
        sa.Column("last_error", sa.Text),
        sa.Column("handled_at", MOMENT),
        sa.Column("cancel_requested_at", MOMENT),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default=sa.text("1")),
        sa.Column("created_by", sa.Text),
        sa.Column("trace_parent", sa.Text),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("updated_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("retry", JSONB, comment="How this job waits between attempts; null is the handler's way"),
        sa.Column("payload_version", sa.Integer, nullable=False, server_default=sa.text("1")),
        sa.Column("limited", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("concurrency_key", sa.Text),
        sa.Column("progress", sa.Float(53), comment="Of the current attempt, from 0 to 1"),
        sa.Column("progress_message", sa.Text),
        sa.Column("result", JSONB, comment="What the last run that succeeded gave"),
        sa.Column("parent_id", UUID(), comment="The job whose handler has enqueued this one"),
        sa.Column("failure", sa.Text, comment="The cause of the last error, see jobs.core.lifecycle.failures"),
        sa.Column(
            "alone",
            sa.Boolean,
            nullable=False,
            server_default=sa.false(),
            comment="Whether nothing else starts beside the current attempt, see jobs.core.lifecycle.suspects",
        ),
        schema=schema,
    )
    add_job_rules(table)
    _index_jobs(table)
    return table


def _index_jobs(table: sa.Table) -> None:
    """Declare the indexes.

    Each of a job's three row versions (inserted, claimed, finished) pays for every index that covers it, so the indexes
    for claiming and reaping are partial.
    """
    column = table.c
    active = column.status.in_([sa.literal_column("'Scheduled'"), sa.literal_column("'Running'")])
    newest = (column.created_at.desc(), column.id.desc())
    sa.Index("jobs_active_name", column.job_name, unique=True, postgresql_where=active)
    sa.Index(
        "jobs_due",
        column.next_run_at,
        column.id,
        postgresql_where=sa.text("status = 'Scheduled' AND NOT paused AND NOT limited"),
    )
    # Throttled jobs have an index of their own, so that claims of other jobs never scan them.
    sa.Index(
        "jobs_due_limited",
        column.handler_name,
        column.next_run_at,
        column.id,
        postgresql_where=sa.text("status = 'Scheduled' AND NOT paused AND limited"),
    )
    sa.Index(
        "jobs_suspects",
        column.next_run_at,
        column.id,
        postgresql_where=sa.text("status = 'Scheduled' AND NOT paused AND lost_count >= 2"),
    )
    sa.Index("jobs_running", column.id, postgresql_where=sa.text("status = 'Running'"))
    sa.Index(
        "jobs_running_limited",
        column.handler_name,
        column.concurrency_key,
        postgresql_where=sa.text("status = 'Running' AND limited"),
    )
    sa.Index("jobs_newest", *newest)
    sa.Index("jobs_newest_by_handler", column.handler_name, *newest)
    sa.Index("jobs_newest_failed", *newest, postgresql_where=sa.text("status = 'Failed'"))
    sa.Index("jobs_newest_cancelled", *newest, postgresql_where=sa.text("status = 'Cancelled'"))
    sa.Index("jobs_by_parent", column.parent_id, *newest, postgresql_where=column.parent_id.is_not(None))
    # Jobs that have not failed are not in it, so that only failures pay for it. The status is there for counting.
    sa.Index(
        "jobs_by_failure",
        column.failure,
        *newest,
        postgresql_where=column.failure.is_not(None),
        postgresql_include=["status"],
    )
    sa.Index(
        "jobs_metadata",
        column.metadata,
        postgresql_using="gin",
        postgresql_ops={"metadata": "jsonb_path_ops"},
        postgresql_where=sa.text("metadata <> '{}'::jsonb"),
    )
