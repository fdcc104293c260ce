using '../../../infra/bicep/main.bicep'

param alertEmail = 'oncall@example.com'
param databaseAdminName = 'jobs admins@example.com'
param databaseAdminObjectId = '33333333-3333-3333-3333-333333333333'
param databasePgbouncer = true
param alwaysReadyInstances = 2
param maxInstances = 1000
param extraSettings = {
  JOBS_LEASE_SECONDS: '90'
  JOBS_CONCURRENCY: '4'
}
