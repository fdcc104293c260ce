// Flex Consumption. What is not said here has its default in main.bicep.
using 'main.bicep'

param shape = 'flex'
param alertEmail = 'oncall@example.com'
param databaseAdminName = 'jobs-admins'
param databaseAdminObjectId = '00000000-0000-0000-0000-000000000000'
param databaseAdminType = 'Group'
