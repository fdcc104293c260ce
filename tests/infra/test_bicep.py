"""The Bicep files hold: they can be read and evaluated, and Azure's own types allow what they come to."""

from __future__ import annotations

import re

import pytest

from tests.infra.arm_types import arm_types, faults_of
from tests.infra.bicep_evaluation import check_names, decorated, deploy
from tests.infra.bicep_syntax import BicepFault, bicep_file
from tests.infra.sides import BICEP, GIVEN, MAIN

SCENARIOS = {
    "flex": {},
    "flex, all of it": {
        "tags": {"team": "jobs"},
        "alwaysReadyInstances": 1,
        "databaseHighAvailability": "ZoneRedundant",
        "databaseGeoRedundantBackup": True,
        "databasePgbouncer": True,
        "operatorIpAddresses": ["192.0.2.7", "2001:db8::7"],
    },
    "flex without a network": {"privateNetwork": False},
    "dapr before there is an image": {"shape": "dapr"},
    "dapr": {"shape": "dapr", "containerImage": "example.azurecr.io/jobs:1"},
    "flex with sign-in": {"apiClientId": "44444444-4444-4444-4444-444444444444"},
    "dapr with sign-in": {
        "shape": "dapr",
        "containerImage": "jobs:1",
        "apiClientId": "44444444-4444-4444-4444-444444444444",
    },
    "dapr without a network": {"shape": "dapr", "containerImage": "jobs:1", "privateNetwork": False},
}


@pytest.mark.parametrize("path", sorted(BICEP.rglob("*.bicep")), ids=lambda path: path.stem)
def test_a_file_can_be_read_and_every_name_in_it_is_declared(path) -> None:
    file = bicep_file(path)
    check_names(file)
    assert file.resources or file.modules


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_is_deployed_is_what_azures_own_types_allow(scenario) -> None:
    made = deploy(MAIN, GIVEN | SCENARIOS[scenario], {}).resources
    assert [fault for one in made for fault in faults_of(one.kind, one.version, one.body)] == []
    names = [(one.kind.lower(), one.id.lower()) for one in made]
    assert len(set(names)) == len(names), "no two have the same name"


def test_every_type_that_there_are_facts_of_is_used() -> None:
    made = [one for given in SCENARIOS.values() for one in deploy(MAIN, GIVEN | given, {}).resources]
    assert {f"{one.kind}@{one.version}" for one in made} == set(arm_types())


def test_names_keep_to_azures_limits() -> None:
    limits = {
        "Microsoft.Storage/storageAccounts": r"[a-z0-9]{3,24}",
        "Microsoft.ContainerRegistry/registries": r"[a-zA-Z0-9]{5,50}",
        "Microsoft.DBforPostgreSQL/flexibleServers": r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
        "Microsoft.KeyVault/vaults": r"[a-z](?!.*--)[a-z0-9-]{1,22}[a-z0-9]",
        "Microsoft.Web/sites": r"[a-z0-9-]{2,60}",
        "Microsoft.App/containerApps": r"[a-z][a-z0-9-]{0,30}[a-z0-9]",
        "Microsoft.App/managedEnvironments": r"[a-z][a-z0-9-]{0,58}[a-z0-9]",
    }
    for name in ("abc", "a-name-of-12"):
        for shape in ("flex", "dapr"):
            given = GIVEN | {"name": name, "shape": shape, "containerImage": "jobs:1"}
            for one in deploy(MAIN, given, {}).resources:
                assert re.fullmatch(limits.get(one.kind, ".*"), one.name), one.name
                if one.kind == "Microsoft.Insights/actionGroups":
                    assert len(one.body["properties"]["groupShortName"]) <= 12


def test_more_connections_than_the_database_has_are_refused() -> None:
    with pytest.raises(BicepFault, match="lower maxInstances or databasePoolSize"):
        deploy(MAIN, GIVEN | {"maxInstances": 200}, {})
    deploy(MAIN, GIVEN | {"maxInstances": 200, "databasePgbouncer": True}, {})


def test_a_shape_that_there_is_not_is_refused() -> None:
    with pytest.raises(BicepFault, match="shape is 'premium'"):
        deploy(MAIN, GIVEN | {"shape": "premium"}, {})


@pytest.mark.parametrize("shape", ["flex", "dapr"])
def test_an_example_names_its_shape_and_nothing_that_there_is_not(shape) -> None:
    text = (BICEP / f"{shape}.bicepparam").read_text()
    example = dict(re.findall(r"^param (\w+) = (.*)$", text, re.MULTILINE))
    assert "using 'main.bicep'" in text
    assert example["shape"] == f"'{shape}'"
    assert MAIN.required() <= set(example) <= set(MAIN.parameters)


def test_every_parameter_and_output_is_described() -> None:
    for name in MAIN.parameters:
        assert decorated(MAIN, name, "description"), name
    for name in MAIN.outputs:
        assert decorated(MAIN, f"output {name}", "description"), name
