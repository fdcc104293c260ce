// Everything that the app runs on, in an existing resource group. Two shapes: `flex`, Flex Consumption with the timer
// backend, and `dapr`, Container Apps with a Dapr sidecar. ../terraform describes the same things; tests hold both
// to each other, to the app's settings and to Azure's own resource types.
import { dayAndHour, networkIds, texts } from 'types.bicep'

targetScope = 'resourceGroup'

@description('What every resource is named after: lower-case letters, digits and single hyphens, a letter first.')
@minLength(3)
@maxLength(12)
param name string = 'jobs'

@description('What the app runs on: flex (Flex Consumption, woken by a queue or its timer) or dapr (Container Apps, woken by Dapr).')
@allowed(['flex', 'dapr'])
param shape string = 'flex'

@description('flex: what wakes jobs up: queue (a storage queue, on as many instances as it takes), timer (a poll, on one instance) or scale-out (that poll, which asks other instances for help).')
@allowed(['queue', 'timer', 'scale-out'])
param flexScheduler string = 'queue'

@description('The region.')
param location string = resourceGroup().location

@description('Tags for every resource.')
param tags texts = {}

@description('Who is told of alerts, by e-mail.')
param alertEmail string

@description('Name of the user, group or service principal that administers the database and migrates it.')
param databaseAdminName string

@description('Object id of that user, group or service principal.')
param databaseAdminObjectId string

