# A network with a subnet for the app and one for private endpoints, and the names by which these are found.

locals {
  private     = var.private_network ? 1 : 0
  own_network = var.private_network && var.existing_network == null ? 1 : 0
  existing    = var.existing_network

  app_subnet_id        = local.existing != null ? local.existing.app_subnet : one(azurerm_subnet.app[*].id)
  operations_subnet_id = local.existing != null ? local.existing.operations_subnet : one(azurerm_subnet.operations[*].id)
  endpoint_subnet_id   = local.existing != null ? local.existing.endpoint_subnet : one(azurerm_subnet.endpoints[*].id)
  blob_dns_zone_id     = local.existing != null ? local.existing.blob_dns_zone : one(azurerm_private_dns_zone.blob[*].id)
  queue_dns_zone_id    = local.existing != null ? local.existing.queue_dns_zone : one(azurerm_private_dns_zone.queue[*].id)
  vault_dns_zone_id    = local.existing != null ? local.existing.vault_dns_zone : one(azurerm_private_dns_zone.vault[*].id)
  database_dns_zone_id = local.existing != null ? local.existing.database_dns_zone : one(azurerm_private_dns_zone.database[*].id)

  operations_subnet = local.flex ? local.own_network : 0
  runner_subnet     = var.runner_subnet_prefix != "" ? local.own_network : 0
  sources = compact(concat(
    [var.app_subnet_prefix, local.flex ? var.operations_subnet_prefix : "", var.runner_subnet_prefix],
    var.operator_prefixes,
  ))
}

resource "azurerm_network_security_group" "app" {
  count               = local.own_network
  name                = "nsg-${var.name}-app"
  resource_group_name = var.resource_group_name
  location            = local.location
  tags                = var.tags
}

