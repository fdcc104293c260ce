# Evaluates both shapes with mocked providers: `terraform test`, of version 1.11 or newer. Nothing is created, no
# subscription is needed.

mock_provider "azurerm" {
  override_during = plan

  mock_data "azurerm_resource_group" {
    defaults = {
      id       = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/jobs"
      location = "westeurope"
    }
  }
  mock_data "azurerm_client_config" {
    defaults = {
      tenant_id = "55555555-5555-5555-5555-555555555555"
      object_id = "77777777-7777-7777-7777-777777777777"
    }
  }
  mock_resource "azurerm_user_assigned_identity" {
    defaults = {
      id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/jobs/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-jobs"
      client_id    = "11111111-1111-1111-1111-111111111111"
      principal_id = "22222222-2222-2222-2222-222222222222"
    }
  }
  mock_resource "azurerm_subnet" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/jobs/providers/Microsoft.Network/virtualNetworks/vnet-jobs/subnets/app"
    }
  }
  mock_resource "azurerm_service_plan" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/jobs/providers/Microsoft.Web/serverfarms/plan-jobs"
    }
  }
  override_resource {
    target = azurerm_user_assigned_identity.migrator
    values = {
      id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/jobs/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-jobs-migrator"
      client_id    = "11111111-1111-1111-1111-111111111111"
      principal_id = "66666666-6666-6666-6666-666666666666"
    }
  }
  mock_resource "azurerm_container_app_environment" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/jobs/providers/Microsoft.App/managedEnvironments/cae-jobs"
    }
  }
  mock_resource "azurerm_application_insights" {
    defaults = {
      connection_string = "InstrumentationKey=example"
    }
  }
  mock_resource "azurerm_storage_account" {
    defaults = {
      primary_blob_endpoint  = "https://example.blob.core.windows.net/"
      primary_queue_endpoint = "https://example.queue.core.windows.net/"
    }
  }
  mock_resource "azurerm_key_vault" {
    defaults = {
      vault_uri = "https://example.vault.azure.net/"
    }
  }
  mock_resource "azurerm_postgresql_flexible_server" {
    defaults = {
      fqdn = "example.postgres.database.azure.com"
    }
  }
  mock_resource "azurerm_log_analytics_workspace" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/jobs/providers/Microsoft.OperationalInsights/workspaces/log-jobs"
    }
  }
  mock_resource "azurerm_public_ip" {
    defaults = {
      ip_address = "203.0.113.7"
    }
  }
  mock_resource "azurerm_container_registry" {
    defaults = {
      login_server = "example.azurecr.io"
    }
  }
}

mock_provider "azapi" {
  override_during = plan

  mock_resource "azapi_resource" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/jobs/providers/Microsoft.Web/sites/app"
      output = {
        properties = {
          defaultHostName = "app.azurewebsites.net"
          configuration = {
            ingress = {
              fqdn = "app.example.azurecontainerapps.io"
            }
          }
        }
      }
    }
  }
}

variables {
  resource_group_name      = "jobs"
  alert_email              = "oncall@example.com"
  database_admin_name      = "jobs admins@example.com"
  database_admin_object_id = "33333333-3333-3333-3333-333333333333"
}

run "flex_by_default" {
  command = plan

  assert {
    condition     = output.app_url == "https://app.azurewebsites.net"
    error_message = "The app is on Flex Consumption."
  }
  assert {
    condition     = length(azapi_resource.dapr) == 0
    error_message = "Nothing is made for the other shape."
  }
  assert {
    condition     = local.app_settings["JOBS_SCHEDULER"] == "queue" && local.app_settings["AzureFunctionsJobHost__extensions__queues__newBatchThreshold"] == "15" && !contains(keys(local.app_settings), "FUNCTIONS_WORKER_RUNTIME")
    error_message = "The queue wakes jobs up, a message for each slot."
  }
  assert {
    condition     = local.app_settings["JOBS_DATABASE_URL"] == "postgresql://id-jobs@example.postgres.database.azure.com:5432/jobs"
    error_message = "The app connects as its identity, directly."
  }
  assert {
    condition     = azurerm_postgresql_flexible_server.server.public_network_access_enabled == false && azurerm_storage_account.host.public_network_access_enabled == false && azurerm_key_vault.keys.public_network_access_enabled == false
    error_message = "Database, storage and vault are off the Internet."
  }
  assert {
    condition     = length(azurerm_private_endpoint.database) + length(azurerm_private_endpoint.blob) + length(azurerm_private_endpoint.queue) + length(azurerm_private_endpoint.vault) == 4 && length(azurerm_postgresql_flexible_server_firewall_rule.opening) == 0
    error_message = "They are reached by private endpoints only."
  }
  assert {
    condition     = local.app_settings["AzureWebJobsSecretStorageType"] == "keyvault" && local.app_settings["AzureWebJobsSecretStorageKeyVaultUri"] == "https://example.vault.azure.net/" && local.app_settings["AzureWebJobsSecretStorageKeyVaultClientId"] == local.app_settings["AZURE_CLIENT_ID"]
    error_message = "The function keys are kept in the vault, which the app's identity opens."
  }
  assert {
    condition     = azurerm_key_vault.keys.rbac_authorization_enabled && azurerm_key_vault.keys.purge_protection_enabled
    error_message = "The vault is opened by roles only, and what is deleted in it can be had back."
  }
  assert {
    condition     = azurerm_postgresql_flexible_server.server.sku_name == "GP_Standard_D2ds_v5"
    error_message = "Tier and size make the name that the provider wants."
  }
  assert {
    condition     = output.migration_url == "postgresql://jobs%20admins%40example.com@example.postgres.database.azure.com:5432/jobs"
    error_message = "A name with blanks and an at sign fits into a URL."
  }
  assert {
    condition     = local.app_settings["JOBS_ROLES"] == "false" && length(azapi_update_resource.flex_sign_in) == 0
    error_message = "No roles are asked for where nobody signs in."
  }
  assert {
    condition     = length(azapi_resource.flex[0].body.properties.functionAppConfig.scaleAndConcurrency.alwaysReady) == 0
    error_message = "No instance is paid for that is not asked for."
  }
  assert {
    condition     = length(azurerm_monitor_scheduled_query_rules_alert_v2.log) == 6 && length(azurerm_monitor_metric_alert.metric) == 4
    error_message = "Every alert is there."
  }
}

