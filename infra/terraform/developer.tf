# What a developer may read. The roles of whoever deploys, such as Contributor, have no way to data.

locals {
  developer_object_id = var.developer_object_id == "" ? data.azurerm_client_config.current.object_id : var.developer_object_id
  developers          = var.developer_access ? 1 : 0
}

resource "azurerm_role_assignment" "developer_packages" {
  count                = local.developers
  scope                = azurerm_storage_account.host.id
  role_definition_name = "Storage Blob Data Reader"
  principal_id         = local.developer_object_id
}

resource "azurerm_role_assignment" "developer_alarms" {
  count                = local.developers * (local.uses_queue ? 1 : 0)
  scope                = azurerm_storage_account.host.id
  role_definition_name = "Storage Queue Data Reader"
  principal_id         = local.developer_object_id
}

resource "azurerm_role_assignment" "developer_keys" {
  count                = local.developers
  scope                = azurerm_key_vault.keys.id
  role_definition_name = "Key Vault Secrets User"
  principal_id         = local.developer_object_id
}

resource "azurerm_role_assignment" "developer_logs" {
  count                = local.developers
  scope                = azurerm_log_analytics_workspace.logs.id
  role_definition_name = "Log Analytics Reader"
  principal_id         = local.developer_object_id
}
