// To try it out, for a fraction of the price: a small database, no network of its own, small instances.
// What is not said here has its default in main.bicep.
using 'main.bicep'

param shape = 'flex'
param alertEmail = 'oncall@example.com'
param databaseAdminName = 'jobs-admins'
param databaseAdminObjectId = '00000000-0000-0000-0000-000000000000'
param databaseAdminType = 'Group'
param databaseTier = 'Burstable'
param databaseSku = 'Standard_B1ms'
param databaseMaxConnections = 50
param databasePoolSize = 4
param maxInstances = 3
param instanceMemoryMb = 512
param privateNetwork = false
param storageSku = 'Standard_LRS'
