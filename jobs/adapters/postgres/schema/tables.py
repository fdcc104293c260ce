"""The tables, as SQLAlchemy Core has them. The migrations build the same; a test holds them together."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import INTERVAL, JSONB, TIMESTAMP, UUID

from jobs.adapters.postgres.schema.constraints import (
    ATTEMPT_INSTANTS,
    JOB_INSTANTS,
    JOB_VALUES,
    KNOWN_OUTCOME,
    STATE_IS_WHOLE,
)

DEFAULT_SCHEMA = "jobs"

_MOMENT = TIMESTAMP(timezone=True)


_NOW = sa.func.now()


@dataclass(frozen=True, slots=True)
class JobTables:
    """The framework's tables within one ``MetaData``."""

    jobs: sa.Table
    attempts: sa.Table
    audit: sa.Table
    idempotency: sa.Table
    locks: sa.Table
    starts: sa.Table


def add_background_jobs(metadata: sa.MetaData, schema: str = DEFAULT_SCHEMA) -> JobTables:
    """Add the framework's tables to an application's own ``MetaData``, in a schema of their own.

    For an application that creates its tables from one ``MetaData`` or compares them in one Alembic environment.
    The schema itself must exist. Calling it twice for one ``MetaData`` and schema is an error of SQLAlchemy's.
    """
    return JobTables(
        jobs=_jobs(metadata, schema),
        attempts=_attempts(metadata, schema),
        audit=_audit(metadata, schema),
        idempotency=_idempotency(metadata, schema),
        locks=_locks(metadata, schema),
        starts=_starts(metadata, schema),
    )


