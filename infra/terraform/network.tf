# A network with a subnet for the app and one for private endpoints, and the names by which these are found.

locals {
  private = var.private_network ? 1 : 0
}

resource "azurerm_network_security_group" "app" {
  count               = local.private
  name                = "nsg-${var.name}-app"
  resource_group_name = var.resource_group_name
  location            = local.location
  tags                = var.tags
}

resource "azurerm_network_security_group" "endpoints" {
  count               = local.private
  name                = "nsg-${var.name}-endpoints"
  resource_group_name = var.resource_group_name
  location            = local.location
  tags                = var.tags

  security_rule {
    name                       = "app-to-endpoints"
    priority                   = 100
    direction                  = "Inbound"
    access                     = "Allow"
    protocol                   = "Tcp"
    source_address_prefix      = var.app_subnet_prefix
    source_port_range          = "*"
    destination_address_prefix = var.endpoint_subnet_prefix
    destination_port_ranges    = ["443", "5432", "6432"]
  }

  security_rule {
    name                       = "nothing-else"
    priority                   = 4096
    direction                  = "Inbound"
    access                     = "Deny"
    protocol                   = "*"
    source_address_prefix      = "*"
    source_port_range          = "*"
    destination_address_prefix = "*"
    destination_port_range     = "*"
  }
}

resource "azurerm_virtual_network" "network" {
  count               = local.private
  name                = "vnet-${var.name}"
  resource_group_name = var.resource_group_name
  location            = local.location
  tags                = var.tags
  address_space       = [var.network_prefix]
}

resource "azurerm_subnet" "app" {
  count                = local.private
  name                 = "app"
  resource_group_name  = var.resource_group_name
  virtual_network_name = azurerm_virtual_network.network[0].name
  address_prefixes     = [var.app_subnet_prefix]

  delegation {
    name = "app-environments"

    service_delegation {
      name    = "Microsoft.App/environments"
      actions = ["Microsoft.Network/virtualNetworks/subnets/join/action"]
    }
  }
}

resource "azurerm_subnet" "endpoints" {
  count                             = local.private
  name                              = "endpoints"
  resource_group_name               = var.resource_group_name
  virtual_network_name              = azurerm_virtual_network.network[0].name
  address_prefixes                  = [var.endpoint_subnet_prefix]
  private_endpoint_network_policies = "NetworkSecurityGroupEnabled"
}

resource "azurerm_subnet_network_security_group_association" "app" {
  count                     = local.private
  subnet_id                 = azurerm_subnet.app[0].id
  network_security_group_id = azurerm_network_security_group.app[0].id
}

resource "azurerm_subnet_network_security_group_association" "endpoints" {
  count                     = local.private
  subnet_id                 = azurerm_subnet.endpoints[0].id
  network_security_group_id = azurerm_network_security_group.endpoints[0].id
}

resource "azurerm_private_dns_zone" "blob" {
  count               = local.private
  name                = "privatelink.blob.core.windows.net"
  resource_group_name = var.resource_group_name
  tags                = var.tags
}

resource "azurerm_private_dns_zone_virtual_network_link" "blob" {
  count                 = local.private
  name                  = "vnet-${var.name}"
  resource_group_name   = var.resource_group_name
  private_dns_zone_name = azurerm_private_dns_zone.blob[0].name
  virtual_network_id    = azurerm_virtual_network.network[0].id
  registration_enabled  = false
  tags                  = var.tags
}

resource "azurerm_private_dns_zone" "database" {
  count               = local.private
  name                = "privatelink.postgres.database.azure.com"
  resource_group_name = var.resource_group_name
  tags                = var.tags
}

resource "azurerm_private_dns_zone_virtual_network_link" "database" {
  count                 = local.private
  name                  = "vnet-${var.name}"
  resource_group_name   = var.resource_group_name
  private_dns_zone_name = azurerm_private_dns_zone.database[0].name
  virtual_network_id    = azurerm_virtual_network.network[0].id
  registration_enabled  = false
  tags                  = var.tags
}

resource "azurerm_private_dns_zone" "vault" {
  count               = local.private
  name                = "privatelink.vaultcore.azure.net"
  resource_group_name = var.resource_group_name
  tags                = var.tags
}

resource "azurerm_private_dns_zone_virtual_network_link" "vault" {
  count                 = local.private
  name                  = "vnet-${var.name}"
  resource_group_name   = var.resource_group_name
  private_dns_zone_name = azurerm_private_dns_zone.vault[0].name
  virtual_network_id    = azurerm_virtual_network.network[0].id
  registration_enabled  = false
  tags                  = var.tags
}
