"""A Microsoft Entra token in place of a password. azure-identity is imported only when a token is needed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SCOPE = "https://ossrdbms-aad.database.windows.net/.default"
"""The scope of tokens for Azure Database for PostgreSQL (Microsoft Learn, "Connect with managed identity")."""


def entra_password(client_id: str | None = None) -> Callable[[], str]:
    """Return a function that fetches a token for each new connection. The library caches it until it nearly expires.

    ``client_id`` names a user-assigned managed identity. On a developer's machine the Azure CLI's login is used.
    """
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415  half a second of import, only when chosen

    # For every token it would log the headers of each request and response.
    logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)
    credential = DefaultAzureCredential(managed_identity_client_id=client_id)
    return lambda: str(credential.get_token(SCOPE).token)