resource "azurerm_network_security_group" "endpoints" {
  count               = local.own_network
  name                = "nsg-${var.name}-endpoints"
  resource_group_name = var.resource_group_name
  location            = local.location
  tags                = var.tags

  security_rule {
    name                       = "into-endpoints"
    priority                   = 100
    direction                  = "Inbound"
    access                     = "Allow"
    protocol                   = "Tcp"
    source_address_prefixes    = local.sources
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

resource "azurerm_public_ip" "outbound" {
  count               = var.nat_gateway ? 1 : 0
  name                = "pip-${var.name}-outbound"
  resource_group_name = var.resource_group_name
  location            = local.location
  tags                = var.tags
  sku                 = "Standard"
  allocation_method   = "Static"
}

resource "azurerm_nat_gateway" "outbound" {
  count               = var.nat_gateway ? 1 : 0
  name                = "ng-${var.name}"
  resource_group_name = var.resource_group_name
  location            = local.location
  tags                = var.tags
  sku_name            = "Standard"
}

resource "azurerm_nat_gateway_public_ip_association" "outbound" {
  count                = var.nat_gateway ? 1 : 0
  nat_gateway_id       = azurerm_nat_gateway.outbound[0].id
  public_ip_address_id = azurerm_public_ip.outbound[0].id
}

resource "azurerm_virtual_network" "network" {
  count               = local.own_network
  name                = "vnet-${var.name}"
  resource_group_name = var.resource_group_name
  location            = local.location
  tags                = var.tags
  address_space       = [var.network_prefix]
}

resource "azurerm_subnet" "app" {
  count                = local.own_network
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

# Another subnet than the app's, which Flex Consumption shares with nothing.
resource "azurerm_subnet" "operations" {
  count                = local.operations_subnet
  name                 = "operations"
  resource_group_name  = var.resource_group_name
  virtual_network_name = azurerm_virtual_network.network[0].name
  address_prefixes     = [var.operations_subnet_prefix]

  delegation {
    name = "app-environments"

    service_delegation {
      name    = "Microsoft.App/environments"
      actions = ["Microsoft.Network/virtualNetworks/subnets/join/action"]
    }
  }
}

resource "azurerm_subnet" "runners" {
  count                = local.runner_subnet
  name                 = "runners"
  resource_group_name  = var.resource_group_name
  virtual_network_name = azurerm_virtual_network.network[0].name
  address_prefixes     = [var.runner_subnet_prefix]
}

resource "azurerm_subnet" "endpoints" {
  count                             = local.own_network
  name                              = "endpoints"
  resource_group_name               = var.resource_group_name
  virtual_network_name              = azurerm_virtual_network.network[0].name
  address_prefixes                  = [var.endpoint_subnet_prefix]
  private_endpoint_network_policies = "NetworkSecurityGroupEnabled"
}

resource "azurerm_subnet_network_security_group_association" "app" {
  count                     = local.own_network
  subnet_id                 = azurerm_subnet.app[0].id
  network_security_group_id = azurerm_network_security_group.app[0].id
}

resource "azurerm_subnet_network_security_group_association" "operations" {
  count                     = local.operations_subnet
  subnet_id                 = azurerm_subnet.operations[0].id
  network_security_group_id = azurerm_network_security_group.app[0].id
}

resource "azurerm_subnet_network_security_group_association" "runners" {
  count                     = local.runner_subnet
  subnet_id                 = azurerm_subnet.runners[0].id
  network_security_group_id = azurerm_network_security_group.app[0].id
}

resource "azurerm_subnet_network_security_group_association" "endpoints" {
  count                     = local.own_network
  subnet_id                 = azurerm_subnet.endpoints[0].id
  network_security_group_id = azurerm_network_security_group.endpoints[0].id
}

resource "azurerm_subnet_nat_gateway_association" "app" {
  count          = var.nat_gateway ? 1 : 0
  subnet_id      = azurerm_subnet.app[0].id
  nat_gateway_id = azurerm_nat_gateway.outbound[0].id
}

resource "azurerm_subnet_nat_gateway_association" "operations" {
  count          = var.nat_gateway ? local.operations_subnet : 0
  subnet_id      = azurerm_subnet.operations[0].id
  nat_gateway_id = azurerm_nat_gateway.outbound[0].id
}

resource "azurerm_subnet_nat_gateway_association" "runners" {
  count          = var.nat_gateway ? local.runner_subnet : 0
  subnet_id      = azurerm_subnet.runners[0].id
  nat_gateway_id = azurerm_nat_gateway.outbound[0].id
}

resource "azurerm_private_dns_zone" "blob" {
  count               = local.own_network
  name                = "privatelink.blob.core.windows.net"
  resource_group_name = var.resource_group_name
  tags                = var.tags
}

resource "azurerm_private_dns_zone_virtual_network_link" "blob" {
  count                 = local.own_network
  name                  = "vnet-${var.name}"
  resource_group_name   = var.resource_group_name
  private_dns_zone_name = azurerm_private_dns_zone.blob[0].name
  virtual_network_id    = azurerm_virtual_network.network[0].id
  registration_enabled  = false
  tags                  = var.tags
}

resource "azurerm_private_dns_zone" "queue" {
  count               = local.own_network * (local.uses_queue ? 1 : 0)
  name                = "privatelink.queue.core.windows.net"
  resource_group_name = var.resource_group_name
  tags                = var.tags
}

resource "azurerm_private_dns_zone_virtual_network_link" "queue" {
  count                 = local.own_network * (local.uses_queue ? 1 : 0)
  name                  = "vnet-${var.name}"
  resource_group_name   = var.resource_group_name
  private_dns_zone_name = azurerm_private_dns_zone.queue[0].name
  virtual_network_id    = azurerm_virtual_network.network[0].id
  registration_enabled  = false
  tags                  = var.tags
}

resource "azurerm_private_dns_zone" "database" {
  count               = local.own_network
  name                = "privatelink.postgres.database.azure.com"
  resource_group_name = var.resource_group_name
  tags                = var.tags
}

resource "azurerm_private_dns_zone_virtual_network_link" "database" {
  count                 = local.own_network
  name                  = "vnet-${var.name}"
  resource_group_name   = var.resource_group_name
  private_dns_zone_name = azurerm_private_dns_zone.database[0].name
  virtual_network_id    = azurerm_virtual_network.network[0].id
  registration_enabled  = false
  tags                  = var.tags
}

resource "azurerm_private_dns_zone" "vault" {
  count               = local.own_network
  name                = "privatelink.vaultcore.azure.net"
  resource_group_name = var.resource_group_name
  tags                = var.tags
}

resource "azurerm_private_dns_zone_virtual_network_link" "vault" {
  count                 = local.own_network
  name                  = "vnet-${var.name}"
  resource_group_name   = var.resource_group_name
  private_dns_zone_name = azurerm_private_dns_zone.vault[0].name
  virtual_network_id    = azurerm_virtual_network.network[0].id
  registration_enabled  = false
  tags                  = var.tags
}
