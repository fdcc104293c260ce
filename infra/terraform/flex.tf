# The app on Flex Consumption.

resource "azurerm_service_plan" "flex" {
  #checkov:skip=CKV_AZURE_212:Flex Consumption starts an instance when a timer or a call needs one; always_ready_instances keeps some
  #checkov:skip=CKV_AZURE_225:Flex Consumption spreads over zones in some regions only; where it does, set it on the plan
  count               = local.flex ? 1 : 0
  name                = "plan-${var.name}"
  resource_group_name = var.resource_group_name
  location            = local.location
  tags                = var.tags
  os_type             = "Linux"
  sku_name            = "FC1"
}

resource "azapi_resource" "flex" {
  count                  = local.flex ? 1 : 0
  type                   = "Microsoft.Web/sites@2025-03-01"
  name                   = "func-${var.name}-${local.suffix}"
  parent_id              = local.group_id
  location               = local.location
  tags                   = var.tags
  response_export_values = ["properties.defaultHostName"]

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.app.id]
  }

  body = {
    kind = "functionapp,linux"
    properties = {
      serverFarmId           = azurerm_service_plan.flex[0].id
      httpsOnly              = true
      publicNetworkAccess    = "Enabled"
      virtualNetworkSubnetId = local.app_subnet_id
      siteConfig = {
        minTlsVersion    = "1.2"
        scmMinTlsVersion = "1.2"
        ftpsState        = "Disabled"
        http20Enabled    = true
        appSettings      = local.settings_list
      }
      functionAppConfig = {
        deployment = {
          storage = {
            type  = "blobContainer"
            value = "${azurerm_storage_account.host.primary_blob_endpoint}${azurerm_storage_container.packages.name}"
            authentication = {
              type                           = "UserAssignedIdentity"
              userAssignedIdentityResourceId = azurerm_user_assigned_identity.app.id
            }
          }
        }
        runtime = {
          name    = "python"
          version = "3.13"
        }
        scaleAndConcurrency = {
          instanceMemoryMB     = var.instance_memory_mb
          maximumInstanceCount = var.max_instances
          triggers = {
            http = {
              perInstanceConcurrency = var.http_concurrency
            }
          }
          alwaysReady = [for count in [var.always_ready_instances] : {
            name          = var.flex_scheduler == "queue" ? "function:wake" : "function:run_due"
            instanceCount = count
          } if count > 0]
        }
      }
    }
  }

  depends_on = [
    azurerm_role_assignment.owner,
    azurerm_role_assignment.contributor,
    azurerm_role_assignment.keys,
    azurerm_private_endpoint.blob,
    azurerm_private_endpoint.queue,
    azurerm_private_endpoint.database,
    azurerm_private_endpoint.vault,
    azurerm_private_dns_zone_virtual_network_link.blob,
    azurerm_private_dns_zone_virtual_network_link.queue,
    azurerm_private_dns_zone_virtual_network_link.database,
    azurerm_private_dns_zone_virtual_network_link.vault,
    azurerm_subnet_network_security_group_association.app,
  ]
}

# An update, since every app has these from its beginning.
resource "azapi_update_resource" "publishing_passwords" {
  for_each  = local.flex ? toset(["scm", "ftp"]) : toset([])
  type      = "Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01"
  name      = each.key
  parent_id = azapi_resource.flex[0].id

  body = {
    properties = {
      allow = false
    }
  }
}
