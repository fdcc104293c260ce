"""Azure Storage queues, by their REST API."""
