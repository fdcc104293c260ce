"""Locks as rows: one upsert takes a lock that is free or has expired, by the database's clock.

A released row stays until it is pruned: the next holder's fencing token is counted from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jobs.adapters.postgres.connection.encoding import Statement
from jobs.adapters.postgres.connection.faults import OutcomeUnknown
from jobs.adapters.postgres.statements.jobs import prepare

if TYPE_CHECKING:
    from datetime import timedelta

    from jobs.adapters.postgres.connection.database import Database, Rows

# The clock is read anew under the row's lock, so that one who had to wait for it sees what is true by then; and a
# holder always comes after the one before, even where the server's clock was set back. The same token is a repeat.
_TAKE = """
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

_FREE = """
update {schema}.locks set expires_at = clock_timestamp()
where resource = :resource and token = :token and expires_at > clock_timestamp()
returning 1
"""


@dataclass(frozen=True, slots=True)
class LockStatements:
    """The statements, for one schema."""

    take: Statement
    extend: Statement
    free: Statement


@lru_cache(maxsize=8)
def lock_statements(schema: str) -> LockStatements:
    """Prepare the statements for ``schema``."""
    return LockStatements(prepare(_TAKE, schema), prepare(_EXTEND, schema), prepare(_FREE, schema))


class PostgresLockStore:
    """The ``LockStore`` port on PostgreSQL; lives as long as its ``Database``."""

    def __init__(self, database: Database, schema: str) -> None:
        self._database = database
        self._statements = lock_statements(schema)

    def take(self, resource: str, token: str, *, holder: str, ttl: timedelta) -> int | None:
        """Take a lock under ``token``."""
        values = {"resource": resource, "token": token, "holder": holder, "ttl": ttl}
        rows = self._repeatable(self._statements.take, values)
        return int(rows[0][0]) if rows else None

    def extend(self, resource: str, token: str, ttl: timedelta) -> bool:
        """Push the expiry out to now + ``ttl``."""
        return bool(self._repeatable(self._statements.extend, {"resource": resource, "token": token, "ttl": ttl}))

    def free(self, resource: str, token: str) -> bool:
        """Release the lock. Not repeated after a lost answer: a second time would not tell whether it was lost."""
        return bool(self._database.run(self._statements.free, {"resource": resource, "token": token}))

    def _repeatable(self, statement: Statement, values: dict[str, Any]) -> Rows:
        """Run a statement that the token makes the same a second time, again where its answer was lost."""
        try:
            return self._database.run(statement, values)
        except OutcomeUnknown:
            return self._database.run(statement, values)
