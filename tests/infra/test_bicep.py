"""The Bicep files hold: the compiler and its rules have nothing to say, and what they come to is what is kept here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.infra.bicep_compiler import (
    BICEP,
    complaints,
    description,
    formatted,
    parameters,
    required,
    template,
)
from tests.infra.snapshots import SCENARIOS, Made, file_of, names, taken

Deployed = Callable[..., list[Made]]

FILES = sorted(BICEP.rglob("*.bicep"))


def test_the_compiler_and_every_rule_that_helps_have_nothing_to_say() -> None:
    """Types of every resource are the compiler's own, so that a misspelt property is found too."""
    assert complaints(BICEP / "main.bicep") == []


def test_each_rule_that_is_switched_on_is_an_error() -> None:
    rules = json.loads((BICEP / "bicepconfig.json").read_text())["analyzers"]["core"]["rules"]
    assert {rule["level"] for rule in rules.values()} == {"error"}
    assert {"what-if-short-circuiting", "use-recent-api-versions", "use-user-defined-types"} <= set(rules)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_written_as_the_compiler_formats_it(path: Path) -> None:
    assert formatted(path) == path.read_text()


@pytest.mark.parametrize("scenario", names())
def test_what_a_scenario_comes_to_is_what_is_kept(scenario: str) -> None:
    """Write it anew by ``python -m tests.infra.snapshots``, and read the difference: it is what Azure would change."""
    assert json.loads(taken(scenario)) == json.loads(file_of(scenario).read_text())


@pytest.mark.parametrize("scenario", names())
def test_what_is_made_is_known_by_name_before_the_run_so_that_what_if_can_compare_it(scenario: str) -> None:
    resources = json.loads(file_of(scenario).read_text())["predictedResources"]
    by_object_id = "flexibleServers/administrators"  # which Azure names so, and one of which is made in the run
    ids = [one["id"].lower() for one in resources if not one["type"].endswith(by_object_id)]
    assert [one for one in ids if "reference(" in one] == []
    assert len(set(ids)) == len(ids), "no two are the same"


@pytest.mark.parametrize("shape", ["flex", "dapr"])
@pytest.mark.parametrize("name", ["abc", "a-name-of-12"])
def test_names_keep_to_azures_limits(deployed: Deployed, name: str, shape: str) -> None:
    limits = {
        "Microsoft.Storage/storageAccounts": r"[a-z0-9]{3,24}",
        "Microsoft.ContainerRegistry/registries": r"[a-zA-Z0-9]{5,50}",
        "Microsoft.DBforPostgreSQL/flexibleServers": r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
        "Microsoft.KeyVault/vaults": r"[a-z](?!.*--)[a-z0-9-]{1,22}[a-z0-9]",
        "Microsoft.Web/sites": r"[a-z0-9-]{2,60}",
        "Microsoft.App/containerApps": r"[a-z][a-z0-9-]{0,30}[a-z0-9]",
        "Microsoft.App/managedEnvironments": r"[a-z][a-z0-9-]{0,58}[a-z0-9]",
    }
    for one in deployed(name=name, shape=shape, containerImage="jobs:1"):
        assert re.fullmatch(limits.get(one.kind, ".*"), one.name), one.name
        if one.kind == "Microsoft.Insights/actionGroups":
            assert len(one.body["properties"]["groupShortName"]) <= 12


def test_a_rule_that_let_an_operator_in_is_overwritten_by_whatever_opens_the_database_next(deployed: Deployed) -> None:
    kind = "Microsoft.DBforPostgreSQL/flexibleServers/firewallRules"

    def rules(*operators: str) -> dict[str, str]:
        made = deployed(operatorIpAddresses=list(operators))
        return {one.name: one.body["properties"]["startIpAddress"] for one in made if one.kind == kind}

    before, after = rules("192.0.2.7", "192.0.2.8", "192.0.2.9"), rules("192.0.2.1")
    assert set(before) == set(after)
    assert set(after.values()) == {"192.0.2.1"}
    assert rules() == {}


def test_storage_that_has_grown_is_not_made_smaller_and_a_subnet_not_passed_on() -> None:
    """What there is already is asked of Azure, and is nothing before the first deployment."""
    [server] = [one for one in json.loads(file_of("flex_by_default").read_text())["predictedResources"]
                if one["type"] == "Microsoft.DBforPostgreSQL/flexibleServers"]  # fmt: skip
    asked = server["properties"]["storage"]["storageSizeGB"]
    assert re.fullmatch(r"\[max\(32, coalesce\(tryGet\(reference\(.*'storageSizeGB'\), 0\)\)\]", asked)
    current = template(BICEP / "modules/current.bicep")
    assert "fail(" in current["outputs"]["shape"]["value"]
    assert all(one["@options"] == {"nullIfNotFound": []} for one in current["resources"].values())
    assert "current" in template()["resources"]["network"]["dependsOn"]


def test_the_administrator_is_the_last_change_that_the_database_is_asked_for() -> None:
    """It takes one change at a time, and has been seen to refuse or to lose this one while busy with another."""
    resources = template(BICEP / "modules/database.bicep")["resources"]
    for before, after in pairwise(["server", "jobs", "opening", "bouncer", "admin"]):
        assert before in resources[after]["dependsOn"]
    assert resources["admin"]["@options"]["retryOn"]


@pytest.mark.parametrize("shape", ["flex", "dapr"])
def test_an_example_names_its_shape_and_nothing_that_there_is_not(shape: str) -> None:
    text = (BICEP / f"{shape}.bicepparam").read_text()
    example = dict(re.findall(r"^param (\w+) = (.*)$", text, re.MULTILINE))
    assert "using 'main.bicep'" in text
    assert example["shape"] == f"'{shape}'"
    assert required() <= set(example) <= set(parameters())


def test_the_trial_is_the_one_that_is_evaluated_here_and_the_same_in_both_languages() -> None:
    def said(text: str) -> set[tuple[str, str]]:
        found = re.findall(r"^(?:param )?(\w+) += (.*)$", text, re.MULTILINE)
        return {(name.replace("_", "").lower(), value.replace("'", '"')) for name, value in found}

    bicep = said((BICEP / "trial.bicepparam").read_text())
    terraform = said((BICEP.parent / "terraform/trial.tfvars").read_text())
    assert terraform - bicep == {("resourcegroupname", '"jobs"')}
    assert bicep <= terraform
    evaluated = said((SCENARIOS / "trial.bicepparam").read_text())
    assert {one for one in bicep - evaluated if "admin" not in one[0]} == set()


def test_every_parameter_and_output_is_described() -> None:
    for kind in ("parameters", "outputs"):
        for name, one in template()[kind].items():
            assert description(one), name


def test_each_scenario_is_one_of_terraforms_too() -> None:
    runs = (BICEP.parent / "terraform/tests/shapes.tftest.hcl").read_text()
    assert set(names()) <= set(re.findall(r'^run "(\w+)"', runs, re.MULTILINE))
