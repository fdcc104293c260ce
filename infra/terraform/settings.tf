# What the app is told. ../../README.md has the meaning of each JOBS_ setting.

locals {
  # PYTHON_ISOLATE_WORKER_DEPENDENCIES matters to who takes the app back to Python 3.12 or older: there 1 breaks half of
  # the starts on Flex Consumption, and 0 works, with Dapr's SDK too. Python 3.13 does not read it.
  common_settings = {
    AZURE_CLIENT_ID                           = azurerm_user_assigned_identity.app.client_id
    AzureWebJobsStorage__blobServiceUri       = azurerm_storage_account.host.primary_blob_endpoint
    AzureWebJobsStorage__credential           = "managedidentity"
    AzureWebJobsStorage__clientId             = azurerm_user_assigned_identity.app.client_id
    AzureWebJobsSecretStorageType             = "keyvault"
    AzureWebJobsSecretStorageKeyVaultUri      = azurerm_key_vault.keys.vault_uri
    AzureWebJobsSecretStorageKeyVaultClientId = azurerm_user_assigned_identity.app.client_id
    AzureWebJobsDisableHomepage               = "true"
    APPLICATIONINSIGHTS_CONNECTION_STRING     = azurerm_application_insights.app.connection_string
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING = "ClientId=${azurerm_user_assigned_identity.app.client_id};Authorization=AAD"
    # The host would pass on five traces a second, and of logs only those of these traces: not what the alerts read.
    OTEL_TRACES_SAMPLER                = "microsoft.fixed_percentage"
    OTEL_TRACES_SAMPLER_ARG            = "1.0"
    PYTHON_THREADPOOL_THREAD_COUNT     = "32"
    PYTHON_ISOLATE_WORKER_DEPENDENCIES = "0"
    JOBS_DATABASE_URL                  = "postgresql://${azurerm_user_assigned_identity.app.name}@${azurerm_postgresql_flexible_server.server.fqdn}:${local.database_port}/jobs"
    JOBS_DATABASE_AUTH                 = "entra"
    JOBS_DATABASE_POOL_SIZE            = tostring(var.database_pool_size)
    JOBS_DATABASE_PGBOUNCER            = tostring(var.database_pgbouncer)
    JOBS_ADDED_HANDLERS                = "jobs.entrypoints.smoke_handler" # of the job that ../smoke.py runs after a deployment
    JOBS_CONCURRENCY                   = tostring(var.concurrency)
    JOBS_RETENTION_DAYS                = tostring(var.retention_days)
  }
  timer_settings = {
    JOBS_SCHEDULER     = "timer"
    JOBS_POLL_SCHEDULE = var.poll_schedule
  }
  slots = tonumber(lookup(var.extra_settings, "JOBS_CONCURRENCY", var.concurrency))
  # How many messages an instance takes, over the whole app: with `queue` one for each of its slots, and not the next
  # batch only when the longest has ended; with `scale-out` one for all of them, since that asks for an instance.
  queue_settings = {
    AzureWebJobsStorage__queueServiceUri                         = azurerm_storage_account.host.primary_queue_endpoint
    AzureFunctionsJobHost__extensions__queues__batchSize         = "1"
    AzureFunctionsJobHost__extensions__queues__newBatchThreshold = var.flex_scheduler == "queue" ? tostring(local.slots - 1) : "0"
  }
  flex_settings = {
    queue = merge(local.queue_settings, { JOBS_SCHEDULER = "queue" })
    timer = local.timer_settings
    scale-out = merge(local.queue_settings, local.timer_settings, {
      JOBS_SCALE_OUT           = "true"
      JOBS_SCALE_OUT_INSTANCES = tostring(max(2, var.max_instances))
    })
  }
  # No JOBS_CALLBACK_TOKENS: Container Apps gives app and sidecar a token of their own as APP_API_TOKEN, and the setting
  # would take precedence over it. The host id would follow from the machine's name otherwise, and each replica would have
  # timers of its own.
  dapr_settings = {
    JOBS_SCHEDULER                = "dapr"
    FUNCTIONS_WORKER_RUNTIME      = "python"
    AzureFunctionsWebHost__hostid = var.name
    STOP_GRACE_SECONDS            = tostring(var.stop_grace_seconds)
  }
  # With sign-in before the app, and only then: without it, the principal's headers could be anybody's.
  role_settings = {
    JOBS_ROLES = tostring(local.sign_in)
    # Without sign-in a function key is all that a caller has.
    JOBS_KEY_ROLE = local.sign_in ? "none" : "manage"
  }
  app_settings = merge(
    local.common_settings,
    local.role_settings,
    { for key, value in local.flex_settings[var.flex_scheduler] : key => value if local.flex },
    { for key, value in local.dapr_settings : key => value if local.dapr },
    var.extra_settings,
  )
  settings_list = [for key, value in local.app_settings : { name = key, value = value }]
}
