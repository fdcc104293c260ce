# Everything that the app runs on, in an existing resource group. Two shapes: `flex`, Flex Consumption with the timer
# backend, and `dapr`, Container Apps with a Dapr sidecar. ../bicep describes the same things; tests hold both to each
# other, to the app's settings and to the providers' schemas.

data "azurerm_client_config" "current" {}

data "azurerm_resource_group" "group" {
  name = var.resource_group_name
}

locals {
  location     = coalesce(var.location, data.azurerm_resource_group.group.location)
  group_id     = data.azurerm_resource_group.group.id
  suffix       = substr(sha256(data.azurerm_resource_group.group.id), 0, 6)
  compact_name = replace(var.name, "-", "")
  uses_queue   = var.shape == "flex" && var.flex_scheduler != "timer"
  # On Flex Consumption max_instances holds for each group of functions: all of HTTP is one, the queue's is another, and
  # each timer has one instance of its own, of which the queue backend has one and the others two.
  timer_instances      = var.shape == "dapr" ? 0 : var.flex_scheduler == "queue" ? 1 : 2
  connections          = var.database_pool_size * (var.max_instances * (local.uses_queue ? 2 : 1) + local.timer_instances)
  database_port        = var.database_pgbouncer ? 6432 : 5432
  deployment_container = "app-package"
  flex                 = var.shape == "flex"
  dapr                 = var.shape == "dapr"
}

# Azure does not pass the app's subnet on to an app of the other shape; infra/README.md has the commands that free it.
resource "terraform_data" "shape_cannot_be_changed_in_place" {
  triggers_replace = var.shape

  lifecycle {
    prevent_destroy = true
  }
}

# Who the app is: to storage, vault, database, Application Insights and registry.
resource "azurerm_user_assigned_identity" "app" {
  name                = "id-${var.name}"
  resource_group_name = var.resource_group_name
  location            = local.location
  tags                = var.tags
}
