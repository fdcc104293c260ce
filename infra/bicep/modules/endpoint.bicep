// A private endpoint: an address in the network for one service, under the service's own name.
import { texts } from '../types.bicep'

param name string
param location string
param tags texts
param subnetId string
param dnsZoneId string
param serviceId string
@description('What of the service the endpoint is for, in Azure\'s word for it.')
param group string
@description('What the connection is called.')
param connection string

resource endpoint 'Microsoft.Network/privateEndpoints@2025-05-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    subnet: {
      id: subnetId
    }
    privateLinkServiceConnections: [
      {
        name: connection
        properties: {
          privateLinkServiceId: serviceId
          groupIds: [group]
        }
      }
    ]
  }
}

resource zone 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = {
  parent: endpoint
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [
      {
        name: connection
        properties: {
          privateDnsZoneId: dnsZoneId
        }
      }
    ]
  }
}
