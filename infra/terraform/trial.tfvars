# To try it out, for a fraction of the price: a small database, no network of its own, small instances.
# What is not said here has its default in variables.tf.
shape                    = "flex"
resource_group_name      = "jobs"
alert_email              = "oncall@example.com"
database_admin_name      = "jobs-admins"
database_admin_object_id = "00000000-0000-0000-0000-000000000000"
database_admin_type      = "Group"
database_tier            = "Burstable"
database_sku             = "Standard_B1ms"
database_max_connections = 50
database_pool_size       = 4
max_instances            = 3
instance_memory_mb       = 512
private_network          = false
storage_sku              = "Standard_LRS"
