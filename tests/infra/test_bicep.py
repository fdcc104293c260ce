"""The Bicep files hold: the compiler and its rules have nothing to say, and what they come to is what is kept here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.infra.bicep_compiler import (
    BICEP,
    Refused,
    complaints,
    description,
    formatted,
    parameters,
    required,
    template,
)
from tests.infra.snapshots import Made, file_of, names, taken

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
    ids = [one["id"].lower() for one in json.loads(file_of(scenario).read_text())["predictedResources"]]
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


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"maxInstances": 200}, "lower maxInstances or databasePoolSize"),
    ({"shape": "premium"}, "'premium'"),
]


@pytest.mark.parametrize(("given", "told"), REFUSED, ids=[told for _, told in REFUSED])
def test_what_could_not_work_is_refused_with_what_mends_it(
    deployed: Deployed, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(Refused, match=re.escape(told)):
        deployed(**given)


@pytest.mark.parametrize("shape", ["flex", "dapr"])
def test_an_example_names_its_shape_and_nothing_that_there_is_not(shape: str) -> None:
    text = (BICEP / f"{shape}.bicepparam").read_text()
    example = dict(re.findall(r"^param (\w+) = (.*)$", text, re.MULTILINE))
    assert "using 'main.bicep'" in text
    assert example["shape"] == f"'{shape}'"
    assert required() <= set(example) <= set(parameters())


def test_every_parameter_and_output_is_described() -> None:
    for kind in ("parameters", "outputs"):
        for name, one in template()[kind].items():
            assert description(one), name


def test_each_scenario_is_one_of_terraforms_too() -> None:
    runs = (BICEP.parent / "terraform/tests/shapes.tftest.hcl").read_text()
    assert set(names()) <= set(re.findall(r'^run "(\w+)"', runs, re.MULTILINE))
