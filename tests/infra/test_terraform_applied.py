"""Terraform applies what is written here, and applies it again after Azure and people have changed what they do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.infra.terraform_state import Deployed

DAPR = {"shape": "dapr", "container_image": "example.azurecr.io/jobs:1"}
SIGN_IN = {"api_client_id": "44444444-4444-4444-4444-444444444444"}
SERVER = "azurerm_postgresql_flexible_server"


@pytest.fixture
def infrastructure(run_terraform, tmp_path: Path) -> Deployed:
    return Deployed(run_terraform, tmp_path / "infra")


@pytest.mark.parametrize("given", [SIGN_IN, DAPR | SIGN_IN, {"private_network": False}], ids=["flex", "dapr", "open"])
def test_the_first_apply_makes_nothing_that_is_there_already_and_the_second_changes_nothing(
    infrastructure: Deployed, given: dict[str, Any]
) -> None:
    infrastructure.apply(**given)
    assert infrastructure.changes(**given) == {}


def test_a_database_whose_storage_has_grown_is_left_as_it_is(infrastructure: Deployed) -> None:
    infrastructure.apply()
    infrastructure.azure_changes(SERVER, lambda server: server.update(storage_mb=64 * 1024))
    assert infrastructure.changes() == {}
    infrastructure.apply(tags={"team": "jobs"})


def test_a_database_and_its_standby_stay_in_the_zones_that_azure_chose_or_changed_over_to(
    infrastructure: Deployed,
) -> None:
    given = {"database_high_availability": "ZoneRedundant"}
    infrastructure.apply(**given)

    def choose(server: dict[str, Any]) -> None:
        server["zone"] = "2"
        server["high_availability"][0]["standby_availability_zone"] = "1"

    infrastructure.azure_changes(SERVER, choose)
    assert infrastructure.changes(**given) == {}
    infrastructure.apply(tags={"team": "jobs"}, **given)


def test_the_image_that_a_release_migrated_with_is_left_as_it_is(infrastructure: Deployed) -> None:
    infrastructure.apply()

    def release(job: dict[str, Any]) -> None:
        job["body"]["value"]["properties"]["template"]["containers"][0]["image"] = "crjobs.azurecr.io/jobs:2"

    infrastructure.azure_changes("azapi_resource", release, name="operation")
    assert infrastructure.changes() == {}


def test_an_operator_who_is_let_in_no_more_has_no_rule_left(infrastructure: Deployed) -> None:
    infrastructure.apply(operator_ip_addresses=["192.0.2.7", "192.0.2.8"])
    changes = infrastructure.changes(operator_ip_addresses=["192.0.2.8"])
    assert changes == {'azurerm_postgresql_flexible_server_firewall_rule.opening["operator-192-0-2-7"]': "delete"}
    gone = {address for address, action in infrastructure.changes().items() if action == "delete"}
    assert len(gone) == 2
