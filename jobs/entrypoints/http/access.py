"""Authorization of callers by Easy Auth's principal. The Functions host checks function keys itself."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from jobs.entrypoints.http.problems import FORBIDDEN, UNAUTHENTICATED, Refusal
from jobs.entrypoints.http.routes import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

_PRINCIPAL = "x-ms-client-principal"
_PRINCIPAL_NAMES = ("x-ms-client-principal-name", "x-ms-client-principal-id")
_ROLE_CLAIMS = frozenset({"roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"})


class Principal(NamedTuple):
    """The caller's name, None if unknown, and whether they may change other callers' jobs."""

    name: str | None
    may_manage: bool


_SUFFICES = {
    Role.READ: frozenset(Role),
    Role.ENQUEUE: frozenset({Role.ENQUEUE, Role.MANAGE}),
    Role.MANAGE: frozenset({Role.MANAGE}),
}


@dataclass(frozen=True, slots=True)
class Access:
    """Authorizes callers. Without Easy Auth anyone could set the principal's headers, so they are ignored."""

    easy_auth: bool

    def admit(self, headers: Mapping[str, str], needed: Role) -> Principal:
        """Return the caller: its name, or an app's object id. Without Easy Auth, an unknown caller who may do all.

        Raises ``Refusal``: 401 without a principal, 403 without a sufficient role.
        """
        if not self.easy_auth:
            return Principal(None, may_manage=True)
        roles = _roles_of(headers.get(_PRINCIPAL))
        if not roles & _SUFFICES[needed]:
            raise Refusal(FORBIDDEN, f"this needs the app role {needed}; have it assigned to you in Microsoft Entra ID")
        name = next((name for header in _PRINCIPAL_NAMES if (name := headers.get(header))), None)
        return Principal(name, may_manage=not roles.isdisjoint(_SUFFICES[Role.MANAGE]))


def _roles_of(principal: str | None) -> frozenset[str]:
    """Return the roles in the header that App Service sets: base64 of JSON with a list of claims."""
    if not principal:
        raise _unauthenticated("this app wants you to sign in with Microsoft Entra ID; send a bearer token")
    try:
        decoded: Any = json.loads(base64.b64decode(principal, validate=False))
        claims = decoded["claims"]
        return frozenset(claim["val"] for claim in claims if claim["typ"] in _ROLE_CLAIMS)
    except (binascii.Error, ValueError, KeyError, TypeError, RecursionError):
        raise _unauthenticated("the principal that came with the call cannot be read; sign in again") from None


def _unauthenticated(detail: str) -> Refusal:
    return Refusal(UNAUTHENTICATED, detail, WWW_Authenticate="Bearer")
