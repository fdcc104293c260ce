"""A host for Azure Functions apps, for development."""
