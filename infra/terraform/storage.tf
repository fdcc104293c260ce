# What the Functions host keeps: timer leases, on Flex Consumption the deployed package, and alarms in a queue where that
# wakes jobs up. No job: an alarm is a name.

resource "azurerm_storage_account" "host" {
  #checkov:skip=CKV_AZURE_33:the queue holds names of alarms; who wrote or read them is nobody but the app
  #checkov:skip=CKV_AZURE_43:made of the name, of which a variable's validation leaves what is allowed
  #checkov:skip=CKV_AZURE_59:disabled by default, and open only to identities where private_network is set to false
  #checkov:skip=CKV_AZURE_206:zone-redundant by default; it holds no job, and a deployment writes all of it anew
  #checkov:skip=CKV2_AZURE_1:it holds leases and the app's own package, no customer data; the platform's key encrypts them
  name                             = "st${local.compact_name}${local.suffix}"
  resource_group_name              = var.resource_group_name
  location                         = local.location
  tags                             = var.tags
  account_kind                     = "StorageV2"
  account_tier                     = split("_", var.storage_sku)[0]
  account_replication_type         = split("_", var.storage_sku)[1]
  min_tls_version                  = "TLS1_2"
  https_traffic_only_enabled       = true
  shared_access_key_enabled        = false
  allow_nested_items_to_be_public  = false
  cross_tenant_replication_enabled = false
  default_to_oauth_authentication  = true
  public_network_access_enabled    = !var.private_network

  network_rules {
    default_action = var.private_network ? "Deny" : "Allow"
    bypass         = ["AzureServices"]
  }

  blob_properties {
    delete_retention_policy {
      days = 7
    }
    container_delete_retention_policy {
      days = 7
    }
  }
}

resource "azurerm_storage_container" "packages" {
  #checkov:skip=CKV2_AZURE_21:what reads the package and the leases is the app's identity alone
  name                  = local.deployment_container
  storage_account_id    = azurerm_storage_account.host.id
  container_access_type = "private"
}

resource "azurerm_role_assignment" "owner" {
  scope                = azurerm_storage_account.host.id
  role_definition_name = "Storage Blob Data Owner"
  principal_id         = azurerm_user_assigned_identity.app.principal_id
  principal_type       = "ServicePrincipal"
}

# The app makes its queue itself, puts alarms into it, and takes them from there.
resource "azurerm_role_assignment" "contributor" {
  count                = local.uses_queue ? 1 : 0
  scope                = azurerm_storage_account.host.id
  role_definition_name = "Storage Queue Data Contributor"
  principal_id         = azurerm_user_assigned_identity.app.principal_id
  principal_type       = "ServicePrincipal"
}

# Of blobs what is deleted and of queues nothing, unless all is asked for: polls and leases are lines all the time.
resource "azurerm_monitor_diagnostic_setting" "blobs" {
  name                       = "logs"
  target_resource_id         = "${azurerm_storage_account.host.id}/blobServices/default"
  log_analytics_workspace_id = azurerm_log_analytics_workspace.logs.id

  dynamic "enabled_log" {
    for_each = var.storage_logs ? ["StorageDelete", "StorageRead", "StorageWrite"] : ["StorageDelete"]
    content {
      category = enabled_log.value
    }
  }
}

resource "azurerm_monitor_diagnostic_setting" "queues" {
  count                      = var.storage_logs && local.uses_queue ? 1 : 0
  name                       = "logs"
  target_resource_id         = "${azurerm_storage_account.host.id}/queueServices/default"
  log_analytics_workspace_id = azurerm_log_analytics_workspace.logs.id

  dynamic "enabled_log" {
    for_each = ["StorageDelete", "StorageRead", "StorageWrite"]
    content {
      category = enabled_log.value
    }
  }
}

resource "azurerm_private_endpoint" "blob" {
  count               = local.private
  name                = "pep-${azurerm_storage_account.host.name}-blob"
  resource_group_name = var.resource_group_name
  location            = local.location
  tags                = var.tags
  subnet_id           = local.endpoint_subnet_id

  private_service_connection {
    name                           = "blob"
    private_connection_resource_id = azurerm_storage_account.host.id
    subresource_names              = ["blob"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "default"
    private_dns_zone_ids = [local.blob_dns_zone_id]
  }
}

resource "azurerm_private_endpoint" "queue" {
  count               = local.private * (local.uses_queue ? 1 : 0)
  name                = "pep-${azurerm_storage_account.host.name}-queue"
  resource_group_name = var.resource_group_name
  location            = local.location
  tags                = var.tags
  subnet_id           = local.endpoint_subnet_id

  private_service_connection {
    name                           = "queue"
    private_connection_resource_id = azurerm_storage_account.host.id
    subresource_names              = ["queue"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "default"
    private_dns_zone_ids = [local.queue_dns_zone_id]
  }
}
