"""Sign in to a storage account: by its key, or by a Microsoft Entra token."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import math
import threading
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from jobs.core.errors import SchedulerUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.adapters.storage_queue.account import StorageAccount

_VERSION = "2021-12-02"  # of the REST API: new enough for all that is used here, and known to emulators of some years
_SCOPE = "https://storage.azure.com/.default"
_RENEW_BEFORE_SECONDS = 300.0
_AFTER_A_FAILURE_SECONDS = 30.0


class Signs(Protocol):
    """Makes the headers of a signed request."""

    def headers(self, method: str, path: str, query: Mapping[str, str], length: int) -> dict[str, str]:
        """Return the headers. Raises ``SchedulerUnavailable`` where no token can be had."""


def signing_for(account: StorageAccount) -> Signs:
    """Return what signs requests to ``account``."""
    return KeySigning(account.name, account.key) if account.key is not None else TokenSigning(account)


class KeySigning:
    """Shared Key: each request has a digest of itself under the account's key.

    https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
    """

    def __init__(self, account: str, key: bytes) -> None:
        self._account, self._key = account, key

    def headers(self, method: str, path: str, query: Mapping[str, str], length: int) -> dict[str, str]:
        """Return the headers of a request whose body has ``length`` bytes; ``query`` is without escapes."""
        date = formatdate(usegmt=True)
        resource = f"/{self._account}{path}" + "".join(f"\n{name}:{query[name]}" for name in sorted(query))
        # Of the eleven headers that are signed beside those of x-ms-, only the body's length is sent.
        standard = "\n" * 2 + (str(length) if length else "") + "\n" * 9
        text = f"{method}\n{standard}x-ms-date:{date}\nx-ms-version:{_VERSION}\n{resource}"
        digest = hmac.new(self._key, text.encode(), hashlib.sha256).digest()
        signature = base64.b64encode(digest).decode()
        return {
            "x-ms-date": date,
            "x-ms-version": _VERSION,
            "Authorization": f"SharedKey {self._account}:{signature}",
        }


class TokenSigning:
    """A bearer token of the app's identity, kept until it nearly expires. Safe to share between threads.

    While the one at hand still holds, a single caller waits for the next, and after a failure none for half a minute:
    the libraries ask for minutes where the identity service is away. Without one, whoever waits for the answer to the
    same question shares it.
    """

    def __init__(self, account: StorageAccount) -> None:
        self._host = urlsplit(account.queues).hostname
        self._client_id, self._managed = account.client_id, account.managed_identity
        self._lock = threading.Lock()
        self._credential: Any = None
        self._token, self._expires = "", 0.0
        self._failed_at, self._why = -math.inf, ""

    def headers(self, method: str, path: str, query: Mapping[str, str], length: int) -> dict[str, str]:  # noqa: ARG002
        """Return the headers, the same for every request."""
        asked_at = time.monotonic()
        if self._is_old() and self._lock.acquire(blocking=not self._holds()):
            try:
                self._renew(asked_at)
            finally:
                self._lock.release()
        return {"x-ms-version": _VERSION, "Authorization": f"Bearer {self._token}"}

    def _is_old(self) -> bool:
        return time.time() > self._expires - _RENEW_BEFORE_SECONDS

    def _holds(self) -> bool:
        return time.time() < self._expires

    def _renew(self, asked_at: float) -> None:
        """Ask for a token, unless another thread has had an answer since ``asked_at``."""
        if not self._is_old():
            return
        if self._failed_at < asked_at - (_AFTER_A_FAILURE_SECONDS if self._holds() else 0.0):
            try:
                if self._credential is None:
                    self._credential = _credential(self._client_id, managed=self._managed)
                token = self._credential.get_token(_SCOPE)
            except Exception as error:  # noqa: BLE001  whatever it is, there is no token
                self._failed_at, self._why = time.monotonic(), str(error)
            else:
                self._token, self._expires = str(token.token), float(token.expires_on)
        if not self._holds():
            raise SchedulerUnavailable(f"no token for the storage queue at {self._host}: {self._why}")


def _credential(client_id: str | None, *, managed: bool) -> Any:
    from azure.identity import DefaultAzureCredential, ManagedIdentityCredential  # noqa: PLC0415  half a second

    # For every token it would log the headers of each request and response.
    logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)
    if managed:
        return ManagedIdentityCredential(client_id=client_id)
    return DefaultAzureCredential(managed_identity_client_id=client_id)
