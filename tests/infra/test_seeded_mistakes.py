"""Each check finds the mistake that it is there for: one is put into a copy of the files, and the check names it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.infra import test_parity
from tests.infra.bicep_compiler import BICEP, complaints
from tests.infra.kusto import ask
from tests.infra.sides import Sides, app_of
from tests.infra.snapshots import Made, Snapshot, kept
from tests.infra.terraform_files import parsed, schema_faults
from tests.infra.terraform_state import Deployed
from tests.infra.test_alerts import ALERTS

TERRAFORM = {
    "an unknown argument": ("storage.tf", "min_tls_version ", "minimum_tls_version ", "minimum_tls_version"),
    "an unknown argument within a block": ("storage.tf", "default_action =", "default_acton =", "default_acton"),
    "a missing required argument": ("database.tf", '  name      = "jobs"\n', "", "name"),
    "an unknown argument of the vault": ("vault.tf", "rbac_authorization_enabled ", "rbac_enabled ", "rbac_enabled"),
    "an unknown type": ("main.tf", 'resource "azurerm_user_assigned_identity"', 'resource "azurerm_identity"',
                        "azurerm_identity"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", TERRAFORM)
def test_the_schema_check_and_terraform_itself_find_a_mistake(changed, run_terraform, mistake) -> None:
    file, old, new, told = TERRAFORM[mistake]
    copy = changed(f"terraform/{file}", old, new)
    faults = list(schema_faults(parsed((copy / "terraform" / file).read_text())))
    assert any(told in fault for fault in faults), faults
    answer = json.loads(run_terraform("validate", "-json", folder=copy / "terraform").stdout)
    assert any(told in json.dumps(diagnostic) for diagnostic in answer["diagnostics"])


def test_the_schema_check_finds_an_argument_that_only_the_provider_sets(changed) -> None:
    """Terraform leaves this to the provider, of which there is only the schema."""
    kind = '  account_kind                     = "StorageV2"'
    copy = changed("terraform/storage.tf", kind, '  primary_blob_endpoint = "x"')
    faults = list(schema_faults(parsed((copy / "terraform" / "storage.tf").read_text())))
    assert faults == ["azurerm_storage_account.host.primary_blob_endpoint cannot be set"]


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("settings.tf", "var.poll_schedule", "var.pol_schedule", "pol_schedule"),
        ("settings.tf", "azurerm_storage_account.host.primary_blob_endpoint",
         "azurerm_storage_account.host.primary_blob_uri", "primary_blob_uri"),
        ("flex.tf", "azurerm_service_plan.flex[0].id", "azurerm_service_plan.plan[0].id", "azurerm_service_plan"),
        ("database.tf", "var.database_storage_gb * 1024", "[var.database_storage_gb]", "number required"),
    ],
    ids=["an unknown variable", "an unknown attribute", "an unknown resource", "a value of another type"],
)  # fmt: skip
def test_terraform_itself_finds_a_reference_that_leads_nowhere(changed, run_terraform, file, old, new, told) -> None:
    copy = changed(f"terraform/{file}", old, new)
    answer = json.loads(run_terraform("validate", "-json", folder=copy / "terraform").stdout)
    assert not answer["valid"]
    assert told in json.dumps(answer["diagnostics"])


def test_the_shipped_tests_find_an_app_that_is_called_on_another_port(changed, run_terraform) -> None:
    copy = changed("terraform/dapr.tf", "targetPort    = 80", "targetPort    = 8080")
    tests = copy / "terraform/tests/shapes.tftest.hcl"
    beginning, *runs = re.split(r"^(?=run )", tests.read_text(), flags=re.MULTILINE)
    tests.write_text(beginning + "".join(run for run in runs if run.startswith('run "dapr" ')))
    answer = run_terraform("test", "-json", folder=copy / "terraform")
    assert answer.returncode != 0
    assert "The sidecar calls the port that the app listens on." in answer.stdout


def test_a_first_apply_finds_what_azure_has_made_already(run_terraform, tmp_path: Path) -> None:
    infrastructure = Deployed(run_terraform, tmp_path / "infra")
    file = tmp_path / "infra/terraform/flex.tf"
    made = 'resource "azapi_resource" "publishing_passwords"'
    file.write_text(file.read_text().replace(made.replace("azapi_", "azapi_update_"), made))
    with pytest.raises(AssertionError, match="A resource with this ID already exists"):
        infrastructure.apply()


SEEDED = [
    ("modules/storage", "minimumTlsVersion", "minTlsVersion", 'The property "minTlsVersion" is not allowed'),
    ("modules/vault", "enableSoftDelete: true", "enableSoftDelete: 'yes'", 'expected a value of type "bool'),
    ("modules/identity", "userAssignedIdentities@", "userAssignedIdentity@", "does not have types available"),
    ("main", "prefix: networkPrefix", "prefixes: networkPrefix", 'The property "prefixes" is not allowed'),
    ("main", "monitoring.outputs.workspaceName", "monitoring.outputs.name", 'does not contain property "name"'),
    ("modules/flex", "items(settings)", "entries(settings)", 'The name "entries" does not exist'),
    ("modules/alerts", "metricAlerts@2026-01-01", "metricAlerts@2018-03-01", "Use more recent API version"),
]  # fmt: skip


def test_the_compiler_finds_each_mistake_in_bicep(tmp_path: Path) -> None:
    copy = tmp_path / "infra"
    shutil.copytree(BICEP.parent, copy, ignore=shutil.ignore_patterns(".terraform*"))
    for name, old, new, _ in SEEDED:
        file = copy / f"bicep/{name}.bicep"
        text = file.read_text()
        assert old in text, old
        file.write_text(text.replace(old, new, 1))
    found = "\n".join(complaints(copy / "bicep/main.bicep"))
    assert [told for _, _, _, told in SEEDED if told not in found] == [], found


def sides_with(deployed: Callable[..., list[Made]], copy: Path, plans: dict[str, Any]) -> Sides:
    made = deployed(copy / "bicep")
    return Sides(Snapshot(made, kept("flex_by_default").outputs), plans["flex_by_default"])


@pytest.mark.parametrize(
    "setting", ["JOBS_DATABASE_AUTH: 'entra'", "AzureWebJobsStorage__credential: 'managedidentity'"]
)  # fmt: skip
def test_a_setting_that_one_language_lacks_is_a_difference(deployed, changed, plans, setting) -> None:
    sides = sides_with(deployed, changed("bicep/main.bicep", f"  {setting}\n", ""), plans)
    bicep, terraform = app_of(sides)
    names = {one["name"] for one in terraform["body"]["properties"]["siteConfig"]["appSettings"]}
    assert names - {one["name"] for one in bicep["properties"]["siteConfig"]["appSettings"]} == {setting.split(":")[0]}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("publicNetworkAccess: private ? 'Disabled' : 'Enabled'", "publicNetworkAccess: 'Enabled'",
         "azurerm_key_vault.public_network_access_enabled"),
        ("enablePurgeProtection: true", "enablePurgeProtection: false", "azurerm_key_vault.purge_protection_enabled"),
    ],
)  # fmt: skip
def test_a_vault_that_one_language_leaves_open_is_a_difference(deployed, changed, plans, old, new, told) -> None:
    sides = sides_with(deployed, changed("bicep/modules/vault.bicep", old, new), plans)
    with pytest.raises(AssertionError, match=re.escape(told)):
        test_parity.test_both_say_the_same_of_each_resource(sides)


def test_a_role_that_may_only_read_the_keys_is_a_difference(deployed, changed, plans) -> None:
    officer, reader = "b86a8fe4-44ce-4948-aee5-eccb2c155cd7", "21090545-7ca7-4776-b22c-e363652d74d2"
    sides = sides_with(deployed, changed("bicep/modules/vault.bicep", officer, reader), plans)
    with pytest.raises(KeyError, match=reader):
        test_parity.test_both_give_the_app_the_same_roles_and_no_other(sides)


def test_a_query_for_words_that_are_not_logged_finds_nothing() -> None:
    line = "measured: due=1 late_seconds=400 failed=0 lost=0 window_seconds=300"
    query = ALERTS["jobs-overdue"]["query"]
    assert ask(query, [line]) == {"LateSeconds": 400}
    assert ask(query, [line.replace("late_seconds", "seconds_late")]) == {"LateSeconds": None}
    with pytest.raises(AssertionError):
        ask(query.replace("summarize", "summarise"), [line])
