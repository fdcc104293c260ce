// PostgreSQL with Microsoft Entra identities and no passwords.
import { texts } from '../types.bicep'

param name string
param location string
param tags texts
param version string
param tier string
param sku string
param storageGb int
param backupRetentionDays int
param geoRedundantBackup bool
param highAvailability string
param adminName string
param adminObjectId string
param adminType string
param pgbouncer bool
param operatorIpAddresses string[]
@description('False opens the server to Azure\'s addresses, to identities only.')
param private bool

var operators = [
  for address in operatorIpAddresses: {
    name: 'operator-${replace(replace(address, '.', '-'), ':', '-')}'
    address: address
  }
]
// 0.0.0.0 stands for every address within Azure.
var azure = private ? [] : [{ name: 'azure', address: '0.0.0.0' }]
var openings = concat(operators, azure)

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
      storageSizeGB: storageGb
      autoGrow: 'Enabled'
    }
    backup: {
      backupRetentionDays: backupRetentionDays
      geoRedundantBackup: geoRedundantBackup ? 'Enabled' : 'Disabled'
    }
    highAvailability: {
      mode: highAvailability
    }
    network: {
      publicNetworkAccess: empty(openings) ? 'Disabled' : 'Enabled'
    }
  }
}

// The server takes one change at a time, so each waits for the one before.
resource admin 'Microsoft.DBforPostgreSQL/flexibleServers/administrators@2025-08-01' = {
  parent: server
  name: adminObjectId
  properties: {
    principalName: adminName
    principalType: adminType
    tenantId: tenant().tenantId
  }
}

resource jobs 'Microsoft.DBforPostgreSQL/flexibleServers/databases@2025-08-01' = {
  parent: server
  name: 'jobs'
  properties: {
    charset: 'UTF8'
    collation: 'en_US.utf8'
  }
  dependsOn: [admin]
}

resource bouncer 'Microsoft.DBforPostgreSQL/flexibleServers/configurations@2025-08-01' = if (pgbouncer) {
  parent: server
  name: 'pgbouncer.enabled'
  properties: {
    value: 'true'
    source: 'user-override'
  }
  dependsOn: [jobs]
}

@batchSize(1)
resource opening 'Microsoft.DBforPostgreSQL/flexibleServers/firewallRules@2025-08-01' = [
  for rule in openings: {
    parent: server
    name: rule.name
    properties: {
      startIpAddress: rule.address
      endIpAddress: rule.address
    }
    dependsOn: [bouncer]
  }
]

output id string = server.id
output host string = server.properties.fullyQualifiedDomainName
