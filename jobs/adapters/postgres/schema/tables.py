"""The tables in SQLAlchemy Core. The migrations create the same tables; a test compares the two."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import INTERVAL, JSONB, UUID

from jobs.adapters.postgres.schema.constraints import ATTEMPT_INSTANTS, KNOWN_OUTCOME
from jobs.adapters.postgres.schema.jobs_table import MOMENT, NOW, jobs_table

DEFAULT_SCHEMA = "jobs"


@dataclass(frozen=True, slots=True)
class JobTables:
    """The framework's tables within one ``MetaData``."""

    jobs: sa.Table
    attempts: sa.Table
    audit: sa.Table
    idempotency: sa.Table
    locks: sa.Table
    starts: sa.Table
    series: sa.Table
    operations: sa.Table
    workers: sa.Table
    app_versions: sa.Table


def add_background_jobs(metadata: sa.MetaData, schema: str = DEFAULT_SCHEMA) -> JobTables:
    """Add the framework's tables to an application's own ``MetaData``, in a schema of their own.

    For an application that creates its tables from one ``MetaData``, or compares them in one Alembic environment.
    The schema must exist. Calling it twice for one ``MetaData`` and schema raises SQLAlchemy's error.
    """
    return JobTables(
        jobs=jobs_table(metadata, schema),
        attempts=_attempts(metadata, schema),
        audit=_audit(metadata, schema),
        idempotency=_idempotency(metadata, schema),
        locks=_locks(metadata, schema),
        starts=_starts(metadata, schema),
        series=_series(metadata, schema),
        operations=_operations(metadata, schema),
        workers=_workers(metadata, schema),
        app_versions=_app_versions(metadata, schema),
    )


def _attempts(metadata: sa.MetaData, schema: str) -> sa.Table:
    return sa.Table(
        "job_attempts",
        metadata,
        # No foreign key: it would lock the job's row again for each attempt. Pruning deletes both in one statement.
        sa.Column("job_id", UUID(), nullable=False),
        sa.Column("token", UUID(), nullable=False, comment="The lease under which it ran"),
        sa.Column("run", sa.BigInteger, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("scheduled_for", MOMENT),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("worker", sa.Text),
        sa.Column("trace_id", sa.Text),
        sa.Column("result", JSONB),
        sa.Column("traceback", sa.Text, comment="Of a failed attempt"),
        sa.Column("failure", sa.Text, comment="Of a failed attempt: its cause, see jobs.core.lifecycle.failures"),
        sa.Column("handler_name", sa.Text, comment="Of a failed attempt"),
        # By time, so that a job's newest and oldest attempts are found at once, however many there are between them.
        sa.PrimaryKeyConstraint("job_id", "started_at", "token", name="job_attempts_pkey"),
        # Rows arrive in the order in which they finish, so a block range index finds the recent ones at no cost.
        sa.CheckConstraint(ATTEMPT_INSTANTS, name="job_attempts_instants_can_be_read"),
        sa.CheckConstraint(KNOWN_OUTCOME, name="job_attempts_outcome_is_known"),
        # Where it is not summarized, up to the last vacuum otherwise, every attempt is read.
        sa.Index(
            "job_attempts_finished", "finished_at", postgresql_using="brin", postgresql_with={"autosummarize": "on"}
        ),
        # Only failures are in it, so that nothing else pays for it.
        sa.Index(
            "job_attempts_by_failure",
            "failure",
            "handler_name",
            "finished_at",
            postgresql_where=sa.text("failure IS NOT NULL"),
        ),
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
        sa.Column("at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("actor", sa.Text),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, comment="Why, as the caller said"),
        sa.Column("before", JSONB, comment="The fields that were changed, as they were"),
        sa.Column("operation", UUID(), comment="The operation on many jobs that it was part of"),
        sa.Index("job_audit_by_job", "job_id", "at"),
        sa.Index("job_audit_by_operation", "operation", "job_id", postgresql_where=sa.text("operation IS NOT NULL")),
        sa.Index("job_audit_newest", sa.text("at DESC"), sa.text("job_id DESC"), sa.text("revision DESC")),
        schema=schema,
    )


def _idempotency(metadata: sa.MetaData, schema: str) -> sa.Table:
    return sa.Table(
        "idempotency_keys",
        metadata,
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
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
        sa.Column("acquired_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Index("locks_expiry", "expires_at"),
        schema=schema,
    )


def _starts(metadata: sa.MetaData, schema: str) -> sa.Table:
    return sa.Table(
        "limit_starts",
        metadata,
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("handler_name", sa.Text, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, comment="How many one claim started at that instant"),
        sa.Index("limit_starts_by_handler", "handler_name", "started_at"),
        schema=schema,
    )


def _series(metadata: sa.MetaData, schema: str) -> sa.Table:
    return sa.Table(
        "job_series",
        metadata,
        sa.Column("step", sa.Text, nullable=False, comment="minute or hour"),
        sa.Column("handler_name", sa.Text, nullable=False, comment="Empty for all handlers together"),
        sa.Column("at", MOMENT, nullable=False, comment="When the step begins"),
        sa.Column("started", sa.BigInteger, nullable=False),
        sa.Column("succeeded", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.Column("late", sa.BigInteger, nullable=False),
        sa.Column("durations", JSONB, comment="By bucket, see jobs.core.lifecycle.durations: how many attempts"),
        sa.PrimaryKeyConstraint("step", "handler_name", "at", name="job_series_pkey"),
        schema=schema,
    )


def _operations(metadata: sa.MetaData, schema: str) -> sa.Table:
    return sa.Table(
        "job_operations",
        metadata,
        sa.Column("id", UUID(), primary_key=True, comment="The job that runs the operation"),
        sa.Column("unchanged", sa.BigInteger, nullable=False),
        sa.Column("refused", sa.BigInteger, nullable=False),
        sa.Column("cursor", sa.Text, comment="After the last whole page"),
        sa.Column("finished", sa.Boolean, nullable=False),
        schema=schema,
    )


def _workers(metadata: sa.MetaData, schema: str) -> sa.Table:
    return sa.Table(
        "job_workers",
        metadata,
        sa.Column("name", sa.Text, primary_key=True, comment="Instance and process"),
        sa.Column("app_version", sa.Text, nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("lease", INTERVAL, nullable=False, comment="It is seen once in that time"),
        sa.Column("concurrency", sa.Integer, nullable=False),
        sa.Column("running", sa.Integer, nullable=False, comment="Handlers under way"),
        sa.Column("abandoned", sa.Integer, nullable=False, comment="Threads that handlers keep past their timeout"),
        sa.Column("draining", sa.Boolean, nullable=False),
        sa.Column("scheduler", sa.Text, nullable=False),
        sa.Column("scheduler_fault", sa.Text, comment="Why it takes no alarms"),
        schema=schema,
    )


def _app_versions(metadata: sa.MetaData, schema: str) -> sa.Table:
    return sa.Table(
        "app_versions",
        metadata,
        sa.Column("version", sa.Text, primary_key=True),
        sa.Column("first_seen_at", MOMENT, nullable=False),
        sa.Column("handlers", JSONB, nullable=False, comment="By name: the version of the arguments"),
        schema=schema,
    )
