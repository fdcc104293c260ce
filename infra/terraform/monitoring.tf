# Logs and telemetry. Application Insights takes them from identities only.

resource "azurerm_log_analytics_workspace" "logs" {
  name                         = "log-${var.name}"
  resource_group_name          = var.resource_group_name
  location                     = local.location
  tags                         = var.tags
  sku                          = "PerGB2018"
  retention_in_days            = var.log_retention_days
  local_authentication_enabled = false
}

resource "azurerm_application_insights" "app" {
  name                          = "appi-${var.name}"
  resource_group_name           = var.resource_group_name
  location                      = local.location
  tags                          = var.tags
  application_type              = "web"
  workspace_id                  = azurerm_log_analytics_workspace.logs.id
  local_authentication_disabled = true
}

# A page of figures in the portal. It is in ../workbook.json, for Bicep too.
resource "azurerm_application_insights_workbook" "jobs" {
  name                = uuidv5("url", "${local.group_id}/workbook/${var.name}")
  resource_group_name = var.resource_group_name
  location            = local.location
  tags                = var.tags
  display_name        = "Jobs of ${var.name}"
  category            = "workbook"
  source_id           = lower(azurerm_log_analytics_workspace.logs.id)
  data_json           = replace(file("${path.module}/../workbook.json"), "WORKSPACE_ID", azurerm_log_analytics_workspace.logs.id)
}

resource "azurerm_role_assignment" "publisher" {
  scope                = azurerm_application_insights.app.id
  role_definition_name = "Monitoring Metrics Publisher"
  principal_id         = azurerm_user_assigned_identity.app.principal_id
  principal_type       = "ServicePrincipal"
}
