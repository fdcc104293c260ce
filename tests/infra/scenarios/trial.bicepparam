using '../../../infra/bicep/main.bicep'

param alertEmail = 'oncall@example.com'
param databaseAdminName = 'jobs admins@example.com'
param databaseAdminObjectId = '33333333-3333-3333-3333-333333333333'
param shape = 'flex'
param databaseTier = 'Burstable'
param databaseSku = 'Standard_B1ms'
param databaseMaxConnections = 50
param databasePoolSize = 4
param maxInstances = 3
param instanceMemoryMb = 512
param privateNetwork = false
param storageSku = 'Standard_LRS'
param databaseLock = true
