"""Claims, leases and outcomes in PostgreSQL."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pg8000.exceptions import DatabaseError as DriverError

from jobs.adapters.postgres.connection.driver.faults import OutcomeUnknown, message_of
from jobs.adapters.postgres.statements.limits import limit_statements
from jobs.adapters.postgres.statements.runs import run_statements
from jobs.adapters.postgres.statements.suspects import suspect_statements
from jobs.adapters.postgres.stores.outcomes import outcome_text
from jobs.adapters.postgres.stores.rows import recorded_of, run_of
from jobs.core.errors import NotRecordable, StoreUnavailable
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.limits import LimitedClaim
from jobs.core.lifecycle.status import AttemptOutcome
from jobs.core.lifecycle.waiting import LimitUsage
from jobs.core.ports.runs import Conviction, Heartbeat
from jobs.core.strict_json import storable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from jobs.adapters.postgres.connection.clock import DatabaseClock
    from jobs.adapters.postgres.connection.database import Database, Rows
    from jobs.adapters.postgres.connection.driver.encoding import Statement
    from jobs.core.lifecycle.job import ClaimedRun, Lease, Recorded, RecordedOutcome
    from jobs.core.lifecycle.limits import Limits

_CLOCKS_DIFFER_BY = timedelta(minutes=1)


class PostgresRunStore:
    """The ``RunStore`` port on PostgreSQL; lives as long as its ``Database``."""

    def __init__(
        self,
        database: Database,
        schema: str,
        clock: DatabaseClock | None = None,
        *,
        outcomes: Database | None = None,
        heartbeats: Database | None = None,
    ) -> None:
        """``clock`` is corrected by the database times that claims return.

        ``outcomes`` and ``heartbeats`` are separate pools for these; ``database`` is the default for both.
        """
        self._clock = clock
        self._run = database.run
        self._database = database
        self._outcomes = outcomes or database
        self._run_heartbeat = (heartbeats or database).run
        self._run_locked = database.run_locked
        self._statements = run_statements(schema)
        self._limits = limit_statements(schema)
        self._suspects = suspect_statements(schema)

    def _run_outcome(self, statement: Statement, values: dict[str, Any], connection: object | None = None) -> Rows:
        """Run on the connection reserved for outcomes, or on another one if that one is busy, as with a row lock."""
        database = self._outcomes
        if not database.has_free_connection and self._database.has_free_connection:
            database = self._database
        return database.run(statement, values, connection)

    def claim(
        self, alarm: AlarmName, *, worker: str, lease: timedelta, limited: Collection[str] = (), alone: bool = False
    ) -> ClaimedRun | None:
        """Claim one job. If the response is lost, the lease expires and the reconciler reschedules the run."""
        values = {"id": alarm.job_id, "generation": alarm.generation, "worker": worker, "lease": lease}
        statements = self._statements
        asked = self._mark()
        if limited:
            statement = statements.claim_alone_except if alone else statements.claim_except
            rows = self._run(statement, values | {"limited": sorted(limited)})
        else:
            rows = self._run(statements.claim_alone if alone else statements.claim, values)
        runs = self._claimed(asked, rows)
        return runs[0] if runs else None

    def claim_due(
        self, limit: int, *, worker: str, lease: timedelta, limited: Collection[str] = ()
    ) -> list[ClaimedRun]:
        """Claim up to ``limit`` due jobs, the longest due first."""
        values: dict[str, Any] = {"limit": limit, "worker": worker, "lease": lease}
        statements = self._statements
        asked = self._mark()
        if limited:
            return self._claimed(asked, self._run(statements.claim_due_except, values | {"limited": sorted(limited)}))
        return self._claimed(asked, self._run(statements.claim_due, values))

    def _mark(self) -> float:
        return 0.0 if self._clock is None else self._clock.mark()

    def _claimed(self, asked: float, rows: Sequence[tuple[Any, ...]]) -> list[ClaimedRun]:
        """Return the claimed runs, and correct the clock by the database's time in them, without a round trip."""
        runs = _in_order(rows)
        if runs and self._clock is not None:
            self._clock.correct(asked, max(run.claimed_at for run in runs))
        return runs

    def claim_limited(
        self,
        handler_name: str,
        limits: Limits[Any],
        limit: int,
        *,
        worker: str,
        lease: timedelta,
        alarm: AlarmName | None = None,
        alone: bool = False,
    ) -> LimitedClaim:
        """Claim within limits. Claims of one handler are serialized by a lock until the end of the statement."""
        values: dict[str, Any] = {
            "handler_name": handler_name,
            "limit": limit,
            "concurrency": limits.concurrency,
            "per_key": limits.per_key if limits.concurrency_key is not None else None,
            "rate": limits.rate and limits.rate.count,
            "period": limits.rate.per if limits.rate is not None else timedelta(0),
            "worker": worker,
            "lease": lease,
        }
        statement = self._limits.claim_limited
        if alarm is not None:
            statement = self._limits.claim_named_alone if alone else self._limits.claim_named
            values |= {"id": alarm.job_id, "generation": alarm.generation}
        asked = self._mark()
        rows = self._run_locked(self._limits.lock_handler, statement, values)
        runs = self._claimed(asked, [row[1:] for row in rows if row[1] is not None])
        return LimitedClaim(runs, rows[0][0])

    def due_in(self, alarm: AlarmName) -> float | None:
        """Return the seconds until the job is due by the database's clock."""
        rows = self._run(self._statements.due_in, {"id": alarm.job_id, "generation": alarm.generation})
        return float(rows[0][0]) if rows else None

    def throttled_handlers(self, handler_names: Collection[str]) -> list[str]:
        """Return the handlers that have at least one due throttled job."""
        return [row[0] for row in self._run(self._limits.throttled, {"handler_names": sorted(handler_names)})]

    def due_suspects(self, limit: int) -> list[AlarmName]:
        """Return the alarms of due suspects."""
        return [AlarmName(UUID(row[0]), row[1]) for row in self._run(self._suspects.due, {"limit": limit})]

    def end_alone(self, lease: Lease) -> bool:
        """Record that a suspect no longer runs alone."""
        return bool(self._run(self._suspects.end_alone, {"id": lease.job_id, "token": lease.token}))

    def claim_convicted(self, limit: int, *, max_lost: int, lease: timedelta) -> list[Conviction]:
        """Claim lost runs of recurring jobs that caused their workers' deaths."""
        values = {"limit": limit, "max_lost": max_lost, "lease": lease}
        return [Conviction(run_of(row[1:]), row[0]) for row in self._run(self._suspects.claim_convicted, values)]

    def limit_usage(self, periods: Mapping[str, timedelta]) -> LimitUsage:
        """Return the usage of limits, counted in the rows as the claims count it."""
        values = {"handler_names": list(periods), "periods": list(periods.values())}
        running: Counter[str] = Counter()
        by_key: Counter[tuple[str, str]] = Counter()
        started: Counter[str] = Counter()
        for is_running, handler_name, key, count in self._run(self._limits.usage, values):
            if not is_running:
                started[handler_name] += count
                continue
            running[handler_name] += count
            if key is not None:
                by_key[handler_name, key] += count
        return LimitUsage(running, by_key, started)

    def reread(self, run: ClaimedRun, *, connection: object | None = None) -> ClaimedRun | None:
        """Read the run again if its lease is still held."""
        rows = self._run_outcome(self._statements.reread, {"id": run.job_id, "token": run.token}, connection)
        return run_of(rows[0]) if rows else None

    def extend(self, leases: Collection[Lease], lease: timedelta) -> Heartbeat:
        """Extend leases. A row locked by another statement is not extended, but its lease still counts as held."""
        values: dict[str, Any] = _keys(leases)
        rows = self._run_heartbeat(self._statements.extend, values | {"lease": lease})
        if len(rows) < len(leases):
            rows += self._run_heartbeat(self._statements.held, values)
        return _heartbeat(rows)

    def check_leases(self, leases: Collection[Lease]) -> Heartbeat:
        """Return which leases are held and whose jobs are to be cancelled."""
        return _heartbeat(self._run_heartbeat(self._statements.held, _keys(leases)))

    def report_progress(self, lease: Lease, fraction: float, message: str | None) -> bool:
        """Write an attempt's progress if its lease is held; never waits for a row lock, since heartbeats call it."""
        values = {"id": lease.job_id, "token": lease.token, "fraction": fraction, "message": storable(message)}
        if self._run_heartbeat(self._statements.progress, values):
            return True
        if self._run_heartbeat(self._statements.held, _keys([lease])):
            raise StoreUnavailable(f"progress of job {lease.job_id} was not noted: a transaction is writing its row")
        return False

    def record(self, outcomes: Sequence[RecordedOutcome], *, connection: object | None = None) -> list[Recorded]:
        """Write outcomes in one statement. If the response is lost, the history shows which were written."""
        missing = any(outcome.result.outcome is AttemptOutcome.UNKNOWN_HANDLER for outcome in outcomes)
        statement = self._statements.record_missing if missing else self._statements.record
        values = {"outcomes": "[" + ",".join([outcome_text(outcome) for outcome in outcomes]) + "]"}
        if connection is not None:
            rows = self._run(statement, values, connection)
            return [recorded_of((str(row[0]), *row[1:])) for row in rows]
        try:
            return [recorded_of(row) for row in self._run_outcome(statement, values)]
        except DriverError as error:
            raise NotRecordable(message_of(error)) from error
        except OutcomeUnknown:
            again = self._run_outcome(statement, values)
            before = self._run_outcome(
                self._statements.recorded_before, _attempts([outcome.run for outcome in outcomes])
            )
            return list({row[0]: recorded_of(row) for row in [*before, *again]}.values())

    def recorded(self, run: ClaimedRun) -> Recorded | None:
        """Return the recorded outcome from the history, after waiting for any transaction that has locked the row."""
        self._run_outcome(self._statements.await_writer, {"id": run.job_id})
        rows = self._run_outcome(self._statements.recorded_before, _attempts([run]))
        return recorded_of(rows[0]) if rows else None


def _heartbeat(rows: Sequence[tuple[Any, ...]]) -> Heartbeat:
    return Heartbeat(
        held=frozenset(token for token, _ in rows),
        cancel_requested=frozenset(token for token, cancel in rows if cancel),
    )


def _in_order(rows: Sequence[tuple[Any, ...]]) -> list[ClaimedRun]:
    """Return the runs, the longest due first: RETURNING guarantees no order."""
    return sorted(map(run_of, rows), key=attrgetter("due_at"))


def _keys(leases: Collection[Lease] | Collection[ClaimedRun]) -> dict[str, Any]:
    return {"ids": [lease.job_id for lease in leases], "tokens": [lease.token for lease in leases]}


def _attempts(runs: Collection[ClaimedRun]) -> dict[str, Any]:
    """Return the parameters to find attempts in the history; none starts before its claim, within clock differences."""
    return _keys(runs) | {"since": [run.claimed_at - _CLOCKS_DIFFER_BY for run in runs]}
