"""Connections to PostgreSQL, their pools, and the execution of single statements."""
