# The app on Container Apps with a Dapr sidecar, and the registry for its image.

resource "azurerm_container_registry" "images" {
  #checkov:skip=CKV_AZURE_139:closing it needs the Premium tier and an agent for pushing in the network; only identities may pull
  #checkov:skip=CKV_AZURE_163:Defender for Containers scans, a setting of the subscription
  #checkov:skip=CKV_AZURE_164:needs the Premium tier
  #checkov:skip=CKV_AZURE_165:the app runs in one region
  #checkov:skip=CKV_AZURE_166:needs the Premium tier
  #checkov:skip=CKV_AZURE_167:needs the Premium tier; az acr purge does it
  #checkov:skip=CKV_AZURE_233:needs the Premium tier; running replicas have their image already
  #checkov:skip=CKV_AZURE_237:needs the Premium tier
  count                  = local.dapr ? 1 : 0
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
  scope                = azurerm_container_registry.images[0].id
  role_definition_name = "AcrPull"
  principal_id         = azurerm_user_assigned_identity.app.principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_container_app_environment" "apps" {
  count                    = local.dapr ? 1 : 0
  name                     = "cae-${var.name}"
  resource_group_name      = var.resource_group_name
  location                 = local.location
  tags                     = var.tags
  logs_destination         = "azure-monitor" # by way of a diagnostic setting, since the direct one needs the workspace's key
  infrastructure_subnet_id = var.private_network ? azurerm_subnet.app[0].id : null

  workload_profile {
    name                  = "Consumption"
    workload_profile_type = "Consumption"
  }

  depends_on = [azurerm_subnet_network_security_group_association.app]

  lifecycle {
    ignore_changes = [infrastructure_resource_group_name] # the platform names it
  }
}

resource "azurerm_monitor_diagnostic_setting" "apps" {
  count                      = local.dapr ? 1 : 0
  name                       = "logs"
  target_resource_id         = azurerm_container_app_environment.apps[0].id
  log_analytics_workspace_id = azurerm_log_analytics_workspace.logs.id

  enabled_log {
    category_group = "allLogs"
  }
}

resource "azapi_resource" "dapr" {
  count                  = local.dapr && var.container_image != "" ? 1 : 0
  type                   = "Microsoft.App/containerApps@2026-01-01"
  name                   = "ca-${var.name}"
  parent_id              = local.group_id
  location               = local.location
  tags                   = var.tags
  response_export_values = ["properties.configuration.ingress.fqdn"]

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.app.id]
  }

  body = {
    kind = "functionapp"
    properties = {
      environmentId       = azurerm_container_app_environment.apps[0].id
      workloadProfileName = "Consumption"
      configuration = {
        activeRevisionsMode = "Single"
        registries = [
          {
            server   = azurerm_container_registry.images[0].login_server
            identity = azurerm_user_assigned_identity.app.id
          }
        ]
        ingress = {
          external      = true
          targetPort    = 80
          transport     = "auto"
          allowInsecure = false
        }
        dapr = {
          enabled     = true
          appId       = var.name
          appPort     = 80
          appProtocol = "http"
          # While the app does not answer, the sidecar holds alarms back instead of using up their retries.
          appHealth = {
            enabled                  = true
            path                     = "/api/health/live"
            probeIntervalSeconds     = 5
            probeTimeoutMilliseconds = 1000
            threshold                = 3
          }
        }
      }
      template = {
        terminationGracePeriodSeconds = 60
        containers = [
          {
            name  = "app"
            image = var.container_image
            resources = {
              cpu    = tonumber(var.container_cpu)
              memory = var.container_memory
            }
            env = local.settings_list
            probes = [
              {
                type = "Startup"
                httpGet = {
                  path = "/api/health/live"
                  port = 80
                }
                periodSeconds    = 5
                failureThreshold = 30
              },
              {
                type = "Liveness"
                httpGet = {
                  path = "/api/health/live"
                  port = 80
                }
                periodSeconds    = 10
                failureThreshold = 6
              }
            ]
          }
        ]
        scale = {
          minReplicas = var.min_replicas
          maxReplicas = var.max_instances
        }
      }
    }
  }

  depends_on = [
    azurerm_role_assignment.owner,
    azurerm_role_assignment.keys,
    azurerm_role_assignment.puller,
    azurerm_private_endpoint.blob,
    azurerm_private_endpoint.database,
    azurerm_private_endpoint.vault,
    azurerm_private_dns_zone_virtual_network_link.blob,
    azurerm_private_dns_zone_virtual_network_link.database,
    azurerm_private_dns_zone_virtual_network_link.vault,
  ]
}
