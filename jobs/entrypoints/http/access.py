"""Authorization of callers: by Easy Auth's principal, or by a function key, which the Functions host checks itself."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from jobs.entrypoints.http.problems import CLOSED, CROSS_SITE, FORBIDDEN, UNAUTHENTICATED, Refusal
from jobs.entrypoints.http.routes import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

_PRINCIPAL = "x-ms-client-principal"
_PRINCIPAL_NAMES = ("x-ms-client-principal-name", "x-ms-client-principal-id")
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_SAME_SITE = frozenset({"same-origin", "none"})
_LOOPBACK = re.compile(r"127(\.\d{1,3}){3}")
_ROLE_CLAIMS = frozenset({"roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"})


class Principal(NamedTuple):
    """The caller's name, None if unknown, and the most that they may do."""

    name: str | None
    role: Role

    @property
    def may_manage(self) -> bool:
        """Whether they may change other callers' jobs."""
        return self.role is Role.MANAGE


_SUFFICES = {
    Role.READ: frozenset(Role),
    Role.ENQUEUE: frozenset({Role.ENQUEUE, Role.MANAGE}),
    Role.MANAGE: frozenset({Role.MANAGE}),
}


@dataclass(frozen=True, slots=True)
class Access:
    """Authorizes callers, by one of three ways; with none of them the API is closed.

    With ``easy_auth`` by the principal's roles; without it anyone could set the principal's headers, so they are
    ignored. Else by ``key_role``, the role of whoever brings a function key, which the host has checked. Else
    ``local``: on a developer's machine, whoever calls it by a name that only that machine has.
    """

    easy_auth: bool
    key_role: Role | None = None
    local: bool = False

    def admit(self, headers: Mapping[str, str], needed: Role) -> Principal:
        """Return the caller: its name, or an app's object id. Without Easy Auth its name is not known.

        Raises ``Refusal``: 401 without a principal, 403 without a sufficient role, or where the API is closed.
        """
        if not self.easy_auth:
            return self._admit_unknown(headers, needed)
        roles = _roles_of(headers.get(_PRINCIPAL))
        if not roles & _SUFFICES[needed]:
            raise Refusal(FORBIDDEN, f"this needs the app role {needed}; have it assigned to you in Microsoft Entra ID")
        name = next((name for header in _PRINCIPAL_NAMES if (name := headers.get(header))), None)
        return Principal(name, [role for role in Role if role in roles][-1])

    def _admit_unknown(self, headers: Mapping[str, str], needed: Role) -> Principal:
        if self.key_role is not None:
            if self.key_role not in _SUFFICES[needed]:
                raise Refusal(
                    FORBIDDEN, f"this needs the role {needed}, and JOBS_KEY_ROLE makes a function key good for less"
                )
            return Principal(None, self.key_role)
        if self.local and _is_loopback(headers.get("host", "")):
            return Principal(None, Role.MANAGE)
        raise Refusal(
            CLOSED,
            "no setting says who may call this app: set JOBS_KEY_ROLE to what a function key is good for, or put "
            "sign-in before the app and set JOBS_ROLES. Without them it answers on a developer's own machine only",
        )


def refuse_cross_site(method: str, headers: Mapping[str, str]) -> None:
    """Raise ``Refusal`` for a write that a browser sends for another site's page with no credential but the browser's.

    Such a page could have a signed-in user's browser send its cookie along, or reach a developer's own machine. A key
    or a token in a header of its own is one that the page knows, and to send it needs the app's consent by CORS.
    """
    own = headers.get("x-functions-key") or headers.get("authorization")
    if method not in _READS and headers.get("sec-fetch-site", "none") not in _SAME_SITE and not own:
        raise Refusal(CROSS_SITE, "a page of another site sent this; open the app's own page, or send a key or a token")


def _is_loopback(host: str) -> bool:
    """Whether a ``Host`` header names this machine. A page of another site that resolves to it does not."""
    name = host.strip().lower()
    bare = name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0]
    return bare in {"localhost", "[::1]"} or _LOOPBACK.fullmatch(bare) is not None


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
