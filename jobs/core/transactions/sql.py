"""SQLAlchemy's types, for type checkers only: users' calls on a connection are checked; the core itself runs no SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlalchemy as sa
    from sqlalchemy import orm

    Connection = sa.Connection
    Session = orm.Session
