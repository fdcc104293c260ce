"""What each scenario comes to in Bicep: the compiler's snapshots, which are kept beside the scenarios.

A change of ``infra/bicep`` is a change of these files, so that a review shows what it does to Azure. Write them anew by
``python -m tests.infra.snapshots``.
"""

from __future__ import annotations

import ast
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from tests.infra.bicep_compiler import snapshot

SCENARIOS = Path(__file__).parent / "scenarios"

# What Azure would answer, as the mocks of Terraform's shipped tests have it: by resource type and property.
KNOWN = {
    "Microsoft.ManagedIdentity/userAssignedIdentities": {
        "clientId": "11111111-1111-1111-1111-111111111111",
        "principalId": "22222222-2222-2222-2222-222222222222",
    },
    "Microsoft.KeyVault/vaults": {"vaultUri": "https://example.vault.azure.net/"},
    "Microsoft.Storage/storageAccounts": {
        "primaryEndpoints": {
            "blob": "https://example.blob.core.windows.net/",
            "queue": "https://example.queue.core.windows.net/",
        }
    },
    "Microsoft.DBforPostgreSQL/flexibleServers": {"fullyQualifiedDomainName": "example.postgres.database.azure.com"},
    "Microsoft.ContainerRegistry/registries": {"loginServer": "example.azurecr.io"},
    "Microsoft.Insights/components": {"ConnectionString": "InstrumentationKey=example"},
    "Microsoft.Network/publicIPAddresses": {"ipAddress": "203.0.113.7"},
    "Microsoft.Web/sites": {"defaultHostName": "app.azurewebsites.net"},
    "Microsoft.App/containerApps": {"configuration": {"ingress": {"fqdn": "app.example.azurecontainerapps.io"}}},
}
GROUP = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/jobs"
_CLOUD = {
    "suffixes": {"storage": "core.windows.net"},
    "authentication": {"loginEndpoint": "https://login.microsoftonline.com/"},
}


@dataclass(frozen=True)
class Made:
    """A resource, as it is handed to Azure. Its scope is the type of the resource that it extends, such as a role's."""

    kind: str
    version: str
    name: str
    body: dict[str, Any]
    scope: str


@dataclass(frozen=True)
class Snapshot:
    """What a scenario makes, modules included, and what it puts out."""

    resources: list[Made]
    outputs: dict[str, Any]


def names() -> list[str]:
    """Name the scenarios."""
    return sorted(path.stem for path in SCENARIOS.glob("*.bicepparam"))


@lru_cache
def kept(name: str) -> Snapshot:
    """Read a scenario's snapshot, with Azure's answers filled in."""
    return read(file_of(name).read_text())


def read(text: str) -> Snapshot:
    """Fill Azure's answers into a snapshot."""
    resources, written = [], json.loads(text)
    for one in written["predictedResources"]:
        body = {key: filled(value) for key, value in one.items() if key not in {"id", "type", "apiVersion"}}
        resources.append(Made(one["type"], one["apiVersion"], str(body["name"]), body, _scope(one["id"])))
    return Snapshot(resources, {name: filled(value) for name, value in written["outputs"].items()})


def filled(value: Any) -> Any:
    """Evaluate what the compiler leaves to Azure; anything but references and texts made of them raises."""
    if isinstance(value, dict):
        return {str(filled(key)): filled(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(item) for item in value]
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        # An expression of a template reads as one of Python, as long as its texts have no quotation marks in them.
        return _evaluated(ast.parse(value[1:-1], mode="eval").body)
    return value


def _evaluated(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Attribute(value=owner, attr=name):
            return _evaluated(owner)[name]
        case ast.Call(func=ast.Name(id=name), args=arguments) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*map(_evaluated, arguments))
    raise AssertionError(f"{ast.unparse(node)} is more than is understood")


def _reference(resource: str, _version: str = "", full: str = "") -> dict[str, Any]:
    """Answer for Azure; whoever asks for all of a resource asks for one from before, and each scenario is the first."""
    migrator = {"principalId": "66666666-6666-6666-6666-666666666666"} if resource.endswith("-migrator") else {}
    return {} if full else KNOWN[_kind(resource)] | migrator


def _resource_id(_subscription: str, _group: str, kind: str, *names: str) -> str:
    provider, *types = kind.split("/")
    return "/".join(
        [f"{GROUP}/providers/{provider}", *(f"{one}/{name}" for one, name in zip(types, names, strict=True))]
    )


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "reference": _reference,
    "resourceId": _resource_id,
    "environment": lambda: _CLOUD,
    "null": lambda: None,
    "format": lambda text, *values: text.format(*values),
    "tryGet": lambda owner, *_: owner or None,
    "coalesce": lambda *values: next((value for value in values if value is not None), None),
    "max": max,
    "deployer": lambda: {"objectId": "77777777-7777-7777-7777-777777777777"},
    "guid": lambda *parts: str(uuid5(NAMESPACE_URL, "/".join(parts))),
    "extensionResourceId": lambda scope, kind, name: f"{scope}/providers/{kind}/{name}",
}


def _kind(resource_id: str) -> str:
    provider, *pairs = resource_id.rsplit("/providers/", maxsplit=1)[-1].split("/")
    return "/".join([provider, *pairs[::2]])


def _scope(resource_id: str) -> str:
    if resource_id.startswith("[extensionResourceId("):  # named by who deploys
        resource_id = filled(resource_id)
    parts = resource_id.split("/providers/")
    return _kind(parts[-2]) if len(parts) > 2 else ""


def file_of(name: str) -> Path:
    """Say where a scenario's snapshot is kept."""
    return SCENARIOS / f"{name}.snapshot.json"


def taken(name: str) -> str:
    """Take a scenario's snapshot."""
    return snapshot(SCENARIOS / f"{name}.bicepparam")


def template_of(name: str) -> dict[str, Any]:
    """Write a scenario's snapshot as a template, which linters of templates read."""
    schema = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
    resources = json.loads(file_of(name).read_text())["predictedResources"]
    return {"$schema": schema, "contentVersion": "1.0.0.0", "resources": resources}


def main() -> None:
    """Write each scenario's snapshot anew; with a folder, write the two shapes as templates into that."""
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1])
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("flex_by_default", "dapr"):
            (folder / f"{name}.json").write_text(json.dumps(template_of(name), indent=2))
        return
    os.environ["JOBS_INFRA_CHECK"] = "all"
    for name in names():
        file_of(name).write_text(taken(name))


if __name__ == "__main__":
    main()
