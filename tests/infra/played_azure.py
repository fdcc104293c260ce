"""Play Azure behind Terraform's providers: what is applied is kept, what only Azure knows is made up.

So the real Terraform can apply ``infra/terraform``, and plan it again on the state that it wrote or on one that Azure
has changed in the meantime. What Azure refuses is told as the provider tells it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgpack

from tests.infra.protobuf_wire import fields, message, number, text

GROUP = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/jobs"
# What Azure has made already when the app is there: a provider that is asked to make it refuses.
SINGLETONS = (
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies",
    "Microsoft.Web/sites/config",
    "Microsoft.Storage/storageAccounts/blobServices",
    "Microsoft.Storage/storageAccounts/queueServices",
)
_UNKNOWN = msgpack.ExtType(0, b"\0")
_KNOWN: dict[str, dict[str, Any]] = {
    "azurerm_client_config": {
        "tenant_id": "55555555-5555-5555-5555-555555555555",
        "object_id": "77777777-7777-7777-7777-777777777777",
    },
    "azurerm_resource_group": {"id": GROUP, "location": "westeurope"},
    "azurerm_storage_account": {
        "primary_blob_endpoint": "https://example.blob.core.windows.net/",
        "primary_queue_endpoint": "https://example.queue.core.windows.net/",
    },
    "azapi_resource": {
        "output": {
            "properties": {
                "defaultHostName": "app.azurewebsites.net",
                "configuration": {"ingress": {"fqdn": "app.example.azurecontainerapps.io"}},
            }
        }
    },
}


_CALLS = {"UpgradeResourceState", "ReadResource", "PlanResourceChange", "ReadDataSource", "ApplyResourceChange"}


class Played:
    """The calls of plugin protocol 6 that planning and applying make, answered from the schemas alone."""

    def __init__(self, resources: dict[str, Any], data_sources: dict[str, Any]) -> None:
        self._blocks = resources | data_sources

    def answer(self, method: str, request: bytes) -> bytes:
        """Answer a call; an empty message, which means no objection, where there is nothing to say."""
        if method not in _CALLS:
            return b""
        asked = fields(request)
        kind = asked[1].decode()
        match method:
            case "UpgradeResourceState":
                return message(1, message(2, fields(asked[3])[1]))
            case "ReadResource":
                return message(1, asked[2])
            case "PlanResourceChange":
                return message(1, self._planned(kind, _unpacked(asked[2]), asked[3]))
            case "ReadDataSource":
                return message(1, _packed(self._settled(kind, _unpacked(asked[2]), reading=True)))
        return self._applied(kind, asked)

    def _applied(self, kind: str, asked: dict[int, bytes]) -> bytes:
        planned = _unpacked(asked[3])
        fault = next(_refusals(kind, _unpacked(asked[2]), planned), None)
        if fault is None:
            return message(1, _packed(self._settled(kind, planned)))
        diagnostic = number(1, 1) + text(2, fault)  # an error
        return message(1, asked[2]) + message(3, diagnostic)

    def _planned(self, kind: str, before: Any, proposed: bytes) -> bytes:
        """Leave open what only Azure will know of something new; what is there keeps what it has."""
        after = _unpacked(proposed)
        if before is not None or after is None:
            return proposed
        computed = (name for name, (_, modality) in self._blocks[kind]["attributes"].items() if modality == "computed")
        return _packed(after | dict.fromkeys(computed, _UNKNOWN))

    def _settled(self, kind: str, value: Any, *, reading: bool = False) -> Any:
        """Put a value where the plan says that only Azure knows it; a data source leaves such attributes empty."""
        if value is None:
            return None
        known = _KNOWN.get(kind, {})
        for name, (type_, modality) in self._blocks[kind]["attributes"].items():
            if isinstance(value[name], msgpack.ExtType) or (reading and modality == "computed"):
                made_up = f"{GROUP}/{kind}/{value.get('name')}" if name == "id" else f"{kind}.{name}"
                value[name] = _typed(type_, known.get(name, made_up))
        return value


def _typed(type_: Any, value: Any) -> Any:
    match type_:
        case "dynamic":
            return [json.dumps(_type_of(value)).encode(), value]
        case "number" | "bool":
            return {"number": 1, "bool": False}[type_]
        case ["map", *_]:
            return {}
        case [*_]:
            return []
    return value


def _type_of(value: Any) -> Any:
    if isinstance(value, dict):
        return ["object", {key: _type_of(inner) for key, inner in value.items()}]
    return "string"


def _refusals(kind: str, before: Any, after: Any) -> Iterator[str]:
    if kind == "azapi_resource" and before is None and after["type"].split("@")[0] in SINGLETONS:
        yield f"A resource with this ID already exists: {after['type']} {after['name']}"
    if kind == "azurerm_postgresql_flexible_server" and before is not None and after is not None:
        if after["storage_mb"] < before["storage_mb"]:
            yield "storage_mb can only be scaled up"
        if after["zone"] != before["zone"] or _standby(after) != _standby(before):
            yield "zone can only be changed by exchanging it with the standby's"


def _standby(server: dict[str, Any]) -> Any:
    return [one["standby_availability_zone"] for one in server["high_availability"]]


def _unpacked(dynamic_value: bytes) -> Any:
    return msgpack.unpackb(fields(dynamic_value)[1], strict_map_key=False)


def _packed(value: Any) -> bytes:
    return message(1, msgpack.packb(value))
