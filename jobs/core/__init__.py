"""What a job is: no I/O, only the standard library, pydantic and the cron library."""
