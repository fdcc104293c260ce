"""A scenario in both languages, evaluated: by what each calls things, and what is to be the same."""

from __future__ import annotations

import json
from typing import Any

from tests.infra.snapshots import Snapshot

TYPES = {
    "azurerm_application_insights": "Microsoft.Insights/components",
    "azurerm_application_insights_workbook": "Microsoft.Insights/workbooks",
    "azurerm_container_app_environment": "Microsoft.App/managedEnvironments",
    "azurerm_container_registry": "Microsoft.ContainerRegistry/registries",
    "azurerm_key_vault": "Microsoft.KeyVault/vaults",
    "azurerm_log_analytics_workspace": "Microsoft.OperationalInsights/workspaces",
    "azurerm_monitor_action_group": "Microsoft.Insights/actionGroups",
    "azurerm_monitor_diagnostic_setting": "Microsoft.Insights/diagnosticSettings",
    "azurerm_monitor_metric_alert": "Microsoft.Insights/metricAlerts",
    "azurerm_monitor_scheduled_query_rules_alert_v2": "Microsoft.Insights/scheduledQueryRules",
    "azurerm_nat_gateway": "Microsoft.Network/natGateways",
    "azurerm_network_security_group": "Microsoft.Network/networkSecurityGroups",
    "azurerm_postgresql_flexible_server": "Microsoft.DBforPostgreSQL/flexibleServers",
    "azurerm_postgresql_flexible_server_configuration": "Microsoft.DBforPostgreSQL/flexibleServers/configurations",
    "azurerm_postgresql_flexible_server_database": "Microsoft.DBforPostgreSQL/flexibleServers/databases",
    "azurerm_private_dns_zone": "Microsoft.Network/privateDnsZones",
    "azurerm_private_dns_zone_virtual_network_link": "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
    "azurerm_private_endpoint": "Microsoft.Network/privateEndpoints",
    "azurerm_public_ip": "Microsoft.Network/publicIPAddresses",
    "azurerm_service_plan": "Microsoft.Web/serverfarms",
    "azurerm_storage_account": "Microsoft.Storage/storageAccounts",
    "azurerm_storage_container": "Microsoft.Storage/storageAccounts/blobServices/containers",
    "azurerm_user_assigned_identity": "Microsoft.ManagedIdentity/userAssignedIdentities",
    "azurerm_virtual_network": "Microsoft.Network/virtualNetworks",
}  # fmt: skip
# Parts of another resource in one of the languages, compared by their own tests or by nothing but their owner.
WITHIN = {
    "azurerm_subnet",
    "azurerm_subnet_nat_gateway_association",
    "azurerm_nat_gateway_public_ip_association",
    "azurerm_subnet_network_security_group_association",
    "azurerm_role_assignment",
    "azurerm_postgresql_flexible_server_firewall_rule",
    "terraform_data",
}
WITHIN_ARM = {
    "Microsoft.DBforPostgreSQL/flexibleServers/firewallRules",
    "Microsoft.Authorization/roleAssignments",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups",
    "Microsoft.Storage/storageAccounts/blobServices",
}
ROLES = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "974c5e8b-45b9-4653-ba55-5f0f855dd0fb": "Storage Queue Data Contributor",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": "AcrPull",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
    "19e7f393-937e-4f77-808e-94535e297925": "Storage Queue Data Reader",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "73c42c96-874c-492b-b04d-ab87d138a893": "Log Analytics Reader",
}


