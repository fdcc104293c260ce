"""Write down what Terraform's providers and azd accept, for just the types that ``infra/`` uses, into ``facts/``.

Run it after an update of a provider or an API version, or with a new type in its lists:

    python -m tests.infra.extract_facts --azurerm PACKAGE --azapi REPOSITORY --azd REPOSITORY

``PACKAGE`` is the unpacked npm package @cdktf/provider-azurerm, whose bindings are made from the provider's schema;
the repositories are checkouts of Azure/terraform-provider-azapi and Azure/azure-dev. None is needed to run tests.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from tests.infra.azd_schema import azd_facts

FACTS = Path(__file__).parent / "facts"
RESOURCES = [
    "application_insights",
    "application_insights_workbook",
    "container_app_environment",
    "container_registry",
    "key_vault",
    "log_analytics_workspace",
    "monitor_action_group",
    "monitor_diagnostic_setting",
    "monitor_metric_alert",
    "monitor_scheduled_query_rules_alert_v2",
    "nat_gateway",
    "nat_gateway_public_ip_association",
    "network_security_group",
    "postgresql_flexible_server",
    "postgresql_flexible_server_configuration",
    "postgresql_flexible_server_database",
    "postgresql_flexible_server_firewall_rule",
    "private_dns_zone",
    "private_dns_zone_virtual_network_link",
    "private_endpoint",
    "public_ip",
    "role_assignment",
    "service_plan",
    "storage_account",
    "storage_container",
    "subnet",
    "subnet_nat_gateway_association",
    "subnet_network_security_group_association",
    "user_assigned_identity",
    "virtual_network",
]
DATA_SOURCES = ["client_config", "resource_group"]
_MEMBER = re.compile(
    r"#(?P<name>\w+) \w+#\w+\}(?:(?!\*/).)*\*/\s+readonly \w+(?P<optional>\??): (?P<type>\{[^}]*\}|[^;]+);", re.DOTALL
)
_HCL = re.compile(r'(\w+): \{\s*value: [^\n]+,\s*isBlock: \w+,\s*type: "(\w+)",')
_COMPUTED = re.compile(
    r"// (\w+) - computed: true, optional: false, required: false\s+get \w+\(\) \{\s+return (?:cdktf\.Fn\.tolist\()?"
    r"this\.get(\w+)Attribute\("
)
_SCALARS = {"string": "string", "number": "number", "boolean": "bool"}


class Bindings:
    """One resource's bindings: its interfaces in TypeScript, and which of their members are lists or sets."""

    def __init__(self, folder: Path) -> None:
        declarations = (folder / "index.d.ts").read_text()
        self._script = (folder / "index.js").read_text()
        self._interfaces = dict(re.findall(r"export interface (\w+)[^{]*\{\n(.*?)\n\}", declarations, re.DOTALL))
        self.name = re.findall(r"export declare class (\w+) extends cdktf\.Terraform(?:Resource|DataSource|Provider)",
                               declarations)[0]  # fmt: skip

    def block(self) -> dict[str, Any]:
        """Give the whole type, with the attributes that only the provider sets."""
        block = self._block(f"{self.name}Config", "synthesizeHclAttributes() {")
        script = self._script[self._script.index(f"class {self.name} extends") :]
        computed = {"String": "string", "Number": "number", "Boolean": "bool", "List": ["list", "string"],
                    "StringMap": ["map", "string"]}  # fmt: skip
        for name, kind in _COMPUTED.findall(script):
            if kind in computed:
                block["attributes"][name] = [computed[kind], "computed"]
        block["attributes"]["id"] = ["string", "computed"]
        return block

    def _block(self, interface: str, function: str) -> dict[str, Any]:
        attributes: dict[str, Any] = {}
        blocks: dict[str, Any] = {}
        start = self._script.find(function)
        body = self._script[start : self._script.find("\n}" if function.startswith("function") else "\n    }\n", start)]
        collections = dict(_HCL.findall(body))
        for member in _MEMBER.finditer(self._interfaces[interface]):
            name, required = member["name"], not member["optional"]
            kind = member["type"].removesuffix(" | cdktf.IResolvable").strip()
            element = kind.removesuffix("[]")
            if element in self._interfaces:
                nested = self._block(element, f"function {element[0].lower()}{element[1:]}ToHclTerraform(")
                nesting = {"struct": "single"}.get(collections.get(name, "list"), collections.get(name, "list"))
                limits = {"nesting": nesting, "required": required, "single": not kind.endswith("[]")}
                blocks[name] = limits | nested
            else:
                attributes[name] = [
                    _type_of(kind, collections.get(name, "list")),
                    "required" if required else "optional",
                ]
        return {"attributes": attributes, "blocks": blocks} if blocks else {"attributes": attributes}


