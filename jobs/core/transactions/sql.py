"""SQLAlchemy's types, for type checkers alone: what users do with a connection is checked, and the core runs no SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy import orm

    Connection = sa.Connection
    Session = orm.Session