def _jobs(metadata: sa.MetaData, schema: str) -> sa.Table:
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
        sa.Column("next_run_at", _MOMENT, comment="When the job is due; null once it has ended"),
        sa.Column("scheduled_for", _MOMENT, comment="The instant that the pending or running run stands for"),
        sa.Column("anchor", _MOMENT, nullable=False, comment="What @every counts from"),
        sa.Column("generation", sa.BigInteger, nullable=False, server_default=sa.text("1")),
        sa.Column("armed_at", _MOMENT),
        sa.Column("attempt", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("max_retries", sa.Integer, nullable=False),
        sa.Column("timeout", INTERVAL),
        sa.Column("lease_token", UUID()),
        sa.Column("lease_expires_at", _MOMENT),
        sa.Column("started_at", _MOMENT),
        sa.Column("worker", sa.Text),
        sa.Column("lost_count", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("run_count", sa.BigInteger, nullable=False, server_default=sa.text("0")),
        sa.Column("consecutive_failures", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("last_run_at", _MOMENT),
        sa.Column("last_error", sa.Text),
        sa.Column("handled_at", _MOMENT),
        sa.Column("cancel_requested_at", _MOMENT),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default=sa.text("1")),
        sa.Column("created_by", sa.Text),
        sa.Column("trace_parent", sa.Text),
        sa.Column("created_at", _MOMENT, nullable=False, server_default=_NOW),
        sa.Column("updated_at", _MOMENT, nullable=False, server_default=_NOW),
        sa.Column("retry", JSONB, comment="How this job waits between attempts; null is the handler's way"),
        sa.Column("payload_version", sa.Integer, nullable=False, server_default=sa.text("1")),
        sa.Column("limited", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("concurrency_key", sa.Text),
        sa.Column("progress", sa.Float(53), comment="Of the current attempt, from 0 to 1"),
        sa.Column("progress_message", sa.Text),
        sa.Column("result", JSONB, comment="What the last run that succeeded gave"),
        sa.Column("parent_id", UUID(), comment="The job whose handler has enqueued this one"),
        sa.Column(
            "alone",
            sa.Boolean,
            nullable=False,
            server_default=sa.false(),
            comment="Whether nothing else starts beside the current attempt, see jobs.core.lifecycle.suspects",
        ),
        # One expression that ends at the first hit: every row version is checked, three of them in a job's life.
        sa.CheckConstraint(STATE_IS_WHOLE, name="jobs_state_is_whole"),
        sa.CheckConstraint("attempt >= 0 AND max_retries >= 0 AND generation > 0", name="jobs_counts_are_sane"),
        # What was written by hand and could never be read would make an error of every list that holds it.
        sa.CheckConstraint(JOB_INSTANTS, name="jobs_instants_can_be_read"),
        sa.CheckConstraint(JOB_VALUES, name="jobs_values_can_be_read"),
        schema=schema,
    )
    _index_jobs(table)
    return table


def _index_jobs(table: sa.Table) -> None:
    """Declare the indexes.

    A job's three row versions (inserted, claimed, finished) each pay for every index that covers them, so the ones for
    claiming and reaping cover only the rows in question.
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
    # Throttled jobs have an index of their own, so that claims of other jobs never walk past them.
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
    sa.Index("jobs_by_parent", column.parent_id, *newest, postgresql_where=column.parent_id.is_not(None))
    sa.Index(
        "jobs_metadata",
        column.metadata,
        postgresql_using="gin",
        postgresql_ops={"metadata": "jsonb_path_ops"},
        postgresql_where=sa.text("metadata <> '{}'::jsonb"),
    )


def _attempts(metadata: sa.MetaData, schema: str) -> sa.Table:
    return sa.Table(
        "job_attempts",
        metadata,
        # No foreign key: it would lock the job's row once more per attempt. Pruning deletes both in one statement.
        sa.Column("job_id", UUID(), nullable=False),
        sa.Column("token", UUID(), nullable=False, comment="The lease under which it ran"),
        sa.Column("run", sa.BigInteger, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("scheduled_for", _MOMENT),
        sa.Column("started_at", _MOMENT, nullable=False),
        sa.Column("finished_at", _MOMENT, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("worker", sa.Text),
        sa.Column("trace_id", sa.Text),
        sa.Column("result", JSONB),
        sa.Column("traceback", sa.Text, comment="Of a failed attempt"),
        # By time, so that a job's newest attempts and its oldest are found at once, however many lie between.
        sa.PrimaryKeyConstraint("job_id", "started_at", "token", name="job_attempts_pkey"),
        # Rows arrive in the order in which they finish, so a block range index finds the recent ones at no cost.
        sa.CheckConstraint(ATTEMPT_INSTANTS, name="job_attempts_instants_can_be_read"),
        sa.CheckConstraint(KNOWN_OUTCOME, name="job_attempts_outcome_is_known"),
        sa.Index("job_attempts_finished", "finished_at", postgresql_using="brin"),
        schema=schema,
    )


def _audit(metadata: sa.MetaData, schema: str) -> sa.Table:
    return sa.Table(
        "job_audit",
        metadata,
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column(
            "job_id",
            UUID(),
            nullable=False,
        ),
        sa.Column("at", _MOMENT, nullable=False, server_default=_NOW),
        sa.Column("actor", sa.Text),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Index("job_audit_by_job", "job_id", "at"),
        schema=schema,
    )


def _idempotency(metadata: sa.MetaData, schema: str) -> sa.Table:
    return sa.Table(
        "idempotency_keys",
        metadata,
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("created_at", _MOMENT, nullable=False, server_default=_NOW),
        sa.Index("idempotency_keys_age", "created_at"),
        schema=schema,
    )


def _locks(metadata: sa.MetaData, schema: str) -> sa.Table:
    return sa.Table(
        "locks",
        metadata,
        sa.Column("resource", sa.Text, primary_key=True),
        sa.Column("token", UUID(), nullable=False),
        sa.Column("holder", sa.Text, comment="Which process, for people"),
        sa.Column("acquired_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Index("locks_expiry", "expires_at"),
        schema=schema,
    )


def _starts(metadata: sa.MetaData, schema: str) -> sa.Table:
    return sa.Table(
        "limit_starts",
        metadata,
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("handler_name", sa.Text, nullable=False),
        sa.Column("started_at", _MOMENT, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, comment="How many one claim started at that instant"),
        sa.Index("limit_starts_by_handler", "handler_name", "started_at"),
        schema=schema,
    )