def _type_of(kind: str, collection: str) -> Any:
    if kind in _SCALARS:
        return _SCALARS[kind]
    if kind.startswith("{"):
        return ["map", _SCALARS[kind.split("]: ")[1].split(";", maxsplit=1)[0].split(" |", maxsplit=1)[0].strip()]]
    return [collection, _SCALARS[kind.removesuffix("[]")]]


def azurerm_facts(package: Path) -> dict[str, Any]:
    """Read the bindings of the provider azurerm."""
    provider = json.loads((package / "package.json").read_text())["cdktf"]["provider"]
    bindings = package / "lib"
    return {
        "provider": "hashicorp/azurerm",
        "version": provider["version"],
        "source": "the npm package @cdktf/provider-azurerm",
        "configuration": Bindings(bindings / "provider").block(),
        "resources": {f"azurerm_{n}": Bindings(bindings / n.replace("_", "-")).block() for n in RESOURCES},
        "data_sources": {
            f"azurerm_{n}": Bindings(bindings / f"data-azurerm-{n.replace('_', '-')}").block() for n in DATA_SOURCES
        },
    }


def azapi_facts(repository: Path) -> dict[str, Any]:
    """Read the documentation of its resources, which is generated from their schemas."""
    [version] = re.findall(r"^## v(\S+)$", (repository / "CHANGELOG.md").read_text(), re.MULTILINE)[:1]
    return {
        "provider": "azure/azapi",
        "version": version,
        "source": "the repository Azure/terraform-provider-azapi, docs/",
        "configuration": {"attributes": {}},
        "resources": {f"azapi_{name}": _azapi_block(repository, name) for name in ("resource", "update_resource")},
        "data_sources": {},
    }


def _azapi_block(repository: Path, name: str) -> dict[str, Any]:
    page = (repository / f"docs/resources/{name}.md").read_text()
    own, *nested = re.split(r"^### Nested Schema for ", page[page.index("### Required") :], flags=re.MULTILINE)
    block = _documented(own)
    block["blocks"] = {}
    for section in nested:
        inner = re.findall(r"`(\w+)`", section)[0]
        if f"- `{inner}` (Object)" in own:  # an attribute with attributes, and no block
            block["attributes"][inner] = [_documented(section), "optional"]
            continue
        block["blocks"][inner] = {"nesting": "list", "required": False, "single": True} | _documented(section)
        block["attributes"].pop(inner, None)
    return block


def _documented(section: str) -> dict[str, Any]:
    types = {"String": "string", "Boolean": "bool", "Number": "number", "Int64": "number", "Float64": "number",
             "Dynamic": "dynamic",
             "List of String": ["list", "string"], "Map of String": ["map", "string"],
             "Map of List of String": ["map", ["list", "string"]]}  # fmt: skip
    attributes: dict[str, Any] = {}
    modality = ""
    for line in section.splitlines():
        if heading := re.match(r"(?:### )?(Required|Optional|Read-Only)\b", line):
            modality = {"Required": "required", "Optional": "optional", "Read-Only": "computed"}[heading[1]]
        elif (member := re.match(r"- `(\w+)` \(([\w\- ]+?)[,)]", line)) and modality and member[2] in types:
            attributes[member[1]] = [types[member[2]], modality]
    return {"attributes": attributes}


def write(name: str, facts: dict[str, Any]) -> None:
    """Write one file of facts: a line for each type, so that a change can be read."""
    lines = []
    for key, value in facts.items():
        if isinstance(value, dict) and key in {"resources", "data_sources", "types", "properties", "definitions"}:
            inner = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v, sort_keys=True)}" for k, v in sorted(value.items()))
            lines.append(f"{json.dumps(key)}: {{\n{inner}\n}}")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(value, sort_keys=True)}")
    FACTS.mkdir(exist_ok=True)
    (FACTS / name).write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--azurerm", type=Path)
    parser.add_argument("--azapi", type=Path)
    parser.add_argument("--azd", type=Path)
    given = parser.parse_args()
    for path, name, read in (
        (given.azurerm, "azurerm.json", azurerm_facts),
        (given.azapi, "azapi.json", azapi_facts),
        (given.azd, "azd.json", azd_facts),
    ):
        if path is not None:
            write(name, read(path))


if __name__ == "__main__":
    main()
