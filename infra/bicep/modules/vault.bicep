// The vault for the Functions host's keys, which callers of the API have. One for each app: the host names its secrets
// without the app, so two of them would overwrite each other's.
import { texts } from '../types.bicep'

param name string
param location string
param tags texts
@description('Names the role assignment, since it is known before the run as the object id is not.')
param identityName string
param principalId string
param workspaceId string
@description('False leaves the vault open to the Internet, to identities only.')
param private bool

// The host reads, lists, writes and deletes secrets. No built-in role with less writes them.
var keyVaultSecretsOfficer = 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    // As short as Azure has it, since a deleted vault keeps its name for as long and nobody can cut that short.
    softDeleteRetentionInDays: 7
    enablePurgeProtection: true
    publicNetworkAccess: private ? 'Disabled' : 'Enabled'
    networkAcls: {
      defaultAction: private ? 'Deny' : 'Allow'
      bypass: 'None'
    }
  }
}

resource officer 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(vault.id, identityName, keyVaultSecretsOfficer)
  scope: vault
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultSecretsOfficer)
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

// Who read or changed which key, and when.
#disable-next-line use-recent-api-versions // the newer of the two has no groups of categories
resource audit 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'audit'
  scope: vault
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'audit'
        enabled: true
      }
    ]
  }
}

output id string = vault.id
output name string = vault.name
output uri string = vault.properties.vaultUri
