"""Find the storage account in the app's settings, as the Functions host finds it for a trigger."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from jobs.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_OTHER_SERVICES = ("blob", "table", "file", "dfs")
_EMULATED = "UseDevelopmentStorage=true"
_EMULATOR_ACCOUNT = "devstoreaccount1"
# Not a secret: every emulator has this account and this key, and no other service accepts them.
# https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
_EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_EMULATOR_QUEUES = "http://127.0.0.1:10001/devstoreaccount1"


class StorageAccount(NamedTuple):
    """A storage account's queue service, and how to sign in: by ``key``, or, where that is None, by an identity.

    ``client_id`` names a user-assigned identity. ``managed_identity`` rules out every identity but the platform's.
    """

    queues: str
    name: str
    key: bytes | None = None
    client_id: str | None = None
    managed_identity: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, str], connection: str) -> StorageAccount:
        """Read the setting ``connection``, or those that begin with it and two underscores.

        Raises ``ConfigurationError`` naming the setting that is missing or wrong.
        """
        found = {name.casefold(): value for name, value in settings.items() if value}

        def setting(suffix: str) -> str | None:
            return found.get(f"{connection}{suffix}".casefold())

        if (text := setting("")) is not None:
            return _from_connection_string(text, connection)
        uri, name = setting("__queueServiceUri"), setting("__accountName")
        if uri is None and name is None:
            raise ConfigurationError(
                f"neither {connection} nor {connection}__queueServiceUri is set; set the one to a connection string, "
                "or the other to https://ACCOUNT.queue.core.windows.net, which signs in by identity"
            )
        uri = (uri or f"https://{name}.queue.core.windows.net").rstrip("/")
        if not uri.lower().startswith("https://"):
            raise ConfigurationError(f"{connection}__queueServiceUri does not begin with https://, as a token needs it")
        _check_address(uri, f"{connection}__queueServiceUri")
        managed = (setting("__credential") or "").casefold() == "managedidentity"
        return cls(uri, name or "", None, setting("__clientId"), managed)


def _check_address(uri: str, setting: str) -> None:
    """Raise ``ConfigurationError`` for what a portal shows beside the address of the account's queues."""
    parts = urlsplit(uri)
    host = parts.hostname or ""
    if parts.query:
        raise ConfigurationError(f"{setting} has a query, such as a shared access signature, which is not used; cut it")
    for service in _OTHER_SERVICES:
        if f".{service}." in host:
            queues = host.replace(f".{service}.", ".queue.", 1)
            raise ConfigurationError(f"{setting} is not the address of the account's queues; write https://{queues}")
    if ".queue." in host and parts.path.strip("/"):
        raise ConfigurationError(f"{setting} names a queue; write the address of the account's queues, https://{host}")


def _from_connection_string(text: str, setting: str) -> StorageAccount:
    if text.strip().rstrip(";") == _EMULATED:
        return StorageAccount(_EMULATOR_QUEUES, _EMULATOR_ACCOUNT, base64.b64decode(_EMULATOR_KEY))
    parts = dict(part.strip().split("=", 1) for part in text.split(";") if "=" in part)
    name, key = parts.get("AccountName"), parts.get("AccountKey")
    if not name or not key:
        raise ConfigurationError(
            f"{setting} is no connection string with AccountName and AccountKey; copy one from the storage account, or "
            f"set {setting}__queueServiceUri in its place, which signs in by identity"
        )
    suffix = parts.get("EndpointSuffix", "core.windows.net")
    uri = parts.get("QueueEndpoint") or f"{parts.get('DefaultEndpointsProtocol', 'https')}://{name}.queue.{suffix}"
    _check_address(uri, setting)
    try:
        return StorageAccount(uri.rstrip("/"), name, base64.b64decode(key, validate=True))
    except binascii.Error:
        raise ConfigurationError(
            f"the AccountKey in {setting} is not base64; copy the connection string again"
        ) from None
