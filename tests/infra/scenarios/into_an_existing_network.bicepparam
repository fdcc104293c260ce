using '../../../infra/bicep/main.bicep'

param alertEmail = 'oncall@example.com'
param databaseAdminName = 'jobs admins@example.com'
param databaseAdminObjectId = '33333333-3333-3333-3333-333333333333'
param existingNetwork = {
  appSubnet: '/networks/hub/subnets/app'
  operationsSubnet: '/networks/hub/subnets/operations'
  endpointSubnet: '/networks/hub/subnets/endpoints'
  blobDnsZone: '/zones/blob'
  queueDnsZone: '/zones/queue'
  vaultDnsZone: '/zones/vault'
  databaseDnsZone: '/zones/database'
}
