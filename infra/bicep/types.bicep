// What several modules take.

@export()
@description('Tags, or app settings: texts by name.')
type texts = {
  *: string
}

@export()
@description('A day of the week, 0 to 6 from Sunday on, and an hour of it, in UTC.')
type dayAndHour = {
  @minValue(0)
  @maxValue(6)
  day: int
  @minValue(0)
  @maxValue(23)
  hour: int
}

@export()
@description('A network that there is already: ids of its subnets, and of the DNS zones that are linked with it.')
type networkIds = {
  @description('Delegated to Microsoft.App/environments, a /27 or larger, with nothing else in it.')
  appSubnet: string
  @description('Another one of the same kind, for the jobs that change the database; dapr leaves it unused.')
  operationsSubnet: string
  @description('Where private endpoints go.')
  endpointSubnet: string
  @description('privatelink.blob.core.windows.net')
  blobDnsZone: string
  @description('privatelink.queue.core.windows.net; flexScheduler timer, and dapr, do without.')
  queueDnsZone: string?
  @description('privatelink.vaultcore.azure.net')
  vaultDnsZone: string
  @description('privatelink.postgres.database.azure.com')
  databaseDnsZone: string
}
