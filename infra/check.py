"""Tell, before anything is deployed, what the subscription and the region lack for it, with the command that mends it.

    python infra/check.py --location westeurope
    python infra/check.py --location westeurope --resource-group jobs --app mine   # an app that was made elsewhere, too

azd and the workflow call it too. It asks Azure by `az`, and changes nothing. azd's environment says what is left out.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
from collections.abc import Iterator

from operations import ROOT, Failed, az

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
TIMEOUT = "AzureFunctionsJobHost__functionTimeout"  # wins over what host.json says
CONSUMPTION_MINUTES = 10


def plain(region: str) -> str:
    """Write a region as it is compared: Azure says both West Europe and westeurope."""
    return region.replace(" ", "").lower()


def lacking(region: str | None, shape: str, storage_sku: str) -> Iterator[str]:
    """Tell each thing that is missing."""
    states = {one["namespace"]: one["registrationState"] for one in az("provider", "list")}
    for namespace in sorted(NAMESPACES):
        if states.get(namespace) != "Registered":
            yield f"{namespace} is not registered: az provider register --namespace {namespace} --wait"
    if region is None:
        return
    if shape == "flex":
        regions = {plain(one["name"]) for one in az("functionapp", "list-flexconsumption-locations")}
        if plain(region) not in regions:
            yield f"{region} has no Flex Consumption; these regions have: {', '.join(sorted(regions))}"
    skus = [one for one in az("storage", "sku", "list") if one["name"] == storage_sku and not one.get("restrictions")]
    if plain(region) not in {plain(place) for one in skus for place in one["locations"]}:
        yield f"{region} has no {storage_sku}: take storageSku Standard_LRS, or another region"


def minutes_of(time_span: str) -> float:
    """Read a functionTimeout, ``[d.]hh:mm[:ss]``; -1 is without end."""
    found = re.fullmatch(r"(?:(\d+)\.)?(\d+):(\d+)(?::(\d+))?", time_span)
    if found is None:
        return math.inf
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return (days * 24 + hours) * 60 + minutes + seconds / 60


def too_long(group: str, app: str) -> Iterator[str]:
    """Tell of a functionTimeout that the plan of an app does not allow: its host would not start."""
    where = ("--resource-group", group, "--name", app)
    shown = az("functionapp", "show", *where)
    plan = az("resource", "show", "--ids", shown.get("serverFarmId") or shown["appServicePlanId"])
    settings = {one["name"]: one["value"] for one in az("functionapp", "config", "appsettings", "list", *where)}
    timeout = settings.get(TIMEOUT) or json.loads((ROOT / "host.json").read_text())["functionTimeout"]
    if plan["sku"]["tier"] == "Dynamic" and minutes_of(str(timeout)) > CONSUMPTION_MINUTES:
        yield (
            f"functionTimeout is {timeout}, and the Consumption plan of {app} allows {CONSUMPTION_MINUTES} minutes at "
            "most: its host would not start. Take Flex Consumption, or az functionapp config appsettings set "
            f"--resource-group {group} --name {app} --settings {TIMEOUT}=00:10:00"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--location", default=os.environ.get("AZURE_LOCATION"), help="the region; the group's, if left out"
    )
    parser.add_argument("--shape", choices=["flex", "dapr"], default="flex")
    parser.add_argument("--storage-sku", default="Standard_ZRS")
    parser.add_argument("--resource-group", default=os.environ.get("AZURE_RESOURCE_GROUP"), help="the resource group")
    parser.add_argument("--app", help="a function app that is not of infra/: its plan is held to functionTimeout")
    given = parser.parse_args()
    if given.app and not given.resource_group:
        parser.error("--app needs --resource-group")
    region = given.location
    try:
        if not region and given.resource_group:
            region = az("group", "show", "--name", given.resource_group)["location"]
        if not region:  # azd asks for a group only after its hooks, where it provisions without having been `up` before
            print(
                "warning: neither --location nor --resource-group says where, so no region is checked", file=sys.stderr
            )
        found = list(lacking(region or None, given.shape, given.storage_sku))
        found += too_long(given.resource_group, given.app) if given.app else []
    except Failed as failed:
        found = [str(failed)]
    for line in found:
        print(f"error: {line}", file=sys.stderr)
    if not found:
        print(f"{region + ' and the' if region else 'the'} subscription can have the shape {given.shape}")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
