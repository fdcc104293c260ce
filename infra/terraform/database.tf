# PostgreSQL with Microsoft Entra identities and no passwords.

locals {
  operators = { for address in var.operator_ip_addresses : "operator-${replace(address, ".", "-")}" => address }
  # 0.0.0.0 stands for every address within Azure.
  openings  = merge(local.operators, { for name, address in { azure = "0.0.0.0" } : name => address if !var.private_network })
  sku_tiers = { Burstable = "B", GeneralPurpose = "GP", MemoryOptimized = "MO" }
}

resource "azurerm_postgresql_flexible_server" "server" {
  #checkov:skip=CKV_AZURE_136:a parameter; it costs as much again and cannot be changed later, so it is the owner's to choose
  name                          = "psql-${var.name}-${local.suffix}"
  resource_group_name           = var.resource_group_name
  location                      = local.location
  tags                          = var.tags
  version                       = var.database_version
  sku_name                      = "${local.sku_tiers[var.database_tier]}_${var.database_sku}"
  storage_mb                    = var.database_storage_gb * 1024
  auto_grow_enabled             = true
  backup_retention_days         = var.database_backup_retention_days
  geo_redundant_backup_enabled  = var.database_geo_redundant_backup
  public_network_access_enabled = length(local.openings) > 0

  authentication {
    active_directory_auth_enabled = true
    password_auth_enabled         = false
    tenant_id                     = data.azurerm_client_config.current.tenant_id
  }

  dynamic "high_availability" {
    for_each = var.database_high_availability == "Disabled" ? [] : [var.database_high_availability]
    content {
      mode = high_availability.value
    }
  }

  dynamic "maintenance_window" {
    for_each = var.database_maintenance[*]
    content {
      day_of_week  = maintenance_window.value.day
      start_hour   = maintenance_window.value.hour
      start_minute = 0
    }
  }

  lifecycle {
    prevent_destroy = true # the jobs are in there, and some changes would replace it
    # Azure chooses the zones, exchanges them when the standby takes over, and grows the storage.
    ignore_changes = [zone, high_availability[0].standby_availability_zone, storage_mb]

    precondition {
      # Twenty are left for the server itself, for migrations and for people.
      condition     = var.database_pgbouncer || local.connections + 20 <= var.database_max_connections
      error_message = "What the instances may open is more than database_max_connections - 20: lower max_instances or database_pool_size."
    }
  }
}

# The server takes one change at a time, so each waits for the one before.
resource "azurerm_postgresql_flexible_server_database" "jobs" {
  name      = "jobs"
  server_id = azurerm_postgresql_flexible_server.server.id
  charset   = "UTF8"
  collation = "en_US.utf8"

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_postgresql_flexible_server_firewall_rule" "opening" {
  for_each         = local.openings
  name             = each.key
  server_id        = azurerm_postgresql_flexible_server.server.id
  start_ip_address = each.value
  end_ip_address   = each.value
  depends_on       = [azurerm_postgresql_flexible_server_database.jobs]
}

resource "azurerm_postgresql_flexible_server_configuration" "pgbouncer" {
  count      = var.database_pgbouncer ? 1 : 0
  name       = "pgbouncer.enabled"
  server_id  = azurerm_postgresql_flexible_server.server.id
  value      = "true"
  depends_on = [azurerm_postgresql_flexible_server_firewall_rule.opening]
}

# Last, since a server that is still busy with another change has been seen to refuse it or to lose it. By azapi, which
# tries again where Azure answers so; azurerm does not.
locals {
  busy = {
    error_message_regex  = ["ServerIsBusy", "InternalServerError", "AadAuthOperationCannotBePerformedWhenServerIsNotAccessible"]
    interval_seconds     = 15
    max_interval_seconds = 120
  }
}

resource "azapi_resource" "admin" {
  type      = "Microsoft.DBforPostgreSQL/flexibleServers/administrators@2025-08-01"
  name      = var.database_admin_object_id
  parent_id = azurerm_postgresql_flexible_server.server.id
  retry     = local.busy

  body = {
    properties = {
      principalName = var.database_admin_name
      principalType = var.database_admin_type
      tenantId      = data.azurerm_client_config.current.tenant_id
    }
  }

  depends_on = [azurerm_postgresql_flexible_server_configuration.pgbouncer]
}

resource "azapi_resource" "database_lock" {
  count     = var.database_lock ? 1 : 0
  type      = "Microsoft.Authorization/locks@2020-05-01"
  name      = "the-jobs-are-in-here"
  parent_id = azurerm_postgresql_flexible_server.server.id

  body = {
    properties = {
      level = "CanNotDelete"
      notes = "Take it away before you delete the database for good."
    }
  }

  depends_on = [azapi_resource.admin]
}

# Slow statements, refused connections, check points.
resource "azurerm_monitor_diagnostic_setting" "database" {
  name                       = "logs"
  target_resource_id         = azurerm_postgresql_flexible_server.server.id
  log_analytics_workspace_id = azurerm_log_analytics_workspace.logs.id

  enabled_log {
    category_group = "allLogs"
  }
}

resource "azurerm_private_endpoint" "database" {
  count               = local.private
  name                = "pep-${azurerm_postgresql_flexible_server.server.name}"
  resource_group_name = var.resource_group_name
  location            = local.location
  tags                = var.tags
  subnet_id           = local.endpoint_subnet_id
  depends_on          = [azapi_resource.migrator_admin]

  private_service_connection {
    name                           = "postgres"
    private_connection_resource_id = azurerm_postgresql_flexible_server.server.id
    subresource_names              = ["postgresqlServer"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "default"
    private_dns_zone_ids = [local.database_dns_zone_id]
  }
}
