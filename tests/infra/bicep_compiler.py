"""Microsoft's Bicep compiler: what it says of ``infra/bicep``, and what a deployment would hand to Azure.

One process of it serves all tests, by the protocol that it has for editors: it takes seconds to start.
"""

from __future__ import annotations

import atexit
import json
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

from tests.infra.linters import missing, with_tools

BICEP = Path(__file__).parents[2] / "infra" / "bicep"
MISSING = "the checks by Bicep itself need `bicep` on PATH; `az bicep install` puts it into ~/.azure/bin"
# A deployment of nobody's, so that a snapshot is the same wherever it is taken.
_PLACE = {
    "tenantId": "55555555-5555-5555-5555-555555555555",
    "subscriptionId": "00000000-0000-0000-0000-000000000000",
    "resourceGroup": "jobs",
    "location": "westeurope",
    "deploymentName": "jobs",
}


class Refused(Exception):
    """What the compiler, or a deployment, says of files and parameters that it does not take."""


class _Compiler:
    def __init__(self, program: str) -> None:
        self._process = subprocess.Popen(
            [program, "jsonrpc", "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        atexit.register(self._end)

    def ask(self, method: str, **arguments: Any) -> dict[str, Any]:
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None
        assert answers is not None
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": f"bicep/{method}", "params": [arguments]}).encode()
        requests.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        requests.flush()
        length = 0
        while (header := answers.readline().strip()) != b"":
            name, _, value = header.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        answer = json.loads(answers.read(length))
        if "error" in answer:
            raise Refused(answer["error"]["message"])
        return dict(answer["result"])

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate()


@lru_cache
def _compiler() -> _Compiler | None:
    found = shutil.which("bicep")
    return _Compiler(found) if found else None


def _ask(method: str, **arguments: Any) -> dict[str, Any]:
    with_tools()
    compiler = _compiler()
    if compiler is None:
        missing(MISSING)
    return compiler.ask(method, **arguments)


def complaints(file: Path) -> list[str]:
    """Tell what the compiler and the rules of ``bicepconfig.json`` find in a file and its modules."""
    found = _ask("compile", path=str(file))["diagnostics"]
    return [
        f"{Path(one['source']).name}:{one['range']['start']['line'] + 1} {one['code']}: {one['message']}"
        for one in found
    ]


def formatted(file: Path) -> str:
    """Give a file as the compiler writes it."""
    return str(_ask("format", path=str(file))["contents"])


def snapshot(parameters: Path) -> str:
    """Give every resource that a parameter file comes to, as Azure would be handed it; raises ``Refused``."""
    try:
        answer = _ask("getSnapshot", path=str(parameters), metadata=_PLACE, externalInputs=[])
    except Refused as refused:
        found = _ask("compileParams", path=str(parameters), parameterOverrides={})["diagnostics"]
        raise Refused("\n".join([str(refused), *(one["message"] for one in found)])) from None
    written = json.loads(answer["snapshot"])
    if written["diagnostics"]:
        raise Refused(json.dumps(written["diagnostics"]))
    written["outputs"] = dict(sorted(written["outputs"].items()))  # which the compiler gives in any order
    return json.dumps(written, indent=2) + "\n"


@lru_cache
def template(file: Path = BICEP / "main.bicep") -> dict[str, Any]:
    """Compile a file into the template that Azure Resource Manager takes."""
    return dict(json.loads(_ask("compile", path=str(file))["contents"]))


def parameters() -> dict[str, dict[str, Any]]:
    """Give the parameters of ``main.bicep`` by name: their type, default, bounds and description."""
    return dict(template()["parameters"])


def required() -> set[str]:
    """Name the parameters without a default."""
    return {name for name, one in parameters().items() if "defaultValue" not in one and not one.get("nullable", False)}


def description(declared: dict[str, Any]) -> str | None:
    """Give the description of a parameter or output."""
    written = declared.get("metadata", {}).get("description")
    return None if written is None else str(written)
