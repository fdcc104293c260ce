# The vault for the Functions host's keys, which callers of the API have. One for each app: the host names its secrets
# without the app, so two of them would overwrite each other's.

resource "azurerm_key_vault" "keys" {
  #checkov:skip=CKV_AZURE_109:denied by default, and open only to identities where private_network is set to false
  #checkov:skip=CKV_AZURE_189:disabled by default, and open only to identities where private_network is set to false
  name                          = "kv-${local.compact_name}-${local.suffix}"
  resource_group_name           = var.resource_group_name
  location                      = local.location
  tags                          = var.tags
  tenant_id                     = data.azurerm_client_config.current.tenant_id
  sku_name                      = "standard"
  rbac_authorization_enabled    = true
  soft_delete_retention_days    = 7 # as short as Azure has it: a deleted vault keeps its name for as long
  purge_protection_enabled      = true
  public_network_access_enabled = !var.private_network

  network_acls {
    default_action = var.private_network ? "Deny" : "Allow"
    bypass         = "None"
  }
}

# The host reads, lists, writes and deletes secrets. No built-in role with less writes them.
resource "azurerm_role_assignment" "keys" {
  scope                = azurerm_key_vault.keys.id
  role_definition_name = "Key Vault Secrets Officer"
  principal_id         = azurerm_user_assigned_identity.app.principal_id
  principal_type       = "ServicePrincipal"
}

# Who read or changed which key, and when.
resource "azurerm_monitor_diagnostic_setting" "audit" {
  name                       = "audit"
  target_resource_id         = azurerm_key_vault.keys.id
  log_analytics_workspace_id = azurerm_log_analytics_workspace.logs.id

  enabled_log {
    category_group = "audit"
  }
}

resource "azurerm_private_endpoint" "vault" {
  count               = local.private
  name                = "pep-${azurerm_key_vault.keys.name}"
  resource_group_name = var.resource_group_name
  location            = local.location
  tags                = var.tags
  subnet_id           = local.endpoint_subnet_id

  private_service_connection {
    name                           = "vault"
    private_connection_resource_id = azurerm_key_vault.keys.id
    subresource_names              = ["vault"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "default"
    private_dns_zone_ids = [local.vault_dns_zone_id]
  }
}
