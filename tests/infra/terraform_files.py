"""Read ``infra/terraform``: by python-hcl2 what is written there, and by the real Terraform what becomes of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import hcl2

FOLDER = Path(__file__).parents[2] / "infra" / "terraform"
FACTS = Path(__file__).parent / "facts"
MISSING = "the checks by Terraform itself need `terraform` 1.11 or newer on PATH; install it from HashiCorp"
_OWN = {"count", "for_each", "depends_on", "provider"}  # what any resource may have, whatever its type
_OWN_BLOCKS = {"lifecycle", "provisioner", "connection"}


def parsed(text: str) -> dict[str, list[Any]]:
    """Read one file's text: blocks as lists by name, expressions as ``${…}``, literals as what they are."""
    return dict(_plain(hcl2.loads(text)))


@lru_cache
def everything() -> dict[str, list[Any]]:
    """Read all files of the folder as one."""
    merged: dict[str, list[Any]] = {}
    for path in sorted(FOLDER.glob("*.tf")):
        for name, blocks in parsed(path.read_text()).items():
            merged.setdefault(name, []).extend(blocks)
    return merged


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_plain(k): _plain(v) for k, v in value.items() if k not in {"__is_block__", "__comments__"}}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1] if "${" in value else json.loads(value)
    return value


@lru_cache
def schemas() -> dict[str, Any]:
    """Give every known type's schema: ``resource azurerm_…`` and ``data azurerm_…``."""
    known = {
        "resource terraform_data": {"attributes": {"triggers_replace": ["dynamic", "optional"]}}
    }  # Terraform's own
    for name in ("azurerm", "azapi"):
        facts = json.loads((FACTS / f"{name}.json").read_text())
        known |= {f"resource {kind}": schema for kind, schema in facts["resources"].items()}
        known |= {f"data {kind}": schema for kind, schema in facts["data_sources"].items()}
    return known


def schema_faults(files: dict[str, list[Any]]) -> Iterator[str]:
    """Tell which resources, arguments and blocks the providers do not know, and which required ones are missing."""
    for mode in ("resource", "data"):
        for block in files.get(mode, []):
            for kind, named in block.items():
                for name, body in named.items():
                    schema = schemas().get(f"{mode} {kind}")
                    if schema is None:
                        yield f"{mode} {kind}: no such type among the facts; add it to extract_facts.py if it is real"
                    else:
                        yield from _block_faults(schema, body, f"{kind}.{name}")


def _block_faults(schema: dict[str, Any], body: dict[str, Any], path: str) -> Iterator[str]:
    blocks = schema.get("blocks", {})
    attributes = schema["attributes"]
    dynamic = {name: one["content"] for item in body.get("dynamic", []) for name, one in item.items()}
    written = {name: value for name, value in body.items() if name not in _OWN | _OWN_BLOCKS | {"dynamic"}} | dynamic
    for name, value in written.items():
        if name in blocks:
            for inner in value if isinstance(value, list) else [value]:
                yield from _block_faults(blocks[name], inner, f"{path}.{name}")
        elif name not in attributes:
            yield f"{path}.{name} is not known"
        elif attributes[name][1] == "computed":
            yield f"{path}.{name} cannot be set"
    needed = {name for name, (_, modality) in attributes.items() if modality == "required"}
    needed |= {name for name, one in blocks.items() if one["required"]}
    for name in sorted(needed - set(written)):
        yield f"{path}.{name} is missing"


def find_terraform() -> str | None:
    """Give the path of a Terraform that is new enough for mocks at plan time; None where there is none."""
    path = shutil.which("terraform")
    if path is None:
        return None
    answer = terraform(["version", "-json"], {}, Path.cwd())
    try:
        major, minor = json.loads(answer.stdout)["terraform_version"].split(".")[:2]
    except (ValueError, KeyError):
        return None
    return path if (int(major), int(minor)) >= (1, 11) else None


def terraform(arguments: list[str], environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Terraform in ``folder``, with no configuration of this machine's and no look for a newer version."""
    settings = {"TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    return subprocess.run(
        ["terraform", *arguments],
        env=os.environ | settings | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
