output "app_name" {
  description = "Name of the function app or container app."
  value       = local.flex ? azapi_resource.flex[0].name : "ca-${var.name}"
}

output "app_url" {
  description = "Where the app answers; empty while there is no image."
  value = one(concat(
    [for app in azapi_resource.flex : "https://${app.output.properties.defaultHostName}"],
    [for app in azapi_resource.dapr : "https://${app.output.properties.configuration.ingress.fqdn}"],
    [for none in [""] : none if local.dapr && var.container_image == ""],
  ))
}

output "runtime_role" {
  description = "The app's managed identity: the database role that it connects as."
  value       = azurerm_user_assigned_identity.app.name
}

output "runtime_object_id" {
  description = "Object id of that identity, for the grant."
  value       = azurerm_user_assigned_identity.app.principal_id
}

output "database_host" {
  description = "Where the database is."
  value       = azurerm_postgresql_flexible_server.server.fqdn
}

output "migration_url" {
  description = "What the administrator sets JOBS_DATABASE_URL to for a migration."
  value       = "postgresql://${replace(urlencode(var.database_admin_name), "+", "%20")}@${azurerm_postgresql_flexible_server.server.fqdn}:5432/jobs"
}

output "database_connections" {
  description = "Connections that the instances may open in all."
  value       = local.connections
}

output "outbound_ip_address" {
  description = "The address that calls of the app come from; empty where it is any of the platform's."
  value       = join("", azurerm_public_ip.outbound[*].ip_address)
}

output "storage_account_name" {
  description = "The storage account."
  value       = azurerm_storage_account.host.name
}

output "key_vault_name" {
  description = "The vault that holds the function keys."
  value       = azurerm_key_vault.keys.name
}

output "registry_server" {
  description = "The registry to push the image to."
  value       = azurerm_container_registry.images.login_server
}

output "operations_name" {
  description = "What the jobs that change the database are called, before -migrate and -apply."
  value       = "caj-${var.name}"
}

output "workspace_name" {
  description = "The workspace that holds the logs."
  value       = azurerm_log_analytics_workspace.logs.name
}
