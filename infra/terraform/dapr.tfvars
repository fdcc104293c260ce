# Container Apps with Dapr. The first apply has no image; name it once it has been pushed.
shape                    = "dapr"
resource_group_name      = "jobs"
alert_email              = "oncall@example.com"
database_admin_name      = "jobs-admins"
database_admin_object_id = "00000000-0000-0000-0000-000000000000"
database_admin_type      = "Group"
max_instances            = 10
container_image          = ""
