"""The README of the infrastructure names only what there is."""

from __future__ import annotations

import json
import re
import subprocess

from tests.infra.bicep_compiler import BICEP, parameters
from tests.infra.snapshots import kept
from tests.infra.terraform_files import FACTS, everything
from tests.infra.test_precheck import NAMESPACES

INFRA = BICEP.parent
TEXT = (INFRA / "README.md").read_text()


def test_outputs_that_are_read_are_put_out() -> None:
    read = set(re.findall(r"\$\(out (\w+)\)", TEXT))
    assert read
    assert read <= set(kept("flex_by_default").outputs)


def test_terraforms_outputs_are_read_by_bicep_names() -> None:
    [rewrite] = re.findall(r'output -raw "\$\((.*?)\)"; \}', TEXT)
    outputs = {name for block in everything()["output"] for name in block}
    for name in kept("flex_by_default").outputs:
        answer = subprocess.run(["sh", "-c", rewrite, "sh", name], capture_output=True, text=True, check=True)
        assert answer.stdout.strip() in outputs


def test_parameters_that_are_named_are_taken() -> None:
    variables = {name for block in everything()["variable"] for name in block}
    given = set(re.findall(r"--parameters (\w+)=", TEXT))
    ours = {"runtimeRole", "migrationUrl", "functionTimeout", "telemetryMode", "targetPort", "secretObjects",
            "outboundIpAddress"}  # fmt: skip
    named = {word for word in re.findall(r"`([a-z]+(?:[A-Z][a-z]+)+)`", TEXT) if word not in ours}
    assert given | named <= set(parameters())
    snake = set(re.findall(r"`((?:database|container)_\w+)`", TEXT))
    assert snake
    assert snake <= variables


def test_files_that_are_named_are_there() -> None:
    root = INFRA.parent
    for path in set(re.findall(r"infra/[\w./]+\.(?:bicepparam|tfvars|bicep)", TEXT)):
        assert (root / path).is_file(), path


def test_every_alert_is_explained() -> None:
    alerts = {alert["name"] for alert in json.loads((INFRA / "alerts.json").read_text())}
    alerts |= {"database-connections", "database-cpu", "database-storage", "storage-failing"}
    assert alerts == set(re.findall(r"^\| `([a-z-]+)` \| [^|]+ \|$", TEXT, re.MULTILINE)) - {"flex", "dapr"}


def test_every_namespace_that_is_deployed_to_is_registered_beforehand() -> None:
    [loop] = re.findall(r"for namespace in (.*?); do", TEXT, re.DOTALL)
    assert set(loop.replace("\\\n", " ").split()) == NAMESPACES


def test_every_role_that_is_given_is_explained() -> None:
    roles = {
        role["role_definition_name"]
        for block in everything()["resource"]
        for named in [block.get("azurerm_role_assignment", {})]
        for role in named.values()
    }
    assert roles
    for role in roles:
        assert role in TEXT


def test_links_lead_to_headings() -> None:
    headings = {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    }
    for target in re.findall(r"\]\(#([^)]+)\)", TEXT):
        assert target in headings


def test_the_providers_that_it_tells_of_are_those_of_the_facts() -> None:
    for provider in ("azurerm", "azapi"):
        assert f"{provider} {json.loads((FACTS / f'{provider}.json').read_text())['version']}" in TEXT
