"""When a job runs: expressions, cron, recurrence, and how local times become instants."""