run "dapr_before_there_is_an_image" {
  command = plan

  variables {
    shape = "dapr"
  }
  assert {
    condition     = output.app_url == "" && length(azapi_resource.dapr) == 0 && output.registry_server == "example.azurecr.io"
    error_message = "Without an image there is a registry to push one to, and no app."
  }
}

run "dapr" {
  command = plan

  variables {
    shape           = "dapr"
    container_image = "example.azurecr.io/jobs:1"
  }
  assert {
    condition     = output.app_url == "https://app.example.azurecontainerapps.io" && output.app_name == "ca-jobs"
    error_message = "The app is on Container Apps."
  }
  assert {
    condition     = length(azapi_resource.flex) + length(azurerm_service_plan.flex) + length(azapi_update_resource.publishing_passwords) == 0
    error_message = "Nothing is made for the other shape."
  }
  assert {
    condition     = local.app_settings["JOBS_SCHEDULER"] == "dapr" && !contains(keys(local.app_settings), "JOBS_CALLBACK_TOKENS")
    error_message = "Dapr wakes jobs up, with the platform's token."
  }
  assert {
    condition     = local.app_settings["AzureWebJobsSecretStorageType"] == "keyvault" && local.app_settings["AzureFunctionsWebHost__hostid"] == "jobs"
    error_message = "Replicas are one host, with keys that outlive a revision."
  }
  assert {
    condition     = azapi_resource.dapr[0].body.properties.configuration.dapr.appPort == azapi_resource.dapr[0].body.properties.configuration.ingress.targetPort
    error_message = "The sidecar calls the port that the app listens on."
  }
  assert {
    condition     = azapi_resource.dapr[0].body.properties.template.scale.minReplicas == 1
    error_message = "A replica is always there for timers and callbacks."
  }
}

run "flex_with_sign_in" {
  command = plan

  variables {
    api_client_id = "44444444-4444-4444-4444-444444444444"
  }
  assert {
    condition     = local.app_settings["JOBS_ROLES"] == "true" && azapi_update_resource.flex_sign_in[0].body.properties.globalValidation.requireAuthentication
    error_message = "Who calls signs in, and the app asks for roles."
  }
  assert {
    condition     = length(azapi_resource.dapr_sign_in) == 0
    error_message = "Nothing is made for the other shape."
  }
}

run "dapr_with_sign_in" {
  command = plan

  variables {
    shape           = "dapr"
    container_image = "example.azurecr.io/jobs:1"
    api_client_id   = "44444444-4444-4444-4444-444444444444"
  }
  assert {
    condition     = local.app_settings["JOBS_ROLES"] == "true" && azapi_resource.dapr_sign_in[0].body.properties.globalValidation.unauthenticatedClientAction == "Return401"
    error_message = "Who calls signs in, and the app asks for roles."
  }
}

run "without_a_private_network" {
  command = plan

  variables {
    private_network = false
  }
  assert {
    condition     = length(azurerm_virtual_network.network) + length(azurerm_private_endpoint.blob) + length(azurerm_private_endpoint.database) + length(azurerm_private_endpoint.vault) == 0
    error_message = "There is no network."
  }
  assert {
    condition     = keys(azurerm_postgresql_flexible_server_firewall_rule.opening) == ["azure"] && azapi_resource.flex[0].body.properties.virtualNetworkSubnetId == null
    error_message = "The app comes from Azure's addresses."
  }
}

