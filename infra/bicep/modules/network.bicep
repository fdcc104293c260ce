// A network with a subnet for the app and one for private endpoints, and the names by which these are found.
import { texts } from '../types.bicep'

param name string
param location string
param tags texts
param prefix string
param appSubnetPrefix string
param endpointSubnetPrefix string
@description('Empty makes none.')
param operationsSubnetPrefix string
@description('Empty makes none.')
param runnerSubnetPrefix string
param operatorPrefixes string[]
@description('What instances, jobs and runners call then comes from one address.')
param natGateway bool
param usesQueue bool

var sources = filter(
  concat([appSubnetPrefix, operationsSubnetPrefix, runnerSubnetPrefix], operatorPrefixes),
  prefix => !empty(prefix)
)
var gatewayOfSubnets = natGateway ? { id: gateway.id } : null
var delegated = filter(
  [{ name: 'app', prefix: appSubnetPrefix }, { name: 'operations', prefix: operationsSubnetPrefix }],
  subnet => !empty(subnet.prefix)
)

resource appRules 'Microsoft.Network/networkSecurityGroups@2025-05-01' = {
  name: 'nsg-${name}-app'
  location: location
  tags: tags
}

resource endpointRules 'Microsoft.Network/networkSecurityGroups@2025-05-01' = {
  name: 'nsg-${name}-endpoints'
  location: location
  tags: tags
  properties: {
    securityRules: [
      {
        name: 'into-endpoints'
        properties: {
          priority: 100
          direction: 'Inbound'
          access: 'Allow'
          protocol: 'Tcp'
          sourceAddressPrefixes: sources
          sourcePortRange: '*'
          destinationAddressPrefix: endpointSubnetPrefix
          destinationPortRanges: ['443', '5432', '6432']
        }
      }
      {
        name: 'nothing-else'
        properties: {
          priority: 4096
          direction: 'Inbound'
          access: 'Deny'
          protocol: '*'
          sourceAddressPrefix: '*'
          sourcePortRange: '*'
          destinationAddressPrefix: '*'
          destinationPortRange: '*'
        }
      }
    ]
  }
}

resource outbound 'Microsoft.Network/publicIPAddresses@2025-05-01' = if (natGateway) {
  name: 'pip-${name}-outbound'
  location: location
  tags: tags
  sku: {
    name: 'Standard'
  }
  properties: {
    publicIPAllocationMethod: 'Static'
  }
}

resource gateway 'Microsoft.Network/natGateways@2025-05-01' = if (natGateway) {
  name: 'ng-${name}'
  location: location
  tags: tags
  sku: {
    name: 'Standard'
  }
  properties: {
    publicIpAddresses: [
      {
        id: outbound.id
      }
    ]
  }
}

resource network 'Microsoft.Network/virtualNetworks@2025-05-01' = {
  name: 'vnet-${name}'
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [prefix]
    }
    subnets: concat(
      map(delegated, subnet => {
        name: subnet.name
        properties: {
          addressPrefix: subnet.prefix
          natGateway: gatewayOfSubnets
          networkSecurityGroup: {
            id: appRules.id
          }
          delegations: [
            {
              name: 'app-environments'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }),
      [
        {
          name: 'endpoints'
          properties: {
            addressPrefix: endpointSubnetPrefix
            privateEndpointNetworkPolicies: 'NetworkSecurityGroupEnabled'
            networkSecurityGroup: {
              id: endpointRules.id
            }
          }
        }
      ],
      empty(runnerSubnetPrefix)
        ? []
        : [
            {
              name: 'runners'
              properties: {
                addressPrefix: runnerSubnetPrefix
                natGateway: gatewayOfSubnets
                networkSecurityGroup: {
                  id: appRules.id
                }
              }
            }
          ]
    )
  }
}

resource blobZone 'Microsoft.Network/privateDnsZones@2024-06-01' = {
  name: 'privatelink.blob.${environment().suffixes.storage}'
  location: 'global'
  tags: tags
}

resource blobZoneLink 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = {
  parent: blobZone
  name: 'vnet-${name}'
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network.id
    }
  }
}

resource queueZone 'Microsoft.Network/privateDnsZones@2024-06-01' = if (usesQueue) {
  name: 'privatelink.queue.${environment().suffixes.storage}'
  location: 'global'
  tags: tags
}

resource queueZoneLink 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = if (usesQueue) {
  parent: queueZone
  name: 'vnet-${name}'
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network.id
    }
  }
}

resource databaseZone 'Microsoft.Network/privateDnsZones@2024-06-01' = {
  name: 'privatelink.postgres.database.azure.com'
  location: 'global'
  tags: tags
}

resource databaseZoneLink 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = {
  parent: databaseZone
  name: 'vnet-${name}'
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network.id
    }
  }
}

resource vaultZone 'Microsoft.Network/privateDnsZones@2024-06-01' = {
  name: 'privatelink.vaultcore.azure.net'
  location: 'global'
  tags: tags
}

resource vaultZoneLink 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = {
  parent: vaultZone
  name: 'vnet-${name}'
  location: 'global'
  tags: tags
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network.id
    }
  }
}

output outboundIpAddress string = natGateway ? outbound!.properties.ipAddress : ''
output appSubnetId string = '${network.id}/subnets/app'
output operationsSubnetId string = '${network.id}/subnets/operations'
output endpointSubnetId string = '${network.id}/subnets/endpoints'
output blobDnsZoneId string = blobZone.id
output queueDnsZoneId string = queueZone.?id ?? ''
output databaseDnsZoneId string = databaseZone.id
output vaultDnsZoneId string = vaultZone.id
