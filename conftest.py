"""The fixtures ``jobs_harness`` and ``jobs_postgres`` for every test of this project."""

pytest_plugins = ["jobs.testing.plugin"]
