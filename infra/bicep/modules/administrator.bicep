// One more administrator of the database, an identity of the deployment's own.
param serverName string
param identityName string
param principalId string

resource server 'Microsoft.DBforPostgreSQL/flexibleServers@2025-08-01' existing = {
  name: serverName
}

@retryOn(['ServerIsBusy', 'InternalServerError', 'AadAuthOperationCannotBePerformedWhenServerIsNotAccessible'], 5)
resource administrator 'Microsoft.DBforPostgreSQL/flexibleServers/administrators@2025-08-01' = {
  parent: server
  name: principalId
  properties: {
    principalName: identityName
    principalType: 'ServicePrincipal'
    tenantId: tenant().tenantId
  }
}
