variable "name" {
  description = "What every resource is named after: lower-case letters, digits and single hyphens, a letter first."
  type        = string
  default     = "jobs"

  validation {
    condition     = can(regex("^[a-z](-?[a-z0-9])*$", var.name)) && length(var.name) >= 3 && length(var.name) <= 12
    error_message = "Between 3 and 12 lower-case letters, digits and single hyphens, a letter first and no hyphen last."
  }
}

variable "shape" {
  description = "What the app runs on: flex (Flex Consumption, woken by a queue or its timer) or dapr (Container Apps, woken by Dapr)."
  type        = string
  default     = "flex"

  validation {
    condition     = contains(["flex", "dapr"], var.shape)
    error_message = "Either flex or dapr."
  }
}

variable "flex_scheduler" {
  description = "flex: what wakes jobs up: queue (a storage queue, on as many instances as it takes), timer (a poll, on one instance) or scale-out (that poll, which asks other instances for help)."
  type        = string
  default     = "queue"

  validation {
    condition     = contains(["queue", "timer", "scale-out"], var.flex_scheduler)
    error_message = "Either queue, timer or scale-out."
  }
}

variable "resource_group_name" {
  description = "The resource group that everything is put into; it must exist."
  type        = string
}

variable "location" {
  description = "The region. Null takes the resource group's."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags for every resource."
  type        = map(string)
  default     = {}
}

variable "alert_email" {
  description = "Who is told of alerts, by e-mail."
  type        = string
}

variable "database_admin_name" {
  description = "Name of the user, group or service principal that administers the database and migrates it."
  type        = string
}

variable "database_admin_object_id" {
  description = "Object id of that user, group or service principal."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", var.database_admin_object_id)) && !strcontains(var.database_admin_object_id, "00000000-0000")
    error_message = "The object id of who administers the database, as `az ad group show --group NAME --query id` gives it."
  }
}

variable "database_admin_type" {
  description = "What that principal is."
  type        = string
  default     = "User"

  validation {
    condition     = contains(["User", "Group", "ServicePrincipal"], var.database_admin_type)
    error_message = "User, Group or ServicePrincipal."
  }
}

variable "database_version" {
  description = "Major version of PostgreSQL."
  type        = string
  default     = "17"
}

variable "database_tier" {
  description = "Tier of the database. Burstable has no PgBouncer and no standby."
  type        = string
  default     = "GeneralPurpose"

  validation {
    condition     = contains(["Burstable", "GeneralPurpose", "MemoryOptimized"], var.database_tier)
    error_message = "Burstable, GeneralPurpose or MemoryOptimized."
  }
}

variable "database_sku" {
  description = "Size of the database, of that tier."
  type        = string
  default     = "Standard_D2ds_v5"
}

variable "database_max_connections" {
  description = "max_connections of that size; what instances may open in all is held against it."
  type        = number
  default     = 859
}

variable "database_storage_gb" {
  description = "Storage of the database in GiB; grows by itself."
  type        = number
  default     = 32
}

variable "database_backup_retention_days" {
  description = "How many days back the database can be restored to, 7 to 35."
  type        = number
  default     = 14

  validation {
    condition     = var.database_backup_retention_days >= 7 && var.database_backup_retention_days <= 35
    error_message = "Between 7 and 35 days."
  }
}

variable "database_geo_redundant_backup" {
  description = "Keep the backups in the paired region too. Cannot be changed later."
  type        = bool
  default     = false
}

variable "database_high_availability" {
  description = "A standby for the database, in another zone or in the same one. Doubles its price."
  type        = string
  default     = "Disabled"

  validation {
    condition     = contains(["Disabled", "SameZone", "ZoneRedundant"], var.database_high_availability)
    error_message = "Disabled, SameZone or ZoneRedundant."
  }

  validation {
    condition     = var.database_tier != "Burstable" || var.database_high_availability == "Disabled"
    error_message = "The tier Burstable has no standby; take database_tier GeneralPurpose and a size of it."
  }
}

