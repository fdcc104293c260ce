using '../../../infra/bicep/main.bicep'

param alertEmail = 'oncall@example.com'
param databaseAdminName = 'jobs admins@example.com'
param databaseAdminObjectId = '33333333-3333-3333-3333-333333333333'
param runnerSubnetPrefix = '10.64.3.0/24'
param operatorPrefixes = ['10.9.0.0/16']
