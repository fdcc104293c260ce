// Container Apps with Dapr. The first deployment has no image; name it once it has been pushed.
using 'main.bicep'

param shape = 'dapr'
param alertEmail = 'oncall@example.com'
param databaseAdminName = 'jobs-admins'
param databaseAdminObjectId = '00000000-0000-0000-0000-000000000000'
param databaseAdminType = 'Group'
param maxInstances = 10
param containerImage = ''