variable "database_pool_size" {
  description = "Connections that an instance may open."
  type        = number
  default     = 8

  validation {
    condition     = var.database_pool_size >= 4 && var.database_pool_size <= 100
    error_message = "Between 4 and 100 connections."
  }
}

variable "database_pgbouncer" {
  description = "Reach the database through its PgBouncer, on port 6432."
  type        = bool
  default     = false

  validation {
    condition     = var.database_tier != "Burstable" || !var.database_pgbouncer
    error_message = "The tier Burstable has no PgBouncer; take database_tier GeneralPurpose and a size of it."
  }
}

variable "database_lock" {
  description = "Lock the database against being deleted, by whoever may delete the resource group, too."
  type        = bool
  default     = false
}

variable "database_maintenance" {
  description = "When Azure may restart the database to patch it. Left out, a time that Azure chooses."
  type = object({
    day  = number # of the week, 0 to 6 from Sunday on
    hour = number # of it, in UTC
  })
  default = null

  validation {
    condition     = var.database_maintenance == null ? true : contains(range(7), var.database_maintenance.day) && contains(range(24), var.database_maintenance.hour)
    error_message = "A day of 0 to 6 and an hour of 0 to 23."
  }
}

variable "private_network" {
  description = "Keep database, storage and vault off the Internet, behind private endpoints in a network of their own."
  type        = bool
  default     = true
}

variable "network_prefix" {
  description = "Address range of that network."
  type        = string
  default     = "10.64.0.0/20"
}

variable "app_subnet_prefix" {
  description = "The part of it that instances are in, all for the app, a /27 or larger."
  type        = string
  default     = "10.64.0.0/24"
}

variable "endpoint_subnet_prefix" {
  description = "The part of it that the private endpoints are in."
  type        = string
  default     = "10.64.1.0/24"
}

variable "operations_subnet_prefix" {
  description = "flex: the part of it that the jobs which change the database are in, a /27 or larger."
  type        = string
  default     = "10.64.2.0/24"
}

variable "runner_subnet_prefix" {
  description = "The part of it that runners of yours are in, which may reach what the app reaches. Empty makes none."
  type        = string
  default     = ""
}

variable "operator_prefixes" {
  description = "Address ranges, of networks linked with this one, from which people may reach what the app reaches."
  type        = list(string)
  default     = []
}

variable "nat_gateway" {
  description = "Have all that leaves the network come from one address that stays, by a NAT gateway."
  type        = bool
  default     = false

  validation {
    condition     = !var.nat_gateway || (var.private_network && var.existing_network == null)
    error_message = "Needs a network of its own; attach one to the subnets of yours."
  }
}

variable "existing_network" {
  description = "Subnets and DNS zones that there are already, in place of a network of its own."
  type = object({
    app_subnet        = string           # delegated to Microsoft.App/environments, a /27 or larger, with nothing else in it
    operations_subnet = string           # another one of the same kind, for the jobs that change the database; dapr leaves it unused
    endpoint_subnet   = string           # where private endpoints go
    blob_dns_zone     = string           # privatelink.blob.core.windows.net
    queue_dns_zone    = optional(string) # privatelink.queue.core.windows.net; flex_scheduler timer, and dapr, do without
    vault_dns_zone    = string           # privatelink.vaultcore.azure.net
    database_dns_zone = string           # privatelink.postgres.database.azure.com
  })
  default = null

  validation {
    condition     = var.existing_network == null || var.private_network
    error_message = "Needs private_network true."
  }

  validation {
    condition     = var.existing_network == null || var.shape == "dapr" || var.flex_scheduler == "timer" || try(var.existing_network.queue_dns_zone, null) != null
    error_message = "Needs queue_dns_zone, or flex_scheduler timer."
  }
}

variable "operator_ip_addresses" {
  description = "IPv4 addresses that may reach the database from the Internet, for migrations. Best empty when none is under way."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.operator_ip_addresses) <= 7
    error_message = "At most 7 addresses."
  }

  validation {
    condition     = alltrue([for address in var.operator_ip_addresses : can(cidrhost("${address}/32", 0)) && !strcontains(address, ":")])
    error_message = "The database takes IPv4 addresses only, such as 192.0.2.7."
  }
}

