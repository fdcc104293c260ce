# Flex Consumption. What is not said here has its default in variables.tf.
shape                    = "flex"
resource_group_name      = "jobs"
alert_email              = "oncall@example.com"
database_admin_name      = "jobs-admins"
database_admin_object_id = "00000000-0000-0000-0000-000000000000"
database_admin_type      = "Group"
