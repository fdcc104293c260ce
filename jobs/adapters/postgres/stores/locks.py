"""Locks as rows: one upsert acquires a lock that is free or has expired, by the database's clock.

A released row stays until it is pruned: the next holder's fencing token derives from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jobs.adapters.postgres.connection.driver.encoding import Statement
from jobs.adapters.postgres.connection.driver.faults import OutcomeUnknown
from jobs.adapters.postgres.statements.jobs import prepare

if TYPE_CHECKING:
    from datetime import timedelta

    from jobs.adapters.postgres.connection.database import Database, Rows

# clock_timestamp() is read under the row's lock, so that a statement that waited for the lock compares with the time
# after the wait. acquired_at always increases, even if the server's clock was set back, because the fencing token
# derives from it. A call with the current holder's token is a repeat and succeeds.
_ACQUIRE = """
insert into {schema}.locks as l (resource, token, holder, acquired_at, expires_at)
values (:resource, :token, :holder, clock_timestamp(), clock_timestamp() + cast(:ttl as interval))
on conflict (resource) do update set
  token = excluded.token, holder = excluded.holder,
  acquired_at = greatest(clock_timestamp(), l.acquired_at + interval '1 microsecond'),
  expires_at = clock_timestamp() + cast(:ttl as interval)
where l.expires_at <= clock_timestamp() or l.token = excluded.token
returning cast(extract(epoch from acquired_at) * 1000000 as bigint)
"""

_EXTEND = """
update {schema}.locks set expires_at = clock_timestamp() + cast(:ttl as interval)
where resource = :resource and token = :token and expires_at > clock_timestamp()
returning 1
"""

_RELEASE = """
update {schema}.locks set expires_at = clock_timestamp()
where resource = :resource and token = :token and expires_at > clock_timestamp()
returning 1
"""


@dataclass(frozen=True, slots=True)
class LockStatements:
    """The statements, for one schema."""

    acquire: Statement
    extend: Statement
    release: Statement


@lru_cache(maxsize=8)
def lock_statements(schema: str) -> LockStatements:
    """Prepare the statements for ``schema``."""
    return LockStatements(prepare(_ACQUIRE, schema), prepare(_EXTEND, schema), prepare(_RELEASE, schema))


class PostgresLockStore:
    """The ``LockStore`` port on PostgreSQL; lives as long as its ``Database``."""

    def __init__(self, database: Database, schema: str) -> None:
        self._database = database
        self._statements = lock_statements(schema)

    def acquire(self, resource: str, token: str, *, holder: str, ttl: timedelta) -> int | None:
        """Acquire a lock under ``token``; returns its fencing token, None while another token holds it."""
        values = {"resource": resource, "token": token, "holder": holder, "ttl": ttl}
        rows = self._run_idempotent(self._statements.acquire, values)
        return int(rows[0][0]) if rows else None

    def extend(self, resource: str, token: str, ttl: timedelta) -> bool:
        """Set the expiry to now + ``ttl``; False if ``token`` no longer holds the lock."""
        return bool(self._run_idempotent(self._statements.extend, {"resource": resource, "token": token, "ttl": ttl}))

    def release(self, resource: str, token: str) -> bool:
        """Release the lock; False if ``token`` no longer held it.

        Not repeated after a lost response: the second result would not say whether the lock had expired.
        """
        return bool(self._database.run(self._statements.release, {"resource": resource, "token": token}))

    def _run_idempotent(self, statement: Statement, values: dict[str, Any]) -> Rows:
        """Run a statement that its token makes idempotent; run it again if its response was lost."""
        try:
            return self._database.run(statement, values)
        except OutcomeUnknown:
            return self._database.run(statement, values)
