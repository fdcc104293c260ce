"""What the tables refuse: inconsistent job states, and values that the app could not read.

The rules of the table of jobs are in one constraint trigger. PostgreSQL parses and plans a ``CHECK`` expression
anew for each statement that writes to the table; for these rules that took a sixth of a single enqueue. It plans a
function's expressions once a connection. See docs/decisions/0021-job-rules-in-a-trigger.md.
"""

from __future__ import annotations

import sqlalchemy as sa

from jobs.core.lifecycle.status import ENDED, AttemptOutcome, JobStatus
from jobs.core.schedules.timing import MAX_DURATION

_FIRST = "'0001-01-01 00:00:00+00'"
_END = "'10000-01-01 00:00:00+00'"


def _can_be_read(*columns: str) -> str:
    """Return a rule that instants are within Python's years, which excludes ``infinity``; null is allowed."""
    listed = ", ".join(columns)
    return f"LEAST({listed}) >= {_FIRST} AND GREATEST({listed}) < {_END}"


_STATE_IS_WHOLE = "\n".join(
    [
        "CASE NEW.status",
        *(
            f"        WHEN '{status}' THEN NEW.handled_at IS {'NOT ' if status in ENDED else ''}NULL "
            f"AND NEW.next_run_at IS {'' if status in ENDED else 'NOT '}NULL "
            f"AND NEW.lease_token IS {'NOT ' if status is JobStatus.RUNNING else ''}NULL "
            f"AND NEW.lease_expires_at IS {'NOT ' if status is JobStatus.RUNNING else ''}NULL"
            for status in JobStatus
        ),
        "        ELSE false END",
    ]
)
"""The valid statuses and their columns: an end time for the ended ones, a lease for the running one."""

_INSTANTS = (
    "next_run_at", "scheduled_for", "anchor", "armed_at", "lease_expires_at", "started_at", "last_run_at",
    "handled_at", "cancel_requested_at", "created_at", "updated_at",
)  # fmt: skip

_PROGRESS = "NEW.progress >= 0 AND NEW.progress <= 1"

_OPTIONS = "jsonb_typeof(NEW.options) = 'object'"

_RULES = {
    "jobs_state_is_whole": (
        _STATE_IS_WHOLE,
        "status, next_run_at, handled_at, lease_token and lease_expires_at contradict each other",
    ),
    "jobs_counts_are_sane": (
        "NEW.attempt >= 0 AND NEW.max_retries >= 0 AND NEW.generation > 0",
        "attempt and max_retries must not be negative, and generation must be positive",
    ),
    "jobs_instants_can_be_read": (
        _can_be_read(*(f"NEW.{each}" for each in _INSTANTS)),
        "every instant must lie in the years 1 to 9999",
    ),
    "jobs_values_can_be_read": (
        f"NEW.timeout > '0' AND NEW.timeout <= '{MAX_DURATION.days} days' AND {_PROGRESS} AND {_OPTIONS}",
        "timeout must be positive and at most 366 days, progress between 0 and 1, and options an object",
    ),
}
"""By name: what must not be false, as in a ``CHECK``, and the same in words."""


_BODY = f"""
DECLARE
  broken text;
BEGIN
  broken := CASE
{chr(10).join(f"    WHEN NOT ({rule}) THEN '{name}'" for name, (rule, _) in _RULES.items())}
  END;
  IF broken IS NOT NULL THEN
    RAISE EXCEPTION 'new row for relation "jobs" violates check constraint "%"', broken USING
      ERRCODE = 'check_violation', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, CONSTRAINT = broken,
      DETAIL = format('Job %s: %s.', NEW.id, CASE broken
{chr(10).join(f"        WHEN '{name}' THEN '{words}'" for name, (_, words) in _RULES.items())}
      END);
  END IF;
  RETURN NULL;
END
"""

JOB_RULES = (
    f"CREATE FUNCTION {{schema}}.check_job() RETURNS trigger LANGUAGE plpgsql AS $${_BODY}$$",
    """
    CREATE CONSTRAINT TRIGGER jobs_are_valid AFTER INSERT OR UPDATE ON {schema}.jobs
    FOR EACH ROW EXECUTE FUNCTION {schema}.check_job()
    """,
)
"""The statements that put the rules on the table of jobs in ``{schema}``."""

ATTEMPT_INSTANTS = _can_be_read("scheduled_for", "started_at", "finished_at")

KNOWN_OUTCOME = "outcome IN (" + ", ".join(f"'{outcome}'" for outcome in AttemptOutcome) + ")"


def add_job_rules(table: sa.Table) -> None:
    """Have ``MetaData.create_all`` put the rules on ``table``, as the migrations do."""
    for statement in JOB_RULES:
        # DDL replaces %(schema)s by the table's schema, quoted where it must be.
        text = statement.replace("%", "%%").replace("{schema}", "%(schema)s")
        sa.event.listen(table, "after_create", sa.DDL(text))  # type: ignore[no-untyped-call]
