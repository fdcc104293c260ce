"""A clock that stands still for the sessions of one harness, the database's own functions included.

``now()`` and its like are found in the schema ``jobs_testing`` before ``pg_catalog``'s, by the search path of the
harness's sessions. Other sessions of the database keep the real time.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from os import getpid
from typing import TYPE_CHECKING

import sqlalchemy as sa

from jobs.testing.clock import FrozenClock

if TYPE_CHECKING:
    from datetime import timedelta

    from sqlalchemy.engine import Connection, Engine

_numbers = count(1)
_FUNCTIONS = ("now", "clock_timestamp", "statement_timestamp", "transaction_timestamp")
_LOCK_KEY = 0x6A6F6274
_FUNCTION = """
create or replace function jobs_testing.{name}() returns timestamptz language sql stable as $$
  select coalesce(
    (select at from jobs_testing.clocks where id = current_setting('jobs_testing.clock', true)), pg_catalog.{name}())
$$
"""
_DEFAULTS = """
select format('alter table %s alter column %I set default jobs_testing.now()', d.adrelid::regclass, a.attname)
from pg_attrdef d
join pg_class c on c.oid = d.adrelid
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum
where n.nspname = :schema and pg_get_expr(d.adbin, d.adrelid) in ('now()', 'pg_catalog.now()')
"""


def install_clock(connection: Connection, schema: str) -> None:
    """Add the schema with the clocks, unless it is there; defaults of the framework's tables go by it as well."""
    connection.execute(sa.text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
    if connection.execute(sa.text("select to_regclass('jobs_testing.clocks')")).scalar() is not None:
        return
    connection.execute(sa.text("create schema jobs_testing"))
    connection.execute(sa.text("create table jobs_testing.clocks (id text primary key, at timestamptz not null)"))
    for name in _FUNCTIONS:
        connection.execute(sa.text(_FUNCTION.format(name=name)))
    for (statement,) in connection.execute(sa.text(_DEFAULTS), {"schema": schema}).fetchall():
        connection.execute(sa.text(statement))


def clock_settings(clock_id: str) -> dict[str, str]:
    """Return the settings of a session whose time is that of the clock."""
    return {"search_path": 'jobs_testing,pg_catalog,"$user",public', "jobs_testing.clock": clock_id}


def new_clock_id() -> str:
    """Return an id for another clock."""
    return f"{getpid()}-{next(_numbers)}"


class PostgresClock(FrozenClock):
    """A ``FrozenClock`` that the database goes by as well, in sessions with its ``clock_settings``."""

    def __init__(self, at: datetime, engine: Engine, clock_id: str) -> None:
        super().__init__(at)
        self._engine = engine
        self._id = clock_id
        self._write()

    def advance(self, by: timedelta) -> datetime:
        """Move on by ``by``, and return the instant that it then is."""
        super().advance(by)
        self._write()
        return self.now()

    def move_to(self, instant: datetime) -> datetime:
        """Make it ``instant``, and return that in UTC."""
        before = self.now()
        super().move_to(instant)
        if self.now() != before:
            self._write()
        return self.now()

    def _write(self) -> None:
        with self._engine.begin() as connection:
            connection.execute(
                sa.text(
                    "insert into jobs_testing.clocks values (:id, :at) on conflict (id) do update set at = excluded.at"
                ),
                {"id": self._id, "at": self.now().astimezone(UTC)},
            )

    def remove(self) -> None:
        """Take the clock out of the database."""
        with self._engine.begin() as connection:
            connection.execute(sa.text("delete from jobs_testing.clocks where id = :id"), {"id": self._id})
