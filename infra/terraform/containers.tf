# Where containers run, and the registry for their image: the app in the shape dapr, and what changes the database in
# either.

resource "azurerm_container_registry" "images" {
  #checkov:skip=CKV_AZURE_139:closing it needs the Premium tier and an agent for pushing in the network; only identities may pull
  #checkov:skip=CKV_AZURE_163:Defender for Containers scans, a setting of the subscription
  #checkov:skip=CKV_AZURE_164:needs the Premium tier
  #checkov:skip=CKV_AZURE_165:the app runs in one region
  #checkov:skip=CKV_AZURE_166:needs the Premium tier
  #checkov:skip=CKV_AZURE_167:needs the Premium tier; az acr purge does it
  #checkov:skip=CKV_AZURE_233:needs the Premium tier; running replicas have their image already
  #checkov:skip=CKV_AZURE_237:needs the Premium tier
  name                   = "cr${local.compact_name}${local.suffix}"
  resource_group_name    = var.resource_group_name
  location               = local.location
  tags                   = var.tags
  sku                    = "Basic"
  admin_enabled          = false
  anonymous_pull_enabled = false
}

resource "azurerm_role_assignment" "puller" {
  count                = local.dapr ? 1 : 0
  scope                = azurerm_container_registry.images.id
  role_definition_name = "AcrPull"
  principal_id         = azurerm_user_assigned_identity.app.principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_role_assignment" "migrator_puller" {
  scope                = azurerm_container_registry.images.id
  role_definition_name = "AcrPull"
  principal_id         = azurerm_user_assigned_identity.migrator.principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_container_app_environment" "containers" {
  name                     = "cae-${var.name}"
  resource_group_name      = var.resource_group_name
  location                 = local.location
  tags                     = var.tags
  logs_destination         = "azure-monitor" # by way of a diagnostic setting, since the direct one needs the workspace's key
  infrastructure_subnet_id = local.flex ? local.operations_subnet_id : local.app_subnet_id

  workload_profile {
    name                  = "Consumption"
    workload_profile_type = "Consumption"
  }

  depends_on = [
    azurerm_subnet_network_security_group_association.app,
    azurerm_subnet_network_security_group_association.operations,
  ]

  lifecycle {
    ignore_changes = [infrastructure_resource_group_name] # the platform names it
  }
}

resource "azurerm_monitor_diagnostic_setting" "containers" {
  name                       = "logs"
  target_resource_id         = azurerm_container_app_environment.containers.id
  log_analytics_workspace_id = azurerm_log_analytics_workspace.logs.id

  enabled_log {
    category_group = "allLogs"
  }
}
