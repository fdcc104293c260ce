# The app on Container Apps with a Dapr sidecar.

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
      environmentId       = azurerm_container_app_environment.containers.id
      workloadProfileName = "Consumption"
      configuration = {
        activeRevisionsMode = "Single"
        registries = [
          {
            server   = azurerm_container_registry.images.login_server
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
        # The host ends within ten seconds of the last run's end, or of the end of the grace period.
        terminationGracePeriodSeconds = var.stop_grace_seconds + 20
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
