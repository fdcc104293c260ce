// What the Functions host keeps: timer leases, on Flex Consumption the deployed package, and alarms in a queue where that
// wakes jobs up. No job: an alarm is a name.
import { texts } from '../types.bicep'

param name string
param location string
param tags texts
param sku string
param deploymentContainer string
param usesQueue bool
@description('Names the role assignment, since it is known before the run as the object id is not.')
param identityName string
param principalId string
param workspaceId string
@description('False logs of blobs what is deleted and of queues nothing: polls and leases are lines all the time.')
param everyAccess bool
@description('False leaves the account open to the Internet, to identities only.')
param private bool

var storageQueueDataContributor = '974c5e8b-45b9-4653-ba55-5f0f855dd0fb'
var storageBlobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: sku
  }
  properties: {
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    defaultToOAuthAuthentication: true
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    networkAcls: {
      defaultAction: private ? 'Deny' : 'Allow'
      bypass: 'AzureServices'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 7
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 7
    }
  }
}

resource packages 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: deploymentContainer
  properties: {
    publicAccess: 'None'
  }
}

resource owner 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(account.id, identityName, storageBlobDataOwner)
  scope: account
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataOwner)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

// The app makes its queue itself, puts alarms into it, and takes them from there.
resource contributor 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (usesQueue) {
  name: guid(account.id, identityName, storageQueueDataContributor)
  scope: account
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageQueueDataContributor)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' existing = {
  parent: account
  name: 'default'
}

#disable-next-line use-recent-api-versions // the newer of the two is a preview, too
resource blobLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: blobs
  properties: {
    workspaceId: workspaceId
    logs: [
      for category in (everyAccess ? ['StorageDelete', 'StorageRead', 'StorageWrite'] : ['StorageDelete']): {
        category: category
        enabled: true
      }
    ]
  }
}

#disable-next-line use-recent-api-versions // the newer of the two is a preview, too
resource queueLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (everyAccess && usesQueue) {
  name: 'logs'
  scope: queues
  properties: {
    workspaceId: workspaceId
    logs: [
      for category in ['StorageDelete', 'StorageRead', 'StorageWrite']: {
        category: category
        enabled: true
      }
    ]
  }
}

output id string = account.id
output name string = account.name
output blobEndpoint string = account.properties.primaryEndpoints.blob
output queueEndpoint string = account.properties.primaryEndpoints.queue
