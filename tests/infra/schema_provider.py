"""Play Terraform's providers, as far as schemas go, so that the real Terraform checks ``infra/terraform`` offline.

``terraform validate`` asks a provider for its schema and then checks names, types, references and required arguments
by itself. ``terraform test`` with mocked providers goes on to evaluate everything. Both reach the providers here by
TF_REATTACH_PROVIDERS, so that nothing is downloaded. Behind them is a played Azure, by which plans can be applied. What
only a provider knows, such as which names it allows, is not checked.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from tests.infra.played_azure import Played
from tests.infra.protobuf_wire import message, number, text

FACTS = Path(__file__).parent / "facts"
_NESTINGS = {"single": 1, "list": 2, "set": 3}


@contextmanager
def served_providers() -> Iterator[dict[str, str]]:
    """Serve both providers on free ports; gives the environment in which Terraform finds them."""
    servers, attached = [], {}
    try:
        for name in ("azurerm", "azapi"):
            facts = json.loads((FACTS / f"{name}.json").read_text())
            server = grpc.server(ThreadPoolExecutor(8))
            played = Played(facts["resources"], facts["data_sources"])
            server.add_generic_rpc_handlers((_Provider(schemas_message(facts), played),))
            port = server.add_insecure_port("127.0.0.1:0")
            server.start()
            servers.append(server)
            attached[f"registry.terraform.io/{facts['provider']}"] = {
                "Protocol": "grpc",
                "ProtocolVersion": 6,
                "Pid": os.getpid(),
                "Test": True,
                "Addr": {"Network": "tcp", "String": f"127.0.0.1:{port}"},
            }
        yield {"TF_REATTACH_PROVIDERS": json.dumps(attached)}
    finally:
        for server in servers:
            server.stop(None).wait()


class _Provider(grpc.GenericRpcHandler):
    def __init__(self, schemas: bytes, played: Played) -> None:
        self._schemas = schemas
        self._played = played

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        service, method = handler_call_details.method.rsplit("/", 1)
        if service != "/tfplugin6.Provider":
            return None

        def answer(request: bytes, _context: grpc.ServicerContext) -> bytes:
            return self._schemas if method == "GetProviderSchema" else self._played.answer(method, request)

        return grpc.unary_unary_rpc_method_handler(answer)


def schemas_message(facts: dict[str, Any]) -> bytes:
    """Write the answer to GetProviderSchema, of Terraform's plugin protocol 6, in protobuf's wire format."""
    written = message(1, _schema(facts["configuration"]))
    for field, group in ((2, "resources"), (3, "data_sources")):
        for name, block in facts[group].items():
            written += message(field, text(1, name) + message(2, _schema(block)))
    return written


def _schema(block: dict[str, Any]) -> bytes:
    return message(2, _block(block))


def _attribute(name: str, kind: Any, modality: str) -> bytes:
    flag = number({"required": 4, "optional": 5, "computed": 6}[modality], 1)
    if isinstance(kind, dict):  # an object, of one value, with attributes of its own
        inner = b"".join(message(1, _attribute(name, *one)) for name, one in sorted(kind["attributes"].items()))
        return text(1, name) + flag + message(10, inner + number(3, 1))
    return text(1, name) + message(2, json.dumps(kind).encode()) + flag


def _block(block: dict[str, Any]) -> bytes:
    written = b""
    for name, (kind, modality) in sorted(block["attributes"].items()):
        written += message(2, _attribute(name, kind, modality))
    for name, nested in sorted(block.get("blocks", {}).items()):
        limits = number(4, 1 if nested["required"] else 0)
        if nested["nesting"] != "single":
            limits += number(5, 1 if nested["single"] else 0)
        else:
            limits = b""
        nesting = number(3, _NESTINGS[nested["nesting"]])
        written += message(3, text(1, name) + message(2, _block(nested)) + nesting + limits)
    return written
