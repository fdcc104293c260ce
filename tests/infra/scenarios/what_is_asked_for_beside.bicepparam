using '../../../infra/bicep/main.bicep'

param alertEmail = 'oncall@example.com'
param databaseAdminName = 'jobs admins@example.com'
param databaseAdminObjectId = '33333333-3333-3333-3333-333333333333'
param natGateway = true
param runnerSubnetPrefix = '10.64.3.0/24'
param storageLogs = true
param developerAccess = true
param databaseLock = true
param databaseMaintenance = {
  day: 0
  hour: 3
}