class Sides:
    """One scenario in both languages."""

    def __init__(self, bicep: Snapshot, plan: dict[str, Any]) -> None:
        self.bicep = bicep.resources
        self.terraform = [
            (change["type"], change["change"]["after"])
            for change in plan["resource_changes"]
            if change["mode"] == "managed"
        ]
        self.bicep_outputs = bicep.outputs
        self.terraform_outputs = {name: change["after"] for name, change in plan["output_changes"].items()}
        self._suffixes = [
            outputs[name][-6:]
            for outputs, name in (
                (self.terraform_outputs, "storage_account_name"),
                (self.bicep_outputs, "storageAccountName"),
            )
        ]

    def plain(self, value: Any) -> Any:
        """Write Terraform's values with Bicep's suffix of names that are to be unique in the world."""
        return json.loads(json.dumps(value).replace(*self._suffixes))

    def arm(self, kind: str) -> list[dict[str, Any]]:
        return [one.body for one in self.bicep if one.kind == kind]

    def azurerm(self, kind: str) -> list[dict[str, Any]]:
        return [self.plain(after) for name, after in self.terraform if name == kind]

    def azapi(self, kind: str) -> list[dict[str, Any]]:
        resources = self.azurerm("azapi_resource") + self.azurerm("azapi_update_resource")
        return [one for one in resources if one["type"].split("@")[0] == kind]


def app_of(sides: Sides) -> tuple[dict[str, Any], dict[str, Any]] | None:
    for kind in ("Microsoft.Web/sites", "Microsoft.App/containerApps"):
        for bicep, terraform in zip(sides.arm(kind), sides.azapi(kind), strict=True):
            return bicep, terraform
    return None


