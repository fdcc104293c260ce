using '../../../infra/bicep/main.bicep'

param alertEmail = 'oncall@example.com'
param databaseAdminName = 'jobs admins@example.com'
param databaseAdminObjectId = '33333333-3333-3333-3333-333333333333'
param flexScheduler = 'timer'
param alwaysReadyInstances = 1