@description('What that principal is.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param databaseAdminType string = 'User'

@description('Major version of PostgreSQL.')
param databaseVersion string = '17'

@description('Tier of the database. Burstable has no PgBouncer and no standby.')
@allowed(['Burstable', 'GeneralPurpose', 'MemoryOptimized'])
param databaseTier string = 'GeneralPurpose'

@description('Size of the database, of that tier.')
param databaseSku string = 'Standard_D2ds_v5'

@description('max_connections of that size; what instances may open in all is held against it.')
param databaseMaxConnections int = 859

@description('Storage of the database in GiB; grows by itself.')
param databaseStorageGb int = 32

@description('How many days back the database can be restored to, 7 to 35.')
@minValue(7)
@maxValue(35)
param databaseBackupRetentionDays int = 14

@description('Keep the backups in the paired region too. Cannot be changed later.')
param databaseGeoRedundantBackup bool = false

@description('A standby for the database, in another zone or in the same one. Doubles its price.')
@allowed(['Disabled', 'SameZone', 'ZoneRedundant'])
param databaseHighAvailability string = 'Disabled'

@description('Connections that an instance may open.')
@minValue(4)
@maxValue(100)
param databasePoolSize int = 8

@description('Reach the database through its PgBouncer, on port 6432.')
param databasePgbouncer bool = false

@description('Lock the database against being deleted, by whoever may delete the resource group, too.')
param databaseLock bool = false

@description('When Azure may restart the database to patch it. Left out, a time that Azure chooses.')
param databaseMaintenance dayAndHour?

@description('Keep database, storage and vault off the Internet, behind private endpoints in a network of their own.')
param privateNetwork bool = true

@description('Address range of that network.')
param networkPrefix string = '10.64.0.0/20'

@description('The part of it that instances are in, all for the app, a /27 or larger.')
param appSubnetPrefix string = '10.64.0.0/24'

@description('The part of it that the private endpoints are in.')
param endpointSubnetPrefix string = '10.64.1.0/24'

@description('flex: the part of it that the jobs which change the database are in, a /27 or larger.')
param operationsSubnetPrefix string = '10.64.2.0/24'

@description('The part of it that runners of yours are in, which may reach what the app reaches. Empty makes none.')
param runnerSubnetPrefix string = ''

@description('Address ranges, of networks linked with this one, from which people may reach what the app reaches.')
param operatorPrefixes string[] = []

@description('Have all that leaves the network come from one address that stays, by a NAT gateway.')
param natGateway bool = false

@description('Subnets and DNS zones that there are already, in place of a network of its own.')
param existingNetwork networkIds?

@description('IPv4 addresses that may reach the database from the Internet, for migrations. Best empty when none is under way.')
@maxLength(7)
param operatorIpAddresses string[] = []

@description('Redundancy of the storage account.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param storageSku string = 'Standard_ZRS'

@description('Log who reads and writes what in the storage account, too: a line for each poll of a queue and each renewal of a lease.')
param storageLogs bool = false

@description('How many days logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Let a developer read logs, packages, alarms and function keys.')
param developerAccess bool = false

@description('Object id of that developer, or of a group of them. Empty: whoever deploys.')
param developerObjectId string = ''

@description('The most instances at once; flex: to serve HTTP, as many again to run jobs, and one for each timer.')
@minValue(1)
@maxValue(1000)
param maxInstances int = 40

@description('flex: HTTP requests that an instance takes at once before another is started; 1 unless it is set.')
@minValue(1)
@maxValue(1000)
param httpConcurrency int = 32

@description('flex: memory of an instance in MB.')
@allowed([512, 2048, 4096])
param instanceMemoryMb int = 2048

@description('flex: instances for jobs that are always running, which saves their cold start.')
@minValue(0)
param alwaysReadyInstances int = 0

@description('The image of the app, and of what changes the database. Empty until there is one: dapr has no app then.')
param containerImage string = ''

@description('dapr: cores of a replica.')
param containerCpu string = '1.0'

@description('dapr: memory of a replica.')
param containerMemory string = '2Gi'

@description('dapr: replicas that always run. None would be there for timers and callbacks below 1.')
@minValue(1)
param minReplicas int = 1

@description('dapr: how long a replica that is stopped lets its runs go on; what has not ended then is given back.')
@minValue(0)
@maxValue(580)
param stopGraceSeconds int = 120

@description('Handlers that one instance runs at once.')
@minValue(1)
@maxValue(1000)
param concurrency int = 16

@description('NCRONTAB of the poll of flexScheduler timer and scale-out; what it costs is in the README.')
param pollSchedule string = '* * * * * *'

@description('How many days ended jobs are kept; 0 keeps them for ever.')
@minValue(0)
param retentionDays int = 30

@description('Client id of the app registration that callers sign in to; they then need its app roles, too. Empty: keys alone.')
param apiClientId string = ''

@description('Further app settings, such as JOBS_LEASE_SECONDS; they win over the ones made here.')
param extraSettings texts = {}

var suffix = substring(uniqueString(resourceGroup().id), 0, 6)
var usesQueue = shape == 'flex' && flexScheduler != 'timer'
// On Flex Consumption maxInstances holds for each group of functions: all of HTTP is one, the queue's is another, and
// each timer has one instance of its own, of which the queue backend has one and the others two.
var timerInstances = shape == 'dapr' ? 0 : flexScheduler == 'queue' ? 1 : 2
var connections = databasePoolSize * (maxInstances * (usesQueue ? 2 : 1) + timerInstances)
// Twenty are left for the server itself, for migrations and for people.
var enough = databasePgbouncer || connections + 20 <= databaseMaxConnections
var strangeInName = filter(
  range(0, length(name)),
  place => !contains('abcdefghijklmnopqrstuvwxyz0123456789-', substring(name, place, 1))
)
var goodName = empty(strangeInName) && !contains(name, '--') && !endsWith(name, '-') && !contains(
  '0123456789-',
  substring(name, 0, 1)
)
var idParts = map(split(databaseAdminObjectId, '-'), part => length(part))
var goodId = string(idParts) == '[8,4,4,4,12]' && !contains(databaseAdminObjectId, '00000000-0000')
var addressParts = [for address in operatorIpAddresses: length(split(address, '.')) == 4 && !contains(address, ':')]
// Told all at once, before anything is made: Azure would find each only after a quarter of an hour, if at all.
var refusals = filter(
  [
    goodName ? '' : 'name: lower-case letters, digits and single hyphens, a letter first and no hyphen last'
    goodId
      ? ''
      : 'databaseAdminObjectId: the object id of who administers the database, as `az ad group show --group NAME --query id` gives it'
    enough
      ? ''
      : 'What the instances may open is more than databaseMaxConnections - 20: lower maxInstances or databasePoolSize'
    databaseTier == 'Burstable' && databasePgbouncer
      ? 'databasePgbouncer: the tier Burstable has no PgBouncer; take databaseTier GeneralPurpose and a size of it'
      : ''
    databaseTier == 'Burstable' && databaseHighAvailability != 'Disabled'
      ? 'databaseHighAvailability: the tier Burstable has no standby; take databaseTier GeneralPurpose and a size of it'
      : ''
    existingNetwork != null && existingNetwork.?queueDnsZone == null && usesQueue
      ? 'existingNetwork: needs queueDnsZone, or flexScheduler timer'
      : ''
    existingNetwork != null && !privateNetwork ? 'existingNetwork: needs privateNetwork true' : ''
    natGateway && !ownNetwork ? 'natGateway: needs a network of its own; attach one to the subnets of yours' : ''
    contains(addressParts, false)
      ? 'operatorIpAddresses: the database takes IPv4 addresses only, such as 192.0.2.7'
      : ''
  ],
  refusal => !empty(refusal)
)
var poolSize = empty(refusals) ? databasePoolSize : fail(join(refusals, '; '))
var identityName = 'id-${name}'
var migratorName = 'id-${name}-migrator'
var databasePort = databasePgbouncer ? 6432 : 5432
var ownNetwork = privateNetwork && existingNetwork == null
var appSubnetId = existingNetwork.?appSubnet ?? (ownNetwork ? network!.outputs.appSubnetId : '')
var operationsSubnetId = existingNetwork.?operationsSubnet ?? (ownNetwork ? network!.outputs.operationsSubnetId : '')
var endpointSubnetId = existingNetwork.?endpointSubnet ?? network!.outputs.endpointSubnetId
var blobDnsZoneId = existingNetwork.?blobDnsZone ?? network!.outputs.blobDnsZoneId
var queueDnsZoneId = existingNetwork.?queueDnsZone ?? network!.outputs.queueDnsZoneId
var vaultDnsZoneId = existingNetwork.?vaultDnsZone ?? network!.outputs.vaultDnsZoneId
var databaseDnsZoneId = existingNetwork.?databaseDnsZone ?? network!.outputs.databaseDnsZoneId
var deploymentContainer = 'app-package'
var storageName = 'st${replace(name, '-', '')}${suffix}'
var vaultName = 'kv-${replace(name, '-', '')}-${suffix}'
var databaseName = 'psql-${name}-${suffix}'
var planName = 'plan-${name}'
var environmentName = 'cae-${name}'

// PYTHON_ISOLATE_WORKER_DEPENDENCIES matters to who takes the app back to Python 3.12 or older: there 1 breaks half of
// the starts on Flex Consumption, and 0 works, with Dapr's SDK too. Python 3.13 does not read it.
var commonSettings = {
  AZURE_CLIENT_ID: identity.outputs.clientId
  AzureWebJobsStorage__blobServiceUri: storage.outputs.blobEndpoint
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identity.outputs.clientId
  AzureWebJobsSecretStorageType: 'keyvault'
  AzureWebJobsSecretStorageKeyVaultUri: vault.outputs.uri
  AzureWebJobsSecretStorageKeyVaultClientId: identity.outputs.clientId
  AzureWebJobsDisableHomepage: 'true'
  APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.connectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.outputs.clientId};Authorization=AAD'
  // The host would pass on five traces a second, and of logs only those of these traces: not what the alerts read.
  OTEL_TRACES_SAMPLER: 'microsoft.fixed_percentage'
  OTEL_TRACES_SAMPLER_ARG: '1.0'
  PYTHON_THREADPOOL_THREAD_COUNT: '32'
  PYTHON_ISOLATE_WORKER_DEPENDENCIES: '0'
  JOBS_DATABASE_URL: 'postgresql://${identityName}@${database.outputs.host}:${databasePort}/jobs'
  JOBS_DATABASE_AUTH: 'entra'
  JOBS_DATABASE_POOL_SIZE: string(poolSize)
  JOBS_DATABASE_PGBOUNCER: databasePgbouncer ? 'true' : 'false'
  JOBS_ADDED_HANDLERS: 'jobs.entrypoints.smoke_handler' // of the job that ../smoke.py runs after a deployment
  JOBS_CONCURRENCY: string(concurrency)
  JOBS_RETENTION_DAYS: string(retentionDays)
}
var timerSettings = {
  JOBS_SCHEDULER: 'timer'
  JOBS_POLL_SCHEDULE: pollSchedule
}
var slots = int(extraSettings.?JOBS_CONCURRENCY ?? string(concurrency))
// How many messages an instance takes, over the whole app: with `queue` one for each of its slots, and not the next
// batch only when the longest has ended; with `scale-out` one for all of them, since that asks for an instance.
var queueSettings = {
  AzureWebJobsStorage__queueServiceUri: storage.outputs.queueEndpoint
  AzureFunctionsJobHost__extensions__queues__batchSize: '1'
  AzureFunctionsJobHost__extensions__queues__newBatchThreshold: flexScheduler == 'queue' ? string(slots - 1) : '0'
}
var flexSettings = {
  queue: union(queueSettings, { JOBS_SCHEDULER: 'queue' })
  timer: timerSettings
  'scale-out': union(queueSettings, timerSettings, {
    JOBS_SCALE_OUT: 'true'
    JOBS_SCALE_OUT_INSTANCES: string(max(2, maxInstances))
  })
}
// No JOBS_CALLBACK_TOKENS: Container Apps gives app and sidecar a token of their own as APP_API_TOKEN, and the setting
// would take precedence over it. The host id would follow from the machine's name otherwise, and each replica would have
// timers of its own.
var daprSettings = {
  JOBS_SCHEDULER: 'dapr'
  FUNCTIONS_WORKER_RUNTIME: 'python'
  AzureFunctionsWebHost__hostid: name
  STOP_GRACE_SECONDS: string(stopGraceSeconds)
}
// With sign-in before the app, and only then: without it, the principal's headers could be anybody's.
var roleSettings = {
  JOBS_ROLES: empty(apiClientId) ? 'false' : 'true'
  // Without sign-in a function key is all that a caller has.
  JOBS_KEY_ROLE: empty(apiClientId) ? 'manage' : 'none'
}
var appSettings = union(
  commonSettings,
  roleSettings,
  shape == 'flex' ? flexSettings[flexScheduler] : daprSettings,
  extraSettings
)

module current 'modules/current.bicep' = {
  params: {
    databaseName: databaseName
    planName: planName
    appName: 'ca-${name}'
    shape: shape
  }
}

module identity 'modules/identity.bicep' = {
  params: {
    name: identityName
    location: location
    tags: tags
  }
}

module migrator 'modules/identity.bicep' = {
  params: {
    name: migratorName
    location: location
    tags: tags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  params: {
    name: name
    location: location
    tags: tags
    retentionDays: logRetentionDays
    identityName: identityName
    principalId: identity.outputs.principalId
  }
}

module network 'modules/network.bicep' = if (ownNetwork) {
  params: {
    name: name
    location: location
    tags: tags
    prefix: networkPrefix
    appSubnetPrefix: appSubnetPrefix
    endpointSubnetPrefix: endpointSubnetPrefix
    operationsSubnetPrefix: shape == 'flex' ? operationsSubnetPrefix : ''
    runnerSubnetPrefix: runnerSubnetPrefix
    operatorPrefixes: operatorPrefixes
    natGateway: natGateway
    usesQueue: usesQueue
  }
  dependsOn: [current]
}

module storage 'modules/storage.bicep' = {
  params: {
    name: storageName
    location: location
    tags: tags
    sku: storageSku
    deploymentContainer: deploymentContainer
    usesQueue: usesQueue
    identityName: identityName
    principalId: identity.outputs.principalId
    workspaceId: monitoring.outputs.workspaceId
    everyAccess: storageLogs
    private: privateNetwork
  }
}

module vault 'modules/vault.bicep' = {
  params: {
    name: vaultName
    location: location
    tags: tags
    identityName: identityName
    principalId: identity.outputs.principalId
    workspaceId: monitoring.outputs.workspaceId
    private: privateNetwork
  }
}

module database 'modules/database.bicep' = {
  params: {
    name: databaseName
    location: location
    tags: tags
    version: databaseVersion
    tier: databaseTier
    sku: databaseSku
    storageGb: databaseStorageGb
    currentStorageGb: current.outputs.databaseStorageGb
    backupRetentionDays: databaseBackupRetentionDays
    geoRedundantBackup: databaseGeoRedundantBackup
    highAvailability: databaseHighAvailability
    maintenance: databaseMaintenance
    adminName: databaseAdminName
    adminObjectId: databaseAdminObjectId
    adminType: databaseAdminType
    pgbouncer: databasePgbouncer
    operatorIpAddresses: operatorIpAddresses
    locked: databaseLock
    workspaceId: monitoring.outputs.workspaceId
    private: privateNetwork
  }
}

// Azure names administrators by their object ids, which are known once the identity is there.
module migratorRights 'modules/administrator.bicep' = {
  params: {
    serverName: databaseName
    identityName: migratorName
    #disable-next-line what-if-short-circuiting
    principalId: migrator.outputs.principalId
  }
  dependsOn: [database]
}

module registry 'modules/registry.bicep' = {
  params: {
    name: 'cr${replace(name, '-', '')}${suffix}'
    location: location
    tags: tags
    pullerNames: shape == 'flex' ? [migratorName] : [migratorName, identityName]
    pullerIds: [migrator.outputs.principalId, identity.outputs.principalId]
  }
}

module environment 'modules/environment.bicep' = {
  params: {
    name: environmentName
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    subnetId: shape == 'flex' ? operationsSubnetId : appSubnetId
  }
}

module operations 'modules/operations.bicep' = {
  params: {
    name: name
    location: location
    tags: tags
    environmentId: environment.outputs.id
    registryServer: registry.outputs.server
    identityId: migrator.outputs.id
    clientId: migrator.outputs.clientId
    image: empty(containerImage) ? 'mcr.microsoft.com/k8se/quickstart-jobs:latest' : containerImage
    databaseUrl: 'postgresql://${migratorName}@${database.outputs.host}:5432/jobs'
    runtime: '${identityName}=${identity.outputs.principalId}'
  }
}

module blobEndpoint 'modules/endpoint.bicep' = if (privateNetwork) {
  params: {
    name: 'pep-${storageName}-blob'
    location: location
    tags: tags
    subnetId: endpointSubnetId
    dnsZoneId: blobDnsZoneId
    serviceId: storage.outputs.id
    group: 'blob'
    connection: 'blob'
  }
}

module queueEndpoint 'modules/endpoint.bicep' = if (privateNetwork && usesQueue) {
  params: {
    name: 'pep-${storageName}-queue'
    location: location
    tags: tags
    subnetId: endpointSubnetId
    dnsZoneId: queueDnsZoneId
    serviceId: storage.outputs.id
    group: 'queue'
    connection: 'queue'
  }
}

module vaultEndpoint 'modules/endpoint.bicep' = if (privateNetwork) {
  params: {
    name: 'pep-${vaultName}'
    location: location
    tags: tags
    subnetId: endpointSubnetId
    dnsZoneId: vaultDnsZoneId
    serviceId: vault.outputs.id
    group: 'vault'
    connection: 'vault'
  }
}

module databaseEndpoint 'modules/endpoint.bicep' = if (privateNetwork) {
  params: {
    name: 'pep-${databaseName}'
    location: location
    tags: tags
    subnetId: endpointSubnetId
    dnsZoneId: databaseDnsZoneId
    serviceId: database.outputs.id
    group: 'postgresqlServer'
    connection: 'postgres'
  }
  dependsOn: [migratorRights]
}

module flex 'modules/flex.bicep' = if (shape == 'flex') {
  params: {
    name: 'func-${name}-${suffix}'
    planName: planName
    location: location
    tags: tags
    identityId: identity.outputs.id
    deploymentContainerUri: '${storage.outputs.blobEndpoint}${deploymentContainer}'
    subnetId: appSubnetId
    instanceMemoryMb: instanceMemoryMb
    maxInstances: maxInstances
    httpConcurrency: httpConcurrency
    alwaysReadyInstances: alwaysReadyInstances
    alwaysReadyFor: flexScheduler == 'queue' ? 'function:wake' : 'function:run_due'
    apiClientId: apiClientId
    settings: appSettings
  }
  dependsOn: [blobEndpoint, queueEndpoint, vaultEndpoint, databaseEndpoint]
}

module dapr 'modules/dapr.bicep' = if (shape == 'dapr') {
  params: {
    name: name
    environmentId: environment.outputs.id
    registryServer: registry.outputs.server
    location: location
    tags: tags
    identityId: identity.outputs.id
    image: containerImage
    cpu: containerCpu
    memory: containerMemory
    minReplicas: minReplicas
    maxReplicas: maxInstances
    stopGraceSeconds: stopGraceSeconds
    apiClientId: apiClientId
    settings: appSettings
  }
  dependsOn: [blobEndpoint, vaultEndpoint, databaseEndpoint]
}

module alerts 'modules/alerts.bicep' = {
  params: {
    name: name
    location: location
    tags: tags
    email: alertEmail
    workspaceId: monitoring.outputs.workspaceId
    databaseId: database.outputs.id
    databaseMaxConnections: databaseMaxConnections
    storageId: storage.outputs.id
  }
}

module workbook 'modules/workbook.bicep' = {
  params: {
    name: name
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module developer 'modules/developer.bicep' = if (developerAccess) {
  params: {
    principalId: empty(developerObjectId) ? deployer().objectId : developerObjectId
    storageName: storageName
    vaultName: vaultName
    workspaceName: 'log-${name}'
    usesQueue: usesQueue
  }
  dependsOn: [storage, vault, monitoring]
}

@description('Name of the function app or container app.')
output appName string = shape == 'flex' ? (flex!.outputs.name) : (dapr!.outputs.name)

@description('Where the app answers; empty while there is no image.')
output appUrl string = shape == 'flex' ? (flex!.outputs.url) : (dapr!.outputs.url)

@description('The app\'s managed identity: the database role that it connects as.')
output runtimeRole string = identityName

@description('Object id of that identity, for the grant.')
output runtimeObjectId string = identity.outputs.principalId

@description('Where the database is.')
output databaseHost string = database.outputs.host

@description('What the administrator sets JOBS_DATABASE_URL to for a migration.')
output migrationUrl string = 'postgresql://${uriComponent(databaseAdminName)}@${database.outputs.host}:5432/jobs'

@description('Connections that the instances may open in all.')
output databaseConnections int = connections

@description('The address that calls of the app come from; empty where it is any of the platform\'s.')
output outboundIpAddress string = natGateway ? network!.outputs.outboundIpAddress : ''

@description('The storage account.')
output storageAccountName string = storage.outputs.name

@description('The vault that holds the function keys.')
output keyVaultName string = vault.outputs.name

@description('The registry to push the image to.')
output registryServer string = registry.outputs.server

@description('What the jobs that change the database are called, before -migrate and -apply.')
output operationsName string = 'caj-${name}'

@description('The workspace that holds the logs.')
output workspaceName string = monitoring.outputs.workspaceName
