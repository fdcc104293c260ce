// What there is already, from a deployment before this one.
param databaseName string
param planName string
param appName string
param shape string

@nullIfNotFound()
resource database 'Microsoft.DBforPostgreSQL/flexibleServers@2025-08-01' existing = {
  name: databaseName
}

@nullIfNotFound()
resource plan 'Microsoft.Web/serverfarms@2025-03-01' existing = {
  name: planName
}

@nullIfNotFound()
resource app 'Microsoft.App/containerApps@2026-01-01' existing = {
  name: appName
}

var flex = plan.?location != null
var dapr = app.?location != null
var other = shape == 'flex' ? dapr : flex
var refusal = 'An app of the other shape has the subnet, and Azure does not pass it on. Deploy this one by another name into another resource group, or delete the other one and its subnet first; infra/README.md has the commands'

output databaseStorageGb int = database.?properties.storage.storageSizeGB ?? 0

@description('The shape, if the subnet is free for it.')
output shape string = other ? fail(refusal) : shape
