using '../../../infra/bicep/main.bicep'

param alertEmail = 'oncall@example.com'
param databaseAdminName = 'jobs admins@example.com'
param databaseAdminObjectId = '33333333-3333-3333-3333-333333333333'
param flexScheduler = 'scale-out'
param alwaysReadyInstances = 1
param concurrency = 8
