"""Bicep and Terraform describe the same things: what each comes to, evaluated, is laid side by side."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from jobs.core.handlers.loading.which_packages import ADDED_HANDLERS
from jobs.queue_checks import queue_warnings
from jobs.settings import Settings
from tests.infra.bicep_compiler import BICEP, description, parameters, template
from tests.infra.sides import ROLES, SAME, TYPES, WITHIN, WITHIN_ARM, Sides, app_of
from tests.infra.snapshots import KNOWN, kept, names
from tests.infra.terraform_files import everything

ROOT = Path(__file__).parents[2]


NAMED_BY_ID = {"Microsoft.Insights/workbooks"}  # which each language makes in its own way


@pytest.fixture(params=names())
def sides(request, plans) -> Sides:
    return Sides(kept(request.param), plans[request.param])


def test_both_make_the_same_resources_by_the_same_names(sides) -> None:
    bicep = {
        (one.kind, one.body["properties"]["displayName"] if one.kind in NAMED_BY_ID else one.name.split("/")[-1])
        for one in sides.bicep
        if one.kind not in WITHIN_ARM
    }
    terraform = set()
    for kind, after in sides.terraform:
        if kind in {"azapi_resource", "azapi_update_resource"}:
            terraform.add((after["type"].split("@")[0], sides.plain(after["name"])))
        elif kind not in WITHIN:
            name = after["display_name"] if TYPES[kind] in NAMED_BY_ID else sides.plain(after["name"])
            terraform.add((TYPES[kind], name))
    assert bicep == terraform


def test_both_put_out_the_same(sides) -> None:
    assert {snake(name): value for name, value in sides.bicep_outputs.items()} == sides.plain(sides.terraform_outputs)


def test_both_give_the_app_the_same_roles_and_no_other(sides) -> None:
    bicep = sorted(
        (ROLES[one.body["properties"]["roleDefinitionId"].split("/")[-1]], one.scope)
        for one in sides.bicep
        if one.kind == "Microsoft.Authorization/roleAssignments"
    )
    scopes = {"Storage Blob Data Owner": "Microsoft.Storage/storageAccounts",
              "Storage Queue Data Contributor": "Microsoft.Storage/storageAccounts",
              "Monitoring Metrics Publisher": "Microsoft.Insights/components",
              "Key Vault Secrets Officer": "Microsoft.KeyVault/vaults",
              "Storage Blob Data Reader": "Microsoft.Storage/storageAccounts",
              "Storage Queue Data Reader": "Microsoft.Storage/storageAccounts",
              "Key Vault Secrets User": "Microsoft.KeyVault/vaults",
              "Log Analytics Reader": "Microsoft.OperationalInsights/workspaces",
              "AcrPull": "Microsoft.ContainerRegistry/registries"}  # fmt: skip
    written = {
        role["role_definition_name"]: role["scope"]
        for block in everything()["resource"]
        for kind, named in block.items()
        if kind == "azurerm_role_assignment"
        for role in named.values()
    }
    terraform = sorted(one["role_definition_name"] for one in sides.azurerm("azurerm_role_assignment"))
    assert [role for role, _ in bicep] == terraform
    for role, scope in bicep:
        assert scopes[role] == scope
        assert TYPES[written[role].removeprefix("${").split(".")[0].split("[")[0]] == scope


def test_both_give_the_developer_roles_to_whoever_deploys_and_those_of_the_app_to_nobody_else(sides) -> None:
    principals = {one.body["properties"]["principalId"] for one in sides.bicep
                  if one.kind == "Microsoft.Authorization/roleAssignments"}  # fmt: skip
    assert principals == {one["principal_id"] for one in sides.azurerm("azurerm_role_assignment")}


def test_both_describe_the_same_app(sides) -> None:
    """To the last property, every setting included."""
    if (app := app_of(sides)) is None:
        assert sides.bicep_outputs["appUrl"] == ""
        return
    bicep, terraform = app
    identities = {"type": "UserAssigned", "userAssignedIdentities": {terraform["identity"][0]["identity_ids"][0]: {}}}
    assert bicep["identity"] == identities
    ours = {key: value for key, value in bicep.items() if key not in {"name", "location", "tags", "identity"}}
    assert by_name(ours) == by_name(terraform["body"])


def test_both_change_the_database_by_the_same_jobs(sides) -> None:
    bicep, terraform = sides.arm("Microsoft.App/jobs"), sides.azapi("Microsoft.App/jobs")
    assert len(bicep) == 2
    ours = {one["name"]: by_name(one["properties"]) for one in bicep}
    assert ours == {one["name"]: by_name(one["body"]["properties"]) for one in terraform}


def by_name(value: Any) -> Any:
    """Sort lists of what has a name, such as settings, which each language orders in its own way."""
    if isinstance(value, dict):
        return {key: by_name(inner) for key, inner in value.items()}
    if isinstance(value, list):
        items = [by_name(item) for item in value]
        named = items and isinstance(items[0], dict) and "name" in items[0]
        return sorted(items, key=lambda item: item["name"]) if named else items
    return value


def settings_of(sides: Sides) -> dict[str, str]:
    app = app_of(sides)
    if app is None:
        return {}
    properties = app[0]["properties"]
    listed = properties.get("siteConfig", {}).get("appSettings") or properties["template"]["containers"][0]["env"]
    return {one["name"]: one["value"] for one in listed}


def test_the_app_takes_every_setting_that_it_is_given(sides, monkeypatch) -> None:
    given = settings_of(sides)
    if not given:
        return
    read = {
        name: str(field.validation_alias or f"JOBS_{name.upper()}") for name, field in Settings.model_fields.items()
    }
    unread = {name for name in given if name.startswith("JOBS_")} - set(read.values()) - {ADDED_HANDLERS}
    assert not unread, "the app reads no such setting"
    for name in given:
        monkeypatch.setenv(name, given[name])
    if given["JOBS_SCHEDULER"] == "dapr":
        monkeypatch.setenv("APP_API_TOKEN", "given by the platform")
    settings = Settings.read()
    assert settings.database_auth == "entra"
    assert settings.database_tls
    assert not settings.local
    assert settings.database_url is not None
    assert (":6432/" in settings.database_url.get_secret_value()) == settings.database_pgbouncer
    assert [token.get_secret_value() for token in settings.callback_tokens] == (
        ["given by the platform"] if settings.scheduler == "dapr" else []
    )


SIGN_IN = ("Microsoft.Web/sites/config", "Microsoft.App/containerApps/authConfigs")


def test_roles_are_asked_for_where_callers_sign_in_and_nowhere_else(sides) -> None:
    """To the last property, in both languages and shapes: the app trusts headers that only a sign-in makes true."""
    bicep = [one for kind in SIGN_IN for one in sides.arm(kind)]
    terraform = [one for kind in SIGN_IN for one in sides.azapi(kind)]
    assert [one["properties"] for one in bicep] == [one["body"]["properties"] for one in terraform]
    given = settings_of(sides)
    if given:
        assert given["JOBS_ROLES"] == ("true" if bicep else "false")
        assert given["JOBS_KEY_ROLE"] == ("none" if bicep else "manage")
    for one in bicep:
        checked = one["properties"]["globalValidation"]
        assert checked["unauthenticatedClientAction"] == "Return401"
        assert checked["excludedPaths"] == ["/api/health/live", "/api/health/ready"]


def test_the_host_takes_as_many_messages_as_the_app_has_slots_for(sides, monkeypatch) -> None:
    """It would say so at its start otherwise; the settings win over what host.json says."""
    given = settings_of(sides)
    if not given:
        return
    for name in given:
        monkeypatch.setenv(name, given[name])
    monkeypatch.setenv("APP_API_TOKEN", "given by the platform")
    settings = Settings.read()
    assert queue_warnings(settings) == []
    assert settings.uses_queue == ("AzureWebJobsStorage__queueServiceUri" in given)


def test_the_root_is_left_to_the_app_and_no_home_page_of_the_hosts(sides) -> None:
    given = settings_of(sides)
    assert not given or given["AzureWebJobsDisableHomepage"] == "true"


def test_the_host_keeps_its_keys_in_the_vault_as_the_apps_identity(sides) -> None:
    given = settings_of(sides)
    if not given:
        return
    assert given["AzureWebJobsSecretStorageType"] == "keyvault"
    assert given["AzureWebJobsSecretStorageKeyVaultUri"] == KNOWN["Microsoft.KeyVault/vaults"]["vaultUri"]
    assert given["AzureWebJobsSecretStorageKeyVaultClientId"] == given["AZURE_CLIENT_ID"]


def test_the_workers_packages_are_not_isolated_which_breaks_starts_on_older_pythons(sides) -> None:
    given = settings_of(sides)
    if given:
        assert given["PYTHON_ISOLATE_WORKER_DEPENDENCIES"] == "0"


def test_wherever_that_is_set_it_is_off_and_it_says_why() -> None:
    name = "PYTHON_ISOLATE_WORKER_DEPENDENCIES"
    places = [
        "local.settings.sample.json", "docs/how-to/dapr.md", "infra/bicep/main.bicep", "infra/terraform/settings.tf",
        "infra/docker/Dockerfile",
    ]  # fmt: skip
    for place in places:
        lines = [line for line in (ROOT / place).read_text().splitlines() if name in line]
        assert not any(re.search(rf"{name}\W+1", line) for line in lines), place
        assert re.search(r"3\.12 (and|or) older", (ROOT / place).read_text()), place


def test_what_bicep_and_the_app_have_a_default_for_is_the_same() -> None:
    """A deployment that says nothing is an app that was told nothing."""
    for parameter, field in {"databasePoolSize": "database_pool_size", "databasePgbouncer": "database_pgbouncer",
                             "concurrency": "concurrency", "pollSchedule": "poll_schedule",
                             "retentionDays": "retention_days"}.items():  # fmt: skip
        assert parameters()[parameter]["defaultValue"] == Settings.model_fields[field].default


def test_both_say_the_same_of_each_resource(sides) -> None:
    for kind, ours, theirs in SAME:
        terraform = sorted(one_word(at(one, ours)) for one in sides.azurerm(kind))
        bicep = sorted(one_word(at(one, theirs)) for one in sides.arm(TYPES[kind]))
        assert terraform == bicep, f"{kind}.{ours}"


def test_both_let_the_same_addresses_reach_the_database(sides) -> None:
    """Bicep takes no rule away, so that it fills all the slots that a deployment before it may have filled."""
    rules = [one["properties"] for one in sides.arm("Microsoft.DBforPostgreSQL/flexibleServers/firewallRules")]
    bicep = {(one["startIpAddress"], one["endIpAddress"]) for one in rules}
    terraform = sides.azurerm("azurerm_postgresql_flexible_server_firewall_rule")
    assert bicep == {(one["start_ip_address"], one["end_ip_address"]) for one in terraform}
    assert len(rules) in {0, 8}


def at(value: Any, path: str) -> Any:
    for part in path.split("."):
        value = value[int(part)] if part.isdigit() else value[part]
    return value


def one_word(value: Any) -> str:
    """Write what one language says by true and the other by a word in the same way."""
    switched = {True: "on", "Enabled": "on", False: "off", "Disabled": "off"}
    return str(switched.get(value, value))


def test_both_have_the_same_administrators_of_the_database_and_try_again_where_azure_is_busy(sides) -> None:
    kind = "Microsoft.DBforPostgreSQL/flexibleServers/administrators"
    bicep = {one["name"].split("/")[-1]: one["properties"] for one in sides.arm(kind)}
    assert len(bicep) == 2
    assert bicep == {one["name"]: one["body"]["properties"] for one in sides.azapi(kind)}
    for module, name in (("database", "admin"), ("administrator", "administrator")):
        resources = template(BICEP / f"modules/{module}.bicep")["resources"]
        repeated = resources[name]["@options"]["retryOn"][0]
        for one in sides.azapi(kind):
            assert one["retry"]["error_message_regex"] == repeated


def test_both_let_azure_restart_the_database_at_the_same_time(sides) -> None:
    [terraform], [bicep] = (
        sides.azurerm("azurerm_postgresql_flexible_server"),
        sides.arm("Microsoft.DBforPostgreSQL/flexibleServers"),
    )
    window = bicep["properties"]["maintenanceWindow"]
    chosen = {"day_of_week": window["dayOfWeek"], "start_hour": window["startHour"], "start_minute": 0}
    assert terraform["maintenance_window"] == ([chosen] if window["customWindow"] == "Enabled" else [])


def test_both_log_the_same_categories_of_each_service(sides) -> None:
    def written(logs: list[dict[str, Any]], group: str) -> list[str]:
        return sorted(one.get(group) or one["category"] for one in logs)

    bicep = sorted(written(one["properties"]["logs"], "categoryGroup")
                   for one in sides.arm("Microsoft.Insights/diagnosticSettings"))  # fmt: skip
    assert bicep == sorted(written(one["enabled_log"], "category_group")
                           for one in sides.azurerm("azurerm_monitor_diagnostic_setting"))  # fmt: skip
    everything_logged = "StorageRead" in str(bicep)
    assert str(bicep).count("StorageDelete") == (2 if everything_logged else 1)


def test_both_watch_the_same_kinds_of_answer_of_the_same_metrics(sides) -> None:
    def bicep(one: dict[str, Any]) -> Any:
        [criterion] = one["properties"]["criteria"]["allOf"]
        return one["name"], criterion["metricNamespace"], [sorted(each["values"]) for each in criterion["dimensions"]]

    def terraform(one: dict[str, Any]) -> Any:
        [criterion] = one["criteria"]
        return one["name"], criterion["metric_namespace"], [sorted(each["values"]) for each in criterion["dimension"]]

    assert sorted(map(bicep, sides.arm("Microsoft.Insights/metricAlerts"))) == sorted(
        map(terraform, sides.azurerm("azurerm_monitor_metric_alert"))
    )


def test_both_show_the_same_page_of_figures(sides) -> None:
    [bicep], [terraform] = (
        sides.arm("Microsoft.Insights/workbooks"),
        sides.azurerm("azurerm_application_insights_workbook"),
    )
    shown = [json.loads(one) for one in (bicep["properties"]["serializedData"], terraform["data_json"])]
    assert shown[0] == shown[1]
    assert shown[0]["fallbackResourceIds"][0].endswith("/workspaces/log-jobs")


def test_both_lead_what_leaves_the_network_through_the_same_address(sides) -> None:
    gateways = sides.arm("Microsoft.Network/natGateways")
    led = {subnet["name"] for network in sides.arm("Microsoft.Network/virtualNetworks")
           for subnet in network["properties"]["subnets"] if subnet["properties"].get("natGateway")}  # fmt: skip
    associations = sides.azurerm("azurerm_subnet_nat_gateway_association")
    assert len(led) == len(associations)
    assert led == ({"app", "operations", "runners"} if gateways else set())
    assert len(sides.azurerm("azurerm_nat_gateway_public_ip_association")) == len(gateways)


def test_both_take_the_same_size_of_database(sides) -> None:
    [terraform], [bicep] = (
        sides.azurerm("azurerm_postgresql_flexible_server"),
        sides.arm("Microsoft.DBforPostgreSQL/flexibleServers"),
    )
    assert terraform["storage_mb"] == bicep["properties"]["storage"]["storageSizeGB"] * 1024
    tiers = {"B": "Burstable", "GP": "GeneralPurpose", "MO": "MemoryOptimized"}
    tier, _, sku = terraform["sku_name"].partition("_")
    assert {"name": sku, "tier": tiers[tier]} == bicep["sku"]


def test_both_keep_storage_as_redundantly_and_deleted_blobs_as_long(sides) -> None:
    [terraform], [bicep] = (
        sides.azurerm("azurerm_storage_account"),
        sides.arm("Microsoft.Storage/storageAccounts"),
    )
    assert f"{terraform['account_tier']}_{terraform['account_replication_type']}" == bicep["sku"]["name"]
    [blobs] = sides.arm("Microsoft.Storage/storageAccounts/blobServices")
    [kept] = terraform["blob_properties"]
    assert kept["delete_retention_policy"][0]["days"] == blobs["properties"]["deleteRetentionPolicy"]["days"]
    assert (
        kept["container_delete_retention_policy"][0]["days"]
        == blobs["properties"]["containerDeleteRetentionPolicy"]["days"]
    )


def test_both_divide_the_network_in_the_same_way_and_let_the_same_through(sides) -> None:
    networks = sides.arm("Microsoft.Network/virtualNetworks")
    bicep = {
        subnet["name"]: (
            subnet["properties"]["addressPrefix"],
            [one["properties"]["serviceName"] for one in subnet["properties"].get("delegations", [])],
        )
        for network in networks
        for subnet in network["properties"]["subnets"]
    }
    terraform = {
        subnet["name"]: (
            subnet["address_prefixes"][0],
            [one["service_delegation"][0]["name"] for one in subnet["delegation"]],
        )
        for subnet in sides.azurerm("azurerm_subnet")
    }
    assert bicep == terraform

    def rules(group: dict[str, Any], entries: list[dict[str, Any]], name: Any) -> dict[str, Any]:
        fields = ["priority", "direction", "access", "protocol", "source_address_prefix", "destination_address_prefix"]
        lists = ["source_address_prefixes"]
        return {
            one["name"]: [name(one, field) for field in fields] + [sorted(name(one, field) or []) for field in lists]
            for one in entries
        }

    for ours, theirs in zip(
        sorted(sides.azurerm("azurerm_network_security_group"), key=lambda one: one["name"]),
        sorted(sides.arm("Microsoft.Network/networkSecurityGroups"), key=lambda one: one["name"]),
        strict=True,
    ):
        assert rules(ours, ours["security_rule"], lambda one, field: one[field]) == rules(
            theirs,
            theirs.get("properties", {}).get("securityRules", []),
            lambda one, field: one["properties"].get(camel(field)),
        )
        for rule, other in zip(
            sorted(ours["security_rule"], key=lambda one: one["name"]),
            sorted(theirs.get("properties", {}).get("securityRules", []), key=lambda one: one["name"]),
            strict=True,
        ):
            assert sorted(rule["destination_port_ranges"] or []) == sorted(
                other["properties"].get("destinationPortRanges", [])
            )


def test_both_take_the_same_parameters_with_the_same_defaults_and_descriptions() -> None:
    variables = {name: body for block in everything()["variable"] for name, body in block.items()}
    del variables["resource_group_name"], variables["location"]  # Bicep is deployed into one, and takes its region
    declared = {snake(name): one for name, one in parameters().items() if name != "location"}
    assert set(declared) == set(variables)
    for name, one in declared.items():
        body = variables[name]
        assert description(one) == body["description"], name
        assert one.get("defaultValue") == body.get("default"), name
        condition = body.get("validation", [{"condition": ""}])[0]["condition"]
        listed = re.search(r"contains\(\[(.*?)\]", condition)
        assert one.get("allowedValues") == (json.loads(f"[{listed[1]}]") if listed else None), name
        for bound, comparison in (("min", ">="), ("max", "<=")):
            written = re.search(rf"{comparison} (\d+)", condition)
            declared_bound = one.get(f"{bound}Value", one.get(f"{bound}Length"))
            assert declared_bound == (int(written[1]) if written else None), f"{name} {bound}"


def test_both_describe_their_outputs_in_the_same_words() -> None:
    outputs = {name: body["description"] for block in everything()["output"] for name, body in block.items()}
    assert outputs == {snake(name): description(one) for name, one in template()["outputs"].items()}


def snake(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", name).lower()


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)
