"""The Terraform files hold: to the providers' schemas, and to what they promise of each shape."""

from __future__ import annotations

import json
import re

import pytest

from tests.infra.terraform_files import FACTS, FOLDER, everything, parsed, schema_faults


def test_every_resource_and_argument_is_one_that_the_providers_know() -> None:
    assert not list(schema_faults(everything()))


def test_terraform_finds_the_files_formatted(run_terraform) -> None:
    answer = run_terraform("fmt", "-check", "-diff", "-recursive")
    assert answer.returncode == 0, answer.stdout


def test_terraform_finds_the_files_valid(run_terraform) -> None:
    answer = run_terraform("validate", "-json")
    assert json.loads(answer.stdout)["diagnostics"] == []
    assert answer.returncode == 0


def test_the_shipped_tests_pass(plans) -> None:
    runs = re.findall(r'^run "(\w+)"', (FOLDER / "tests" / "shapes.tftest.hcl").read_text(), re.MULTILINE)
    assert set(plans) == set(runs)


def test_what_every_app_has_from_its_beginning_is_updated_and_not_made() -> None:
    """The provider refuses to make what is there already, such as an app's authentication settings."""
    singletons = ("/config@", "/basicPublishingCredentialsPolicies@")
    made = [
        name
        for block in everything()["resource"]
        for name, body in block.get("azapi_resource", {}).items()
        if any(kind in body["type"] for kind in singletons)
    ]
    assert made == []


def test_rights_on_the_resource_group_suffice_since_no_namespace_is_registered() -> None:
    providers = {name: body for block in everything()["provider"] for name, body in block.items()}
    assert providers["azurerm"]["resource_provider_registrations"] == "none"


@pytest.mark.parametrize("provider", ["azurerm", "azapi"])
def test_the_pinned_provider_is_the_one_that_the_facts_are_of(provider) -> None:
    [requirements] = [block["required_providers"] for block in everything()["terraform"]]
    wanted = requirements[0][provider]
    facts = json.loads((FACTS / f"{provider}.json").read_text())
    assert wanted["source"] == facts["provider"]
    assert wanted["version"] == "~> " + ".".join(facts["version"].split(".")[:2])


@pytest.mark.parametrize("shape", ["flex", "dapr"])
def test_an_example_names_its_shape_and_nothing_that_there_is_not(shape) -> None:
    example = parsed((FOLDER / f"{shape}.tfvars").read_text())
    variables = {name: body for block in everything()["variable"] for name, body in block.items()}
    assert example["shape"] == shape
    assert set(example) <= set(variables)
    assert {name for name, body in variables.items() if "default" not in body} <= set(example)


def test_every_variable_and_output_is_described_and_every_variable_typed() -> None:
    for mode in ("variable", "output"):
        for block in everything()[mode]:
            for name, body in block.items():
                assert body.get("description"), name
                assert mode == "output" or body.get("type"), name
