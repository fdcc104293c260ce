"""Plan and apply a file of recurring jobs."""