run "an_operator_is_let_in" {
  command = plan

  variables {
    operator_ip_addresses = ["192.0.2.7"]
  }
  assert {
    condition     = azurerm_postgresql_flexible_server_firewall_rule.opening["operator-192-0-2-7"].start_ip_address == "192.0.2.7" && azurerm_postgresql_flexible_server.server.public_network_access_enabled
    error_message = "That address, and no other, may reach the database."
  }
}

run "into_an_existing_network" {
  command = plan

  variables {
    existing_network = {
      app_subnet        = "/networks/hub/subnets/app"
      operations_subnet = "/networks/hub/subnets/operations"
      endpoint_subnet   = "/networks/hub/subnets/endpoints"
      blob_dns_zone     = "/zones/blob"
      queue_dns_zone    = "/zones/queue"
      vault_dns_zone    = "/zones/vault"
      database_dns_zone = "/zones/database"
    }
  }
  assert {
    condition     = length(azurerm_virtual_network.network) + length(azurerm_private_dns_zone.blob) == 0 && length(azurerm_private_endpoint.database) == 1
    error_message = "Endpoints go into that network, and no other is made."
  }
}

run "runners_and_operators_in_the_network" {
  command = plan

  variables {
    runner_subnet_prefix = "10.64.3.0/24"
    operator_prefixes    = ["10.9.0.0/16"]
  }
  assert {
    condition     = length(azurerm_subnet.runners) == 1 && length(azurerm_postgresql_flexible_server_firewall_rule.opening) == 0
    error_message = "They are in the network, and nothing is opened to the Internet for them."
  }
}

run "what_is_asked_for_beside" {
  command = plan

  variables {
    nat_gateway          = true
    runner_subnet_prefix = "10.64.3.0/24"
    storage_logs         = true
    developer_access     = true
    database_lock        = true
    database_maintenance = { day = 0, hour = 3 }
  }
  assert {
    condition     = output.outbound_ip_address == "203.0.113.7" && length(azurerm_subnet_nat_gateway_association.app) + length(azurerm_subnet_nat_gateway_association.operations) + length(azurerm_subnet_nat_gateway_association.runners) == 3
    error_message = "What leaves the network comes from one address."
  }
  assert {
    condition     = azurerm_role_assignment.developer_keys[0].principal_id == "77777777-7777-7777-7777-777777777777"
    error_message = "Whoever deploys reads what a developer reads."
  }
  assert {
    condition     = azurerm_postgresql_flexible_server.server.maintenance_window[0].start_hour == 3
    error_message = "Azure restarts the database when it may."
  }
}

run "flex_by_its_timer" {
  command = plan

  variables {
    flex_scheduler         = "timer"
    always_ready_instances = 1
  }
  assert {
    condition     = local.app_settings["JOBS_SCHEDULER"] == "timer" && length(azurerm_private_endpoint.queue) + length(azurerm_role_assignment.contributor) == 0
    error_message = "The timer wakes jobs up, and nothing is made for a queue."
  }
}

run "flex_that_asks_other_instances_for_help" {
  command = plan

  variables {
    flex_scheduler         = "scale-out"
    always_ready_instances = 1
    concurrency            = 8
  }
  assert {
    condition     = local.app_settings["JOBS_SCALE_OUT"] == "true" && local.app_settings["AzureFunctionsJobHost__extensions__queues__newBatchThreshold"] == "0"
    error_message = "A message is for a whole instance."
  }
}

run "trial" {
  command = plan

  variables {
    shape                    = "flex"
    database_tier            = "Burstable"
    database_sku             = "Standard_B1ms"
    database_max_connections = 50
    database_pool_size       = 4
    max_instances            = 3
    instance_memory_mb       = 512
    private_network          = false
    storage_sku              = "Standard_LRS"
    database_lock            = true
  }
  assert {
    condition     = azurerm_postgresql_flexible_server.server.sku_name == "B_Standard_B1ms" && length(azurerm_virtual_network.network) == 0 && length(azapi_resource.database_lock) == 1
    error_message = "A small database without a network, that is not deleted by accident."
  }
}

run "through_pgbouncer" {
  command = plan

  variables {
    database_pgbouncer     = true
    always_ready_instances = 2
    max_instances          = 1000
    extra_settings         = { JOBS_LEASE_SECONDS = "90", JOBS_CONCURRENCY = "4" }
  }
  assert {
    condition     = endswith(local.app_settings["JOBS_DATABASE_URL"], ":6432/jobs") && local.app_settings["JOBS_DATABASE_PGBOUNCER"] == "true" && length(azurerm_postgresql_flexible_server_configuration.pgbouncer) == 1
    error_message = "Port, setting and server agree."
  }
  assert {
    condition     = local.app_settings["JOBS_LEASE_SECONDS"] == "90" && local.app_settings["JOBS_CONCURRENCY"] == "4"
    error_message = "Further settings are added, and win."
  }
}

run "more_connections_than_the_database_has" {
  command = plan

  variables {
    max_instances = 200
  }
  expect_failures = [azurerm_postgresql_flexible_server.server]
}


