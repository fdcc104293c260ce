"""The domain: jobs, handlers and schedules. No I/O; depends on the standard library, pydantic and the cron library."""