SAME = [
    ("azurerm_storage_account", "min_tls_version", "properties.minimumTlsVersion"),
    ("azurerm_storage_account", "https_traffic_only_enabled", "properties.supportsHttpsTrafficOnly"),
    ("azurerm_storage_account", "shared_access_key_enabled", "properties.allowSharedKeyAccess"),
    ("azurerm_storage_account", "allow_nested_items_to_be_public", "properties.allowBlobPublicAccess"),
    ("azurerm_storage_account", "cross_tenant_replication_enabled", "properties.allowCrossTenantReplication"),
    ("azurerm_storage_account", "default_to_oauth_authentication", "properties.defaultToOAuthAuthentication"),
    ("azurerm_storage_account", "account_kind", "kind"),
    ("azurerm_storage_account", "public_network_access_enabled", "properties.publicNetworkAccess"),
    ("azurerm_storage_account", "network_rules.0.default_action", "properties.networkAcls.defaultAction"),
    ("azurerm_storage_account", "network_rules.0.bypass.0", "properties.networkAcls.bypass"),
    ("azurerm_key_vault", "sku_name", "properties.sku.name"),
    ("azurerm_key_vault", "rbac_authorization_enabled", "properties.enableRbacAuthorization"),
    ("azurerm_key_vault", "soft_delete_retention_days", "properties.softDeleteRetentionInDays"),
    ("azurerm_key_vault", "purge_protection_enabled", "properties.enablePurgeProtection"),
    ("azurerm_key_vault", "public_network_access_enabled", "properties.publicNetworkAccess"),
    ("azurerm_key_vault", "network_acls.0.default_action", "properties.networkAcls.defaultAction"),
    ("azurerm_key_vault", "network_acls.0.bypass", "properties.networkAcls.bypass"),
    ("azurerm_postgresql_flexible_server", "version", "properties.version"),
    ("azurerm_postgresql_flexible_server", "auto_grow_enabled", "properties.storage.autoGrow"),
    ("azurerm_postgresql_flexible_server", "backup_retention_days", "properties.backup.backupRetentionDays"),
    ("azurerm_postgresql_flexible_server", "geo_redundant_backup_enabled", "properties.backup.geoRedundantBackup"),
    ("azurerm_postgresql_flexible_server", "public_network_access_enabled", "properties.network.publicNetworkAccess"),
    ("azurerm_postgresql_flexible_server", "authentication.0.active_directory_auth_enabled",
     "properties.authConfig.activeDirectoryAuth"),
    ("azurerm_postgresql_flexible_server", "authentication.0.password_auth_enabled",
     "properties.authConfig.passwordAuth"),
    ("azurerm_postgresql_flexible_server_database", "charset", "properties.charset"),
    ("azurerm_postgresql_flexible_server_database", "collation", "properties.collation"),
    ("azurerm_postgresql_flexible_server_configuration", "value", "properties.value"),
    ("azurerm_log_analytics_workspace", "sku", "properties.sku.name"),
    ("azurerm_log_analytics_workspace", "retention_in_days", "properties.retentionInDays"),
    ("azurerm_application_insights", "local_authentication_disabled", "properties.DisableLocalAuth"),
    ("azurerm_application_insights", "application_type", "properties.Application_Type"),
    ("azurerm_container_registry", "sku", "sku.name"),
    ("azurerm_container_registry", "admin_enabled", "properties.adminUserEnabled"),
    ("azurerm_container_registry", "anonymous_pull_enabled", "properties.anonymousPullEnabled"),
    ("azurerm_container_app_environment", "logs_destination", "properties.appLogsConfiguration.destination"),
    ("azurerm_container_app_environment", "workload_profile.0.workload_profile_type",
     "properties.workloadProfiles.0.workloadProfileType"),
    ("azurerm_service_plan", "sku_name", "sku.name"),
    ("azurerm_virtual_network", "address_space.0", "properties.addressSpace.addressPrefixes.0"),
    ("azurerm_private_dns_zone_virtual_network_link", "registration_enabled", "properties.registrationEnabled"),
    ("azurerm_private_endpoint", "private_service_connection.0.subresource_names.0",
     "properties.privateLinkServiceConnections.0.properties.groupIds.0"),
    ("azurerm_monitor_action_group", "short_name", "properties.groupShortName"),
    ("azurerm_monitor_action_group", "email_receiver.0.email_address", "properties.emailReceivers.0.emailAddress"),
    ("azurerm_monitor_metric_alert", "severity", "properties.severity"),
    ("azurerm_monitor_metric_alert", "frequency", "properties.evaluationFrequency"),
    ("azurerm_monitor_metric_alert", "window_size", "properties.windowSize"),
    ("azurerm_monitor_metric_alert", "criteria.0.metric_name", "properties.criteria.allOf.0.metricName"),
    ("azurerm_monitor_metric_alert", "criteria.0.aggregation", "properties.criteria.allOf.0.timeAggregation"),
    ("azurerm_monitor_metric_alert", "criteria.0.operator", "properties.criteria.allOf.0.operator"),
    ("azurerm_monitor_metric_alert", "criteria.0.threshold", "properties.criteria.allOf.0.threshold"),
    ("azurerm_monitor_scheduled_query_rules_alert_v2", "severity", "properties.severity"),
    ("azurerm_monitor_scheduled_query_rules_alert_v2", "evaluation_frequency", "properties.evaluationFrequency"),
    ("azurerm_monitor_scheduled_query_rules_alert_v2", "window_duration", "properties.windowSize"),
    ("azurerm_monitor_scheduled_query_rules_alert_v2", "criteria.0.query", "properties.criteria.allOf.0.query"),
    ("azurerm_monitor_scheduled_query_rules_alert_v2", "criteria.0.threshold",
     "properties.criteria.allOf.0.threshold"),
    ("azurerm_monitor_scheduled_query_rules_alert_v2", "criteria.0.operator", "properties.criteria.allOf.0.operator"),
    ("azurerm_monitor_scheduled_query_rules_alert_v2", "criteria.0.time_aggregation_method",
     "properties.criteria.allOf.0.timeAggregation"),
    ("azurerm_monitor_scheduled_query_rules_alert_v2", "criteria.0.metric_measure_column",
     "properties.criteria.allOf.0.metricMeasureColumn"),
    ("azurerm_public_ip", "sku", "sku.name"),
    ("azurerm_public_ip", "allocation_method", "properties.publicIPAllocationMethod"),
    ("azurerm_nat_gateway", "sku_name", "sku.name"),
    ("azurerm_application_insights_workbook", "display_name", "properties.displayName"),
    ("azurerm_application_insights_workbook", "category", "properties.category"),
]  # fmt: skip
