"""What a storage queue refuses, and what to do about it."""

from __future__ import annotations

from http import HTTPStatus

from jobs.core.errors import SchedulerUnavailable

MISSING = "QueueNotFound"
GONE = "MessageNotFound"
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE})
_MENDS = {
    MISSING: "create the queue {name}, or let the app's identity create it: Storage Queue Data Contributor",
    "AuthenticationFailed": "it refuses the signature: see that the key is current, and the clock right",
    "AuthorizationFailure": "the account's network rules refuse this app: let its network in",
    "AuthorizationPermissionMismatch": "grant the app's identity Storage Queue Data Contributor on the account",
    "InsufficientAccountPermissions": "grant the app's identity Storage Queue Data Contributor on the account",
    "KeyBasedAuthenticationNotPermitted": "the account refuses keys: set …__queueServiceUri, for an identity",
    "QueueBeingDeleted": "the queue {name} is being deleted, which takes half a minute; it is created anew then",
    "InvalidAuthenticationInfo": "it refuses the token: see that this machine's clock is right",
    "InvalidResourceName": "{name} is no name of a queue: 3 to 63 lowercase letters, digits and single hyphens",
}


class QueueRefused(SchedulerUnavailable):
    """The service answers, and refuses.

    ``missing``: there is no such queue. ``busy``: another call may succeed. ``forbidden``: the caller may not do this.
    """

    def __init__(self, message: str, status: int, code: str | None) -> None:
        super().__init__(message)
        self.missing = code == MISSING
        self.busy = status in _BUSY
        self.forbidden = status == HTTPStatus.FORBIDDEN
        self.gone = code in {GONE, "PopReceiptMismatch"}
        """Whether the message was taken by somebody else meanwhile, or deleted."""

    @classmethod
    def of(cls, name: str, place: str, status: int, code: str | None) -> QueueRefused:
        """Make the error for an answer with ``status`` and the service's own ``code``."""
        mend = _MENDS.get(code or "", "").format(name=name)
        said = f"the storage queue {name} at {place} answered {status} {code or ''}".rstrip()
        return cls(f"{said}: {mend}" if mend else said, status, code)
