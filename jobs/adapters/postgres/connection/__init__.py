"""Connections to PostgreSQL, the pools they live in, and how one statement is run."""
