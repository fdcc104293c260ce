"""Write down what Azure and Terraform's providers accept, for just the types that ``infra/`` uses, into ``facts/``.

Run it after an update of a provider or an API version, or with a new type in its lists:

    python -m tests.infra.extract_facts --azurerm PACKAGE --azapi REPOSITORY --bicep-types REPOSITORY --azd REPOSITORY

``PACKAGE`` is the unpacked npm package @cdktf/provider-azurerm, whose bindings are made from the provider's schema;
the repositories are checkouts of Azure/terraform-provider-azapi, Azure/bicep-types-az and Azure/azure-dev. None is
needed to run tests.
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
    "container_app_environment",
    "container_registry",
    "key_vault",
    "log_analytics_workspace",
    "monitor_action_group",
    "monitor_diagnostic_setting",
    "monitor_metric_alert",
    "monitor_scheduled_query_rules_alert_v2",
    "network_security_group",
    "postgresql_flexible_server",
    "postgresql_flexible_server_active_directory_administrator",
    "postgresql_flexible_server_configuration",
    "postgresql_flexible_server_database",
    "postgresql_flexible_server_firewall_rule",
    "private_dns_zone",
    "private_dns_zone_virtual_network_link",
    "private_endpoint",
    "role_assignment",
    "service_plan",
    "storage_account",
    "storage_container",
    "subnet",
    "subnet_network_security_group_association",
    "user_assigned_identity",
    "virtual_network",
]
DATA_SOURCES = ["client_config", "resource_group"]
ARM_TYPES = [
    "Microsoft.App/containerApps/authConfigs@2026-01-01",
    "Microsoft.App/containerApps@2026-01-01",
    "Microsoft.App/managedEnvironments@2026-01-01",
    "Microsoft.Authorization/roleAssignments@2022-04-01",
    "Microsoft.ContainerRegistry/registries@2025-11-01",
    "Microsoft.DBforPostgreSQL/flexibleServers/administrators@2025-08-01",
    "Microsoft.DBforPostgreSQL/flexibleServers/configurations@2025-08-01",
    "Microsoft.DBforPostgreSQL/flexibleServers/databases@2025-08-01",
    "Microsoft.DBforPostgreSQL/flexibleServers/firewallRules@2025-08-01",
    "Microsoft.DBforPostgreSQL/flexibleServers@2025-08-01",
    "Microsoft.Insights/actionGroups@2023-01-01",
    "Microsoft.Insights/components@2020-02-02",
    "Microsoft.Insights/diagnosticSettings@2021-05-01-preview",
    "Microsoft.Insights/metricAlerts@2018-03-01",
    "Microsoft.Insights/scheduledQueryRules@2023-12-01",
    "Microsoft.KeyVault/vaults@2026-02-01",
    "Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30",
    "Microsoft.Network/networkSecurityGroups@2025-05-01",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01",
    "Microsoft.Network/privateDnsZones@2024-06-01",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01",
    "Microsoft.Network/privateEndpoints@2025-05-01",
    "Microsoft.Network/virtualNetworks@2025-05-01",
    "Microsoft.OperationalInsights/workspaces@2025-07-01",
    "Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01",
    "Microsoft.Storage/storageAccounts/blobServices@2025-06-01",
    "Microsoft.Storage/storageAccounts@2025-06-01",
    "Microsoft.Web/serverfarms@2025-03-01",
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01",
    "Microsoft.Web/sites/config@2025-03-01",
    "Microsoft.Web/sites@2025-03-01",
]

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
        block["blocks"][inner] = {"nesting": "list", "required": False, "single": True} | _documented(section)
        block["attributes"].pop(inner, None)
    return block


def _documented(section: str) -> dict[str, Any]:
    types = {"String": "string", "Boolean": "bool", "Number": "number", "Dynamic": "dynamic",
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


class ArmType:
    """One resource type of one API version: its objects by name, each with what may be written to it."""

    def __init__(self, types: list[dict[str, Any]], name: str) -> None:
        self._types = types
        self.objects: dict[str, Any] = {}
        [resource] = [one for one in types if one["$type"] == "ResourceType" and one["name"] == name]
        self.body = self._type(resource["body"])

    def _type(self, reference: dict[str, str]) -> Any:
        described = self._types[int(reference["$ref"].split("/")[-1])]
        match described["$type"]:
            case "StringLiteralType":
                return {"values": [described["value"]]}
            case "UnionType":
                return self._union([self._type(element) for element in described["elements"]])
            case "ArrayType":
                return {"array": self._type(described["itemType"])}
            case "ObjectType" | "DiscriminatedObjectType":
                return self._object(described, int(reference["$ref"].split("/")[-1]))
            case other:
                return {"IntegerType": "int", "BooleanType": "bool", "StringType": "string"}.get(other, "any")

    @staticmethod
    def _union(elements: list[Any]) -> Any:
        values = sorted({value for one in elements if isinstance(one, dict) for value in one.get("values", [])})
        if not values:
            return elements[0] if len({json.dumps(one) for one in elements}) == 1 else "any"
        return {"values": values} | ({"open": True} if "string" in elements else {})

    def _object(self, described: dict[str, Any], index: int) -> Any:
        name = f"{described['name']}"
        name = name if self.objects.get(name, {}).get("index", index) == index else f"{name}#{index}"
        if name not in self.objects:
            self.objects[name] = {"index": index}
            properties = described.get("properties", {}) | described.get("baseProperties", {})
            written = {key: one for key, one in properties.items() if not one["flags"] & 2 or key == "name"}
            self.objects[name]["properties"] = {key: self._type(one["type"]) for key, one in sorted(written.items())}
            required = [key for key, one in sorted(written.items()) if one["flags"] & 1]
            if required:
                self.objects[name]["required"] = required
            if "additionalProperties" in described:
                self.objects[name]["others"] = self._type(described["additionalProperties"])
            if described["$type"] == "DiscriminatedObjectType":
                variants = {key: self._type(one)["object"] for key, one in described["elements"].items()}
                self.objects[name] |= {"discriminator": described["discriminator"], "variants": variants}
        return {"object": name}


def bicep_facts(repository: Path) -> dict[str, Any]:
    """Read Azure's resource types, as the Bicep compiler has them."""
    facts = {}
    for wanted in ARM_TYPES:
        kind, version = wanted.split("@")
        for path in repository.glob(f"generated/*/{kind.split('/')[0].lower()}/{version}/types.json"):
            types = json.loads(path.read_text())
            if any(one["$type"] == "ResourceType" and one["name"] == wanted for one in types):
                found = ArmType(types, wanted)
                for one in found.objects.values():
                    del one["index"]
                facts[wanted] = {"body": found.body["object"], "objects": found.objects}
    missing = set(ARM_TYPES) - set(facts)
    if missing:
        raise SystemExit(f"not among Azure's types: {sorted(missing)}")
    return {"source": "the repository Azure/bicep-types-az, generated/", "types": facts}


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
    parser.add_argument("--bicep-types", type=Path)
    parser.add_argument("--azd", type=Path)
    given = parser.parse_args()
    for path, name, read in (
        (given.azurerm, "azurerm.json", azurerm_facts),
        (given.azapi, "azapi.json", azapi_facts),
        (given.bicep_types, "bicep.json", bicep_facts),
        (given.azd, "azd.json", azd_facts),
    ):
        if path is not None:
            write(name, read(path))


if __name__ == "__main__":
    main()
