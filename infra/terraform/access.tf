# Sign-in with Microsoft Entra ID before the app. The probes answer whoever asks; everything else that comes from outside
# needs a token of the app registration, and an app role by its route.

locals {
  sign_in = var.api_client_id != ""
  identity_providers = {
    azureActiveDirectory = {
      enabled = true
      registration = {
        clientId     = var.api_client_id
        openIdIssuer = "https://login.microsoftonline.com/${data.azurerm_client_config.current.tenant_id}/v2.0"
      }
      validation = {
        allowedAudiences = [var.api_client_id, "api://${var.api_client_id}"]
      }
    }
  }
  open_paths = ["/api/health/live", "/api/health/ready"]
}

# An update: every app has these settings from its beginning, and what is there already cannot be made.
resource "azapi_update_resource" "flex_sign_in" {
  count     = local.flex && local.sign_in ? 1 : 0
  type      = "Microsoft.Web/sites/config@2025-03-01"
  name      = "authsettingsV2"
  parent_id = azapi_resource.flex[0].id

  body = {
    properties = {
      platform = {
        enabled = true
      }
      globalValidation = {
        requireAuthentication       = true
        unauthenticatedClientAction = "Return401"
        excludedPaths               = local.open_paths
      }
      identityProviders = local.identity_providers
    }
  }
}

resource "azapi_resource" "dapr_sign_in" {
  count     = local.dapr && var.container_image != "" && local.sign_in ? 1 : 0
  type      = "Microsoft.App/containerApps/authConfigs@2026-01-01"
  name      = "current"
  parent_id = azapi_resource.dapr[0].id

  body = {
    properties = {
      platform = {
        enabled = true
      }
      globalValidation = {
        unauthenticatedClientAction = "Return401"
        excludedPaths               = local.open_paths
      }
      identityProviders = local.identity_providers
    }
  }
}
