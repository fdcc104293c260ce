# What somebody is told of. The queries are in ../alerts.json, for Bicep too.

locals {
  log_alerts = { for alert in jsondecode(file("${path.module}/../alerts.json")) : alert.name => alert }
  metric_alerts = {
    database-connections = {
      of          = "database"
      window      = "PT5M"
      description = "The database has had more than four fifths of its connections in use."
      metric      = "active_connections"
      aggregation = "Maximum"
      threshold   = floor(var.database_max_connections * 4 / 5)
    }
    database-cpu = {
      of          = "database"
      window      = "PT15M"
      description = "The database has had its processors more than nine tenths in use for a quarter of an hour."
      metric      = "cpu_percent"
      aggregation = "Average"
      threshold   = 90
    }
    database-storage = {
      of          = "database"
      window      = "PT5M"
      description = "The database's storage is more than 85 % full; a full one refuses to write."
      metric      = "storage_percent"
      aggregation = "Maximum"
      threshold   = 85
    }
    storage-failing = {
      of          = "storage"
      window      = "PT15M"
      description = "The storage account has failed more than ten calls of the app within a quarter of an hour, or refused it for want of a role."
      metric      = "Transactions"
      aggregation = "Total"
      threshold   = 10
      values      = ["AuthorizationError", "ServerBusyError", "ServerOtherError", "ServerTimeoutError"]
    }
  }
  alerted = {
    database = { id = azurerm_postgresql_flexible_server.server.id, type = "Microsoft.DBforPostgreSQL/flexibleServers" }
    storage  = { id = azurerm_storage_account.host.id, type = "Microsoft.Storage/storageAccounts" }
  }
}

resource "azurerm_monitor_action_group" "people" {
  name                = "ag-${var.name}"
  resource_group_name = var.resource_group_name
  short_name          = var.name
  tags                = var.tags

  email_receiver {
    name                    = "email"
    email_address           = var.alert_email
    use_common_alert_schema = true
  }
}

resource "azurerm_monitor_scheduled_query_rules_alert_v2" "log" {
  for_each                = local.log_alerts
  name                    = "${var.name}-${each.key}"
  display_name            = "${var.name}-${each.key}"
  description             = each.value.description
  resource_group_name     = var.resource_group_name
  location                = local.location
  tags                    = var.tags
  severity                = each.value.severity
  scopes                  = [azurerm_log_analytics_workspace.logs.id]
  evaluation_frequency    = each.value.frequency
  window_duration         = each.value.window
  auto_mitigation_enabled = true
  skip_query_validation   = true # the tables come into being with the app's first line

  criteria {
    query                   = each.value.query
    metric_measure_column   = each.value.column
    time_aggregation_method = each.value.aggregation
    operator                = each.value.operator
    threshold               = each.value.threshold

    failing_periods {
      number_of_evaluation_periods             = 1
      minimum_failing_periods_to_trigger_alert = 1
    }
  }

  action {
    action_groups = [azurerm_monitor_action_group.people.id]
  }
}

resource "azurerm_monitor_metric_alert" "metric" {
  for_each            = local.metric_alerts
  name                = "${var.name}-${each.key}"
  description         = each.value.description
  resource_group_name = var.resource_group_name
  tags                = var.tags
  severity            = 2
  scopes              = [local.alerted[each.value.of].id]
  frequency           = "PT5M"
  window_size         = each.value.window
  auto_mitigate       = true

  criteria {
    metric_namespace = local.alerted[each.value.of].type
    metric_name      = each.value.metric
    aggregation      = each.value.aggregation
    operator         = "GreaterThan"
    threshold        = each.value.threshold

    dynamic "dimension" {
      for_each = contains(keys(each.value), "values") ? ["ResponseType"] : []
      content {
        name     = dimension.value
        operator = "Include"
        values   = each.value.values
      }
    }
  }

  action {
    action_group_id = azurerm_monitor_action_group.people.id
  }
}
