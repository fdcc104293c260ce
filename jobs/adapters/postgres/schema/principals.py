"""Create database roles for Microsoft Entra principals on Azure Database for PostgreSQL.

(Microsoft Learn, "Manage Microsoft Entra roles in Azure Database for PostgreSQL".)
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from jobs.adapters.postgres.connection.driver.faults import message_of, sqlstate
from jobs.adapters.postgres.connection.engine import make_engine
from jobs.adapters.postgres.connection.unreachable import unreachable
from jobs.core.errors import ConfigurationError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.engine import Connection

    from jobs.adapters.postgres.connection.address import DatabaseOptions

_WITH_ID = re.compile(r"(.+)=([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})", re.DOTALL)
_DATABASE = "postgres"
"""The only database of a server that has Azure's functions."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A user, group, application or managed identity. Its role has its display name.

    With an ``object_id`` it must be an application or a managed identity, and its name is not looked up.
    """

    name: str
    object_id: str | None = None

    @classmethod
    def of(cls, text: str) -> Principal:
        """Read ``NAME`` or ``NAME=OBJECT_ID``."""
        match = _WITH_ID.fullmatch(text)
        return cls(match[1], match[2]) if match else cls(text)


def map_principals(options: DatabaseOptions, principals: Iterable[Principal]) -> list[str]:
    """Create a role for each principal without one, with no privilege but to log in; returns a line for each new role.

    ``options`` may name any database of the server. Raises ``ConfigurationError`` if the server lacks the functions or
    refuses, and ``StoreUnavailable``.
    """
    url = sa.make_url(options.url).set(database=_DATABASE).render_as_string(hide_password=False)
    engine = make_engine(replace(options, url=url, pool_size=1))
    try:
        with engine.begin() as connection:
            return [line for principal in principals for line in _map_principal(connection, principal)]
    except (OSError, SQLAlchemyError) as error:
        if sqlstate(error):
            raise ConfigurationError(
                f"the Entra principals were not mapped: {message_of(error)}; it takes a Microsoft Entra administrator "
                "of the server, and where that one may not read the directory NAME=OBJECT_ID in place of the name"
            ) from error
        raise StoreUnavailable(unreachable(error, engine.url)) from error
    finally:
        engine.dispose()


def _map_principal(connection: Connection, principal: Principal) -> list[str]:
    known = connection.execute(sa.text("select 1 from pg_roles where rolname = :name"), {"name": principal.name})
    if known.first() is not None:
        return []
    function, arguments, values = "pgaadauth_create_principal", ":name, false, false", {"name": principal.name}
    if principal.object_id is not None:
        function, arguments = f"{function}_with_oid", ":name, :object_id, 'service', false, false"
        values["object_id"] = principal.object_id
    if connection.execute(sa.text("select 1 from pg_proc where proname = :name"), {"name": function}).first() is None:
        raise ConfigurationError(
            f"this server has no {function}, which Azure Database for PostgreSQL has while Microsoft Entra "
            "authentication is on; elsewhere create the roles (CREATE ROLE … LOGIN) and leave --entra out"
        )
    connection.execute(sa.text(f"select * from {function}({arguments})"), values)
    return [f"{principal.name}: a role for the Microsoft Entra principal {principal.object_id or 'of that name'}"]
