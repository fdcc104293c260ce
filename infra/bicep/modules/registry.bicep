// The registry for the image, of the app in the shape dapr and of what changes the database in either.
import { texts } from '../types.bicep'

param name string
param location string
param tags texts
@description('Who pulls from it. Names the role assignments, since names are known before the run as object ids are not.')
param pullerNames string[]
@description('The object ids of the same identities, in the same order.')
param pullerIds string[]

var acrPull = '7f951dda-4ed3-4680-a7ca-43fe172d538d'

resource registry 'Microsoft.ContainerRegistry/registries@2025-11-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: 'Basic'
  }
  properties: {
    adminUserEnabled: false
    anonymousPullEnabled: false
  }
}

resource puller 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (identityName, place) in pullerNames: {
    name: guid(registry.id, identityName, acrPull)
    scope: registry
    properties: {
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', acrPull)
      principalId: pullerIds[place]
      principalType: 'ServicePrincipal'
    }
  }
]

output server string = registry.properties.loginServer
