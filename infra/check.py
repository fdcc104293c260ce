"""Tell, before anything is deployed, what the subscription and the region lack for it, with the command that mends it.

    python infra/check.py --location westeurope

azd and the workflow call it too. It asks Azure by `az`, and changes nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator

from operations import Failed, az

# Flex Consumption in a network needs Microsoft.App, and answers 500 without saying so where it is not registered.
NAMESPACES = {
    "Microsoft.App",
    "Microsoft.ContainerRegistry",
    "Microsoft.DBforPostgreSQL",
    "Microsoft.Insights",
    "Microsoft.KeyVault",
    "Microsoft.ManagedIdentity",
    "Microsoft.Network",
    "Microsoft.OperationalInsights",
    "Microsoft.Storage",
    "Microsoft.Web",
}


def plain(region: str) -> str:
    """Write a region as it is compared: Azure says both West Europe and westeurope."""
    return region.replace(" ", "").lower()


def lacking(region: str, shape: str, storage_sku: str) -> Iterator[str]:
    """Tell each thing that is missing."""
    states = {one["namespace"]: one["registrationState"] for one in az("provider", "list")}
    for namespace in sorted(NAMESPACES):
        if states.get(namespace) != "Registered":
            yield f"{namespace} is not registered: az provider register --namespace {namespace} --wait"
    if shape == "flex":
        regions = {plain(one["name"]) for one in az("functionapp", "list-flexconsumption-locations")}
        if plain(region) not in regions:
            yield f"{region} has no Flex Consumption; these regions have: {', '.join(sorted(regions))}"
    skus = [one for one in az("storage", "sku", "list") if one["name"] == storage_sku and not one.get("restrictions")]
    if plain(region) not in {plain(place) for one in skus for place in one["locations"]}:
        yield f"{region} has no {storage_sku}: take storageSku Standard_LRS, or another region"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("AZURE_LOCATION")
    parser.add_argument("--location", default=default, required=not default, help="the region")
    parser.add_argument("--shape", choices=["flex", "dapr"], default="flex")
    parser.add_argument("--storage-sku", default="Standard_ZRS")
    given = parser.parse_args()
    try:
        found = list(lacking(given.location, given.shape, given.storage_sku))
    except Failed as failed:
        found = [str(failed)]
    for line in found:
        print(f"error: {line}", file=sys.stderr)
    if not found:
        print(f"{given.location} and the subscription have what the shape {given.shape} needs")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
