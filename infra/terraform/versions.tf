terraform {
  required_version = ">= 1.9"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 4.55"
    }
    # For the two apps: azurerm knows no `kind` of a container app, and gives a Flex Consumption app an empty
    # AzureWebJobsStorage beside the identity's settings.
    azapi = {
      source  = "azure/azapi"
      version = "~> 2.12"
    }
  }
}

provider "azurerm" {
  storage_use_azuread             = true
  resource_provider_registrations = "none" # rights on the resource group suffice so; ../check.py tells what is missing

  features {
    storage {
      data_plane_available = false # it is behind the private endpoint
    }
  }
}

provider "azapi" {}
