# What changes the database, as jobs of the platform within the network: whoever may start them needs no way to the
# database, and the app no right to change a table.

resource "azurerm_user_assigned_identity" "migrator" {
  name                = "id-${var.name}-migrator"
  resource_group_name = var.resource_group_name
  location            = local.location
  tags                = var.tags
}

resource "azapi_resource" "migrator_admin" {
  type      = "Microsoft.DBforPostgreSQL/flexibleServers/administrators@2025-08-01"
  name      = azurerm_user_assigned_identity.migrator.principal_id
  parent_id = azurerm_postgresql_flexible_server.server.id
  retry     = local.busy

  body = {
    properties = {
      principalName = azurerm_user_assigned_identity.migrator.name
      principalType = "ServicePrincipal"
      tenantId      = data.azurerm_client_config.current.tenant_id
    }
  }

  depends_on = [azapi_resource.admin]
}

locals {
  operations = {
    migrate = "python -m jobs db upgrade && python -m jobs db grant --runtime \"$RUNTIME\" --entra"
    apply   = "python -m jobs apply schedules.yaml --plan && python -m jobs apply schedules.yaml"
  }
}

resource "azapi_resource" "operation" {
  for_each  = local.operations
  type      = "Microsoft.App/jobs@2026-01-01"
  name      = "caj-${var.name}-${each.key}"
  parent_id = local.group_id
  location  = local.location
  tags      = var.tags

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.migrator.id]
  }

  body = {
    properties = {
      environmentId       = azurerm_container_app_environment.containers.id
      workloadProfileName = "Consumption"
      configuration = {
        triggerType       = "Manual"
        replicaTimeout    = 1800
        replicaRetryLimit = 0
        manualTriggerConfig = {
          parallelism            = 1
          replicaCompletionCount = 1
        }
        registries = [
          {
            server   = azurerm_container_registry.images.login_server
            identity = azurerm_user_assigned_identity.migrator.id
          }
        ]
      }
      template = {
        containers = [
          {
            name = "jobs"
            # What stands here before there is an image has no Python, so that a job fails.
            image   = var.container_image == "" ? "mcr.microsoft.com/k8se/quickstart-jobs:latest" : var.container_image
            command = ["/bin/sh", "-c", each.value]
            env = [
              { name = "AZURE_CLIENT_ID", value = azurerm_user_assigned_identity.migrator.client_id },
              { name = "JOBS_DATABASE_AUTH", value = "entra" },
              { name = "JOBS_DATABASE_URL", value = "postgresql://${azurerm_user_assigned_identity.migrator.name}@${azurerm_postgresql_flexible_server.server.fqdn}:5432/jobs" },
              { name = "RUNTIME", value = "${azurerm_user_assigned_identity.app.name}=${azurerm_user_assigned_identity.app.principal_id}" },
            ]
            resources = {
              cpu    = 0.5
              memory = "1Gi"
            }
          }
        ]
      }
    }
  }

  lifecycle {
    ignore_changes = [body.properties.template.containers[0].image] # ../operations.py names that of each release
  }

  depends_on = [
    azurerm_role_assignment.migrator_puller,
    azapi_resource.migrator_admin,
  ]
}