variable "storage_sku" {
  description = "Redundancy of the storage account."
  type        = string
  default     = "Standard_ZRS"

  validation {
    condition     = contains(["Standard_LRS", "Standard_ZRS", "Standard_GRS", "Standard_GZRS"], var.storage_sku)
    error_message = "Standard_LRS, Standard_ZRS, Standard_GRS or Standard_GZRS."
  }
}

variable "storage_logs" {
  description = "Log who reads and writes what in the storage account, too: a line for each poll of a queue and each renewal of a lease."
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "How many days logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = var.log_retention_days >= 30 && var.log_retention_days <= 730
    error_message = "Between 30 and 730 days."
  }
}

variable "developer_access" {
  description = "Let a developer read logs, packages, alarms and function keys."
  type        = bool
  default     = false
}

variable "developer_object_id" {
  description = "Object id of that developer, or of a group of them. Empty: whoever deploys."
  type        = string
  default     = ""
}

variable "max_instances" {
  description = "The most instances at once; flex: to serve HTTP, as many again to run jobs, and one for each timer."
  type        = number
  default     = 40

  validation {
    condition     = var.max_instances >= 1 && var.max_instances <= 1000
    error_message = "Between 1 and 1000 instances."
  }
}

variable "http_concurrency" {
  description = "flex: HTTP requests that an instance takes at once before another is started; 1 unless it is set."
  type        = number
  default     = 32

  validation {
    condition     = var.http_concurrency >= 1 && var.http_concurrency <= 1000
    error_message = "Between 1 and 1000 requests."
  }
}

variable "instance_memory_mb" {
  description = "flex: memory of an instance in MB."
  type        = number
  default     = 2048

  validation {
    condition     = contains([512, 2048, 4096], var.instance_memory_mb)
    error_message = "512, 2048 or 4096."
  }
}

variable "always_ready_instances" {
  description = "flex: instances for jobs that are always running, which saves their cold start."
  type        = number
  default     = 0

  validation {
    condition     = var.always_ready_instances >= 0
    error_message = "0 or more."
  }
}

variable "container_image" {
  description = "The image of the app, and of what changes the database. Empty until there is one: dapr has no app then."
  type        = string
  default     = ""
}

variable "container_cpu" {
  description = "dapr: cores of a replica."
  type        = string
  default     = "1.0"
}

variable "container_memory" {
  description = "dapr: memory of a replica."
  type        = string
  default     = "2Gi"
}

variable "min_replicas" {
  description = "dapr: replicas that always run. None would be there for timers and callbacks below 1."
  type        = number
  default     = 1

  validation {
    condition     = var.min_replicas >= 1
    error_message = "At least 1."
  }
}

variable "stop_grace_seconds" {
  description = "dapr: how long a replica that is stopped lets its runs go on; what has not ended then is given back."
  type        = number
  default     = 120

  validation {
    condition     = var.stop_grace_seconds >= 0 && var.stop_grace_seconds <= 580
    error_message = "Between 0 and 580 seconds."
  }
}

variable "concurrency" {
  description = "Handlers that one instance runs at once."
  type        = number
  default     = 16

  validation {
    condition     = var.concurrency >= 1 && var.concurrency <= 1000
    error_message = "Between 1 and 1000 handlers."
  }
}

variable "poll_schedule" {
  description = "NCRONTAB of the poll of flexScheduler timer and scale-out; what it costs is in the README."
  type        = string
  default     = "* * * * * *"
}

variable "retention_days" {
  description = "How many days ended jobs are kept; 0 keeps them for ever."
  type        = number
  default     = 30

  validation {
    condition     = var.retention_days >= 0
    error_message = "0 or more."
  }
}

variable "api_client_id" {
  description = "Client id of the app registration that callers sign in to; they then need its app roles, too. Empty: keys alone."
  type        = string
  default     = ""
}

variable "extra_settings" {
  description = "Further app settings, such as JOBS_LEASE_SECONDS; they win over the ones made here."
  type        = map(string)
  default     = {}
}
