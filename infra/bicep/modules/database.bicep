// PostgreSQL with Microsoft Entra identities and no passwords.
import { dayAndHour, texts } from '../types.bicep'

param name string
param location string
param tags texts
param version string
param tier string
param sku string
param storageGb int
@description('What there is already; 0 before there is a server.')
param currentStorageGb int
param backupRetentionDays int
param geoRedundantBackup bool
param highAvailability string
@description('Null leaves the time to Azure.')
param maintenance dayAndHour?
param adminName string
param adminObjectId string
param adminType string
param pgbouncer bool
param operatorIpAddresses string[]
param locked bool
param workspaceId string
@description('False opens the server to Azure\'s addresses, to identities only.')
param private bool

// A deployment takes away no rule, so each overwrites all that one before it can have made: what is not needed of the
// slots says again what the first of them says. 0.0.0.0 stands for every address within Azure.
var openings = concat(private ? [] : ['0.0.0.0'], operatorIpAddresses)
var slots = empty(openings) ? [] : map(range(0, 8), slot => openings[slot < length(openings) ? slot : 0])

resource server 'Microsoft.DBforPostgreSQL/flexibleServers@2025-08-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: sku
    tier: tier
  }
  properties: {
    version: version
    authConfig: {
      activeDirectoryAuth: 'Enabled'
      passwordAuth: 'Disabled'
      tenantId: tenant().tenantId
    }
    storage: {
      // What has grown cannot be made smaller again.
      storageSizeGB: max(storageGb, currentStorageGb)
      autoGrow: 'Enabled'
    }
    backup: {
      backupRetentionDays: backupRetentionDays
      geoRedundantBackup: geoRedundantBackup ? 'Enabled' : 'Disabled'
    }
    highAvailability: {
      mode: highAvailability
    }
    maintenanceWindow: {
      customWindow: maintenance == null ? 'Disabled' : 'Enabled'
      dayOfWeek: maintenance.?day ?? 0
      startHour: maintenance.?hour ?? 0
      startMinute: 0
    }
    network: {
      publicNetworkAccess: empty(slots) ? 'Disabled' : 'Enabled'
    }
  }
}

// The server takes one change at a time, so each waits for the one before.
resource jobs 'Microsoft.DBforPostgreSQL/flexibleServers/databases@2025-08-01' = {
  parent: server
  name: 'jobs'
  properties: {
    charset: 'UTF8'
    collation: 'en_US.utf8'
  }
}

@batchSize(1)
resource opening 'Microsoft.DBforPostgreSQL/flexibleServers/firewallRules@2025-08-01' = [
  for (address, slot) in slots: {
    parent: server
    name: 'opening-${slot + 1}'
    properties: {
      startIpAddress: address
      endIpAddress: address
    }
    dependsOn: [jobs]
  }
]

resource bouncer 'Microsoft.DBforPostgreSQL/flexibleServers/configurations@2025-08-01' = if (pgbouncer) {
  parent: server
  name: 'pgbouncer.enabled'
  properties: {
    value: 'true'
    source: 'user-override'
  }
  dependsOn: [opening]
}

// Last, since a server that is still busy with another change has been seen to refuse it or to lose it.
@retryOn(['ServerIsBusy', 'InternalServerError', 'AadAuthOperationCannotBePerformedWhenServerIsNotAccessible'], 5)
resource admin 'Microsoft.DBforPostgreSQL/flexibleServers/administrators@2025-08-01' = {
  parent: server
  name: adminObjectId
  properties: {
    principalName: adminName
    principalType: adminType
    tenantId: tenant().tenantId
  }
  dependsOn: [bouncer]
}

resource lock 'Microsoft.Authorization/locks@2020-05-01' = if (locked) {
  name: 'the-jobs-are-in-here'
  scope: server
  properties: {
    level: 'CanNotDelete'
    notes: 'Take it away before you delete the database for good.'
  }
  dependsOn: [admin]
}

// Slow statements, refused connections, check points.
#disable-next-line use-recent-api-versions // the newer of the two has no groups of categories
resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'logs'
  scope: server
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

output id string = server.id
output host string = server.properties.fullyQualifiedDomainName
