"""What a subscription or a region lacks is told before anything is deployed, with the command that mends it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.infra.linters import ROOT
from tests.infra.snapshots import kept, names

# An Azure CLI that answers each question from the file beside it.
AZ = """#!{python}
import json, pathlib, sys
answers = json.loads((pathlib.Path(__file__).parent / "answers").read_text())
print(json.dumps(answers.get(" ".join(sys.argv[1:3]), answers.get(sys.argv[1]))))
"""
NAMESPACES = {
    one.kind.split("/")[0] for name in names() for one in kept(name).resources
} - {"Microsoft.Authorization"}  # which every subscription has  # fmt: skip
ANSWERS: dict[str, Any] = {
    "provider": [{"namespace": name, "registrationState": "Registered"} for name in NAMESPACES],
    "functionapp": [{"name": "westeurope"}, {"name": "North Europe"}],
    "storage": [{"name": "Standard_ZRS", "locations": ["westeurope", "northeurope"], "restrictions": []}],
}


@pytest.fixture
def check(tmp_path: Path):
    (tmp_path / "az").write_text(AZ.format(python=sys.executable))
    (tmp_path / "az").chmod(0o755)

    def run(
        *arguments: str, location: str | None = "westeurope", group_of_azd: str = "", **answers: Any
    ) -> subprocess.CompletedProcess[str]:
        (tmp_path / "answers").write_text(json.dumps(ANSWERS | answers))
        where = ["--location", location] if location else []
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE": "1"}
        environment |= {"AZURE_RESOURCE_GROUP": group_of_azd, "AZURE_LOCATION": ""}  # azd sets what it knows
        return subprocess.run(
            [sys.executable, "infra/check.py", *where, *arguments], cwd=ROOT, capture_output=True, text=True,
            check=False, env=environment,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("location", ["westeurope", "North Europe", "northeurope"])
def test_a_subscription_that_has_everything_passes(check, location: str) -> None:
    done = check(location=location)
    assert done.returncode == 0, done.stderr


def test_every_namespace_that_is_deployed_to_is_asked_for(check) -> None:
    done = check(provider=[])
    assert done.returncode == 1
    assert set(re.findall(r"az provider register --namespace (\S+) --wait", done.stderr)) == NAMESPACES


def test_a_region_without_flex_consumption_or_redundant_storage_is_told_of(check) -> None:
    done = check(location="mars")
    assert "mars has no Flex Consumption" in done.stderr
    assert "mars has no Standard_ZRS: take storageSku Standard_LRS" in done.stderr
    assert "Flex" not in check("--shape", "dapr", location="mars").stderr


def test_a_kind_of_storage_that_this_subscription_may_not_have_is_told_of(check) -> None:
    restricted = ANSWERS["storage"][0] | {"restrictions": [{"reasonCode": "NotAvailableForSubscription"}]}
    assert check(storage=[restricted]).returncode == 1


def app_on(tier: str, timeout: str | None = None) -> dict[str, Any]:
    settings = [{"name": "AzureFunctionsJobHost__functionTimeout", "value": timeout}] if timeout else []
    return {"functionapp show": {"serverFarmId": "/plans/mine"}, "functionapp config": settings,
            "resource": {"sku": {"tier": tier}}}  # fmt: skip


@pytest.mark.parametrize("timeout", [None, "00:30:00", "-1", "00:10:01", "1.00:00:00"])
def test_a_function_timeout_that_a_consumption_plan_does_not_allow_is_told_of(check, timeout: str | None) -> None:
    done = check("--resource-group", "jobs", "--app", "mine", **app_on("Dynamic", timeout))
    assert done.returncode == 1
    assert f"functionTimeout is {timeout or '00:30:00'}, and the Consumption plan of mine" in done.stderr
    assert "AzureFunctionsJobHost__functionTimeout=00:10:00" in done.stderr


@pytest.mark.parametrize(
    ("tier", "timeout"),
    [("Dynamic", "00:10:00"), ("Dynamic", "00:05"), ("FlexConsumption", None), ("ElasticPremium", "-1")],
)
def test_one_that_the_plan_allows_is_not(check, tier: str, timeout: str | None) -> None:
    done = check("--resource-group", "jobs", "--app", "mine", **app_on(tier, timeout))
    assert done.returncode == 0, done.stderr


def test_where_azd_names_a_group_and_no_region_that_of_the_group_is_checked(check) -> None:
    """What is deployed into a group has the group's region by default, so that azd asks for none."""
    done = check(location=None, group_of_azd="jobs", group={"location": "mars"})
    assert done.returncode == 1
    assert "mars has no Flex Consumption" in done.stderr


def test_where_azd_knows_no_group_yet_the_subscription_is_checked_and_no_region(check) -> None:
    done = check(location=None)
    assert done.returncode == 0, done.stderr
    assert "no region is checked" in done.stderr
    assert check(location=None, provider=[]).returncode == 1
